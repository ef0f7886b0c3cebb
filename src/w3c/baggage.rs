//! The `baggage` header: name and value pairs that the application sends along, in clear text.

use opentelemetry::baggage::Baggage;

use super::OWS;

/// A list as it was received.
#[derive(Debug)]
pub(super) struct Received {
    /// The members that can be used and are accepted; `None` if there is none.
    pub(super) accepted: Option<Baggage>,
    /// Whether a member was malformed or over a limit.
    pub(super) is_malformed: bool,
}

/// Reads header values as one list, of which the members are taken whose name `accepts` takes.
///
/// A value that is not UTF-8 counts as absent, a malformed member alone is dropped, and of members
/// with the same name the last one counts. Beyond 64 members or 8192 bytes, the first ones that fit
/// are read.
///
/// Spec: [Baggage § Header Content]; [Baggage § Limits].
///
/// [Baggage § Header Content]: https://www.w3.org/TR/2024/CR-baggage-20240530/#header-content
/// [Baggage § Limits]: https://www.w3.org/TR/2024/CR-baggage-20240530/#limits
pub(super) fn parse(values: &[&[u8]], accepts: impl Fn(&str) -> bool) -> Received {
    let mut is_malformed = false;
    let mut baggage = Baggage::new();
    let mut room = MAX_BYTES;
    for value in values {
        let Ok(value) = str::from_utf8(value) else {
            is_malformed = true;
            continue;
        };
        for member in value.split(',').map(|member| member.trim_matches(OWS)) {
            let comma = usize::from(!baggage.is_empty());
            let left = room.checked_sub(member.len() + comma);
            match (left, parse_member(member)) {
                (_, Some((key, ..))) if !accepts(key) => {}
                (Some(left), Some((key, value, properties))) if baggage.len() < MAX_MEMBERS => {
                    baggage.insert_with_metadata(key.to_owned(), value, properties);
                    room = left;
                }
                _ => is_malformed |= !member.is_empty(),
            }
        }
    }
    Received {
        accepted: (!baggage.is_empty()).then_some(baggage),
        is_malformed,
    }
}

/// Writes the list in the order of its names; `None` when nothing can be sent.
///
/// A name that is no token cannot be sent. Beyond 64 members or 8192 bytes, the first ones that fit
/// are written.
///
/// Spec: [Baggage § Header Content]; [Baggage § Limits].
///
/// [Baggage § Header Content]: https://www.w3.org/TR/2024/CR-baggage-20240530/#header-content
/// [Baggage § Limits]: https://www.w3.org/TR/2024/CR-baggage-20240530/#limits
pub(super) fn write(baggage: &Baggage) -> Option<String> {
    if baggage.is_empty() {
        return None;
    }
    let mut entries: Vec<_> = baggage
        .iter()
        .filter(|(key, _)| is_token(key.as_str()))
        .collect();
    entries.sort_unstable_by_key(|(key, _)| key.as_str());

    let mut header = String::new();
    for (key, (value, properties)) in entries.into_iter().take(MAX_MEMBERS) {
        let before = header.len();
        if before > 0 {
            header.push(',');
        }
        header.push_str(key.as_str());
        header.push('=');
        write_value(&mut header, value.as_str());
        write_properties(&mut header, properties.as_str());
        if header.len() > MAX_BYTES {
            header.truncate(before);
        }
    }
    (!header.is_empty()).then_some(header)
}

/// Name, decoded value, and the properties as they came: only their user can decode them.
fn parse_member(member: &str) -> Option<(&str, String, &str)> {
    let (pair, properties) = member.split_once(';').unwrap_or((member, ""));
    let (key, value) = pair.split_once('=')?;
    let (key, value) = (key.trim_matches(OWS), value.trim_matches(OWS));

    let is_control = |c: char| c.is_control() && c != '\t';
    let is_usable =
        is_token(key) && !value.contains(char::is_control) && !properties.contains(is_control);
    is_usable.then(|| (key, percent_decode(value), properties))
}

/// `+` stands for itself, a `%` without two hex digits too. Bytes that are not UTF-8 become U+FFFD.
pub(crate) fn percent_decode(value: &str) -> String {
    if !value.contains('%') {
        return value.to_owned();
    }
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        let (byte, after) = triplet(rest).unwrap_or((*first, after));
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn write_value(header: &mut String, value: &str) {
    for byte in value.bytes() {
        // Legal bare, but some readers take `+` for a space and end the value at a second `=`.
        if is_octet(byte) && !b"%+=".contains(&byte) {
            header.push(char::from(byte));
        } else {
            percent_encode(header, byte);
        }
    }
}

fn write_properties(header: &mut String, properties: &str) {
    for property in properties.split(';') {
        let (key, value) = match property.split_once('=') {
            Some((key, value)) => (key, Some(value.trim_matches(OWS))),
            None => (property, None),
        };
        let key = key.trim_matches(OWS);
        if !is_token(key) {
            continue;
        }
        header.push(';');
        header.push_str(key);
        if let Some(value) = value {
            header.push('=');
            write_property_value(header, value.as_bytes());
        }
    }
}

/// The value may be encoded already, since it is not decoded on reading.
fn write_property_value(header: &mut String, mut value: &[u8]) {
    while let [byte, rest @ ..] = value {
        if is_octet(*byte) && (*byte != b'%' || triplet(value).is_some()) {
            header.push(char::from(*byte));
        } else {
            percent_encode(header, *byte);
        }
        value = rest;
    }
}

/// Takes a percent-encoded byte off the front.
fn triplet(input: &[u8]) -> Option<(u8, &[u8])> {
    let [b'%', high, low, rest @ ..] = input else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = digit(*high)? << 4 | digit(*low)?;
    Some((byte as u8, rest))
}

fn percent_encode(header: &mut String, byte: u8) {
    let digit = |nibble: u8| char::from(nibble + if nibble < 10 { b'0' } else { b'A' - 10 });
    header.extend(['%', digit(byte >> 4), digit(byte & 0x0f)]);
}

/// Spec: [RFC 7230 § 3.2.6], `token`.
///
/// [RFC 7230 § 3.2.6]: https://www.rfc-editor.org/rfc/rfc7230#section-3.2.6
fn is_token(key: &str) -> bool {
    let is_special = |byte| b"!#$%&'*+-.^_`|~".contains(&byte);
    !key.is_empty()
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || is_special(byte))
}

/// Spec: [Baggage § Definition], `baggage-octet`.
///
/// [Baggage § Definition]: https://www.w3.org/TR/2024/CR-baggage-20240530/#definition
fn is_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\",;\\".contains(&byte)
}

pub(crate) const MAX_MEMBERS: usize = 64;
pub(crate) const MAX_BYTES: usize = 8192;
