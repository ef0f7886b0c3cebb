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
        for member in members(value) {
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

/// Whether [`parse`] finds a member malformed or over a limit, for who wants none of them.
pub(super) fn is_malformed(values: &[&[u8]], accepts: impl Fn(&str) -> bool) -> bool {
    // Only of what may be too much it matters what was taken before.
    let bytes: usize = values.iter().map(|value| value.len() + 1).sum();
    let members = values
        .iter()
        .map(|value| value.split(|byte| *byte == b',').count());
    let may_be_too_much = bytes > MAX_BYTES || members.sum::<usize>() > MAX_MEMBERS;
    parse(values, |name| may_be_too_much && accepts(name)).is_malformed
}

/// A list as it is sent.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// `None` when nothing can be sent.
    pub(super) header: Option<String>,
    /// Whether a member cannot be sent, or is over a limit.
    pub(super) is_cut: bool,
}

/// Writes the list in the order of its names.
///
/// A name that is no token cannot be sent. Beyond 64 members or 8192 bytes, the first ones that fit
/// are written.
///
/// Spec: [Baggage § Header Content]; [Baggage § Limits].
///
/// [Baggage § Header Content]: https://www.w3.org/TR/2024/CR-baggage-20240530/#header-content
/// [Baggage § Limits]: https://www.w3.org/TR/2024/CR-baggage-20240530/#limits
pub(super) fn write(baggage: &Baggage) -> Written {
    if baggage.is_empty() {
        return Written::default();
    }
    let mut entries: Vec<_> = baggage
        .iter()
        .filter(|(key, _)| is_token(key.as_str()))
        .collect();
    entries.sort_unstable_by_key(|(key, _)| key.as_str());

    let mut header = String::new();
    let mut is_cut = entries.len().min(MAX_MEMBERS) < baggage.len();
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
            is_cut = true;
        }
    }
    Written {
        header: (!header.is_empty()).then_some(header),
        is_cut,
    }
}

/// What is between the commas.
fn members(value: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let list = rest?;
        let (member, after) = cut(list, b',').map_or((list, None), |(one, rest)| (one, Some(rest)));
        rest = after;
        Some(trim(member))
    })
}

/// Name, decoded value, and the properties as they came: only their user can decode them.
fn parse_member(member: &str) -> Option<(&str, String, &str)> {
    let (pair, properties) = cut(member, b';').unwrap_or((member, ""));
    let (key, value) = cut(pair, b'=')?;
    let (key, value) = (trim(key), trim(value));

    let has_control = |text: &str, allowed: &str| {
        has(text, CONTROL) && text.contains(|c: char| c.is_control() && !allowed.contains(c))
    };
    let is_usable = is_token(key) && !has_control(value, "") && !has_control(properties, "\t");
    is_usable.then(|| (key, percent_decode(value), properties))
}

/// What is before and after the first such byte, of ASCII. Of texts as short as these, that is faster than to search for
/// a character.
fn cut(text: &str, separator: u8) -> Option<(&str, &str)> {
    let place = text.bytes().position(|byte| byte == separator)?;
    Some((text.get(..place)?, text.get(place + 1..)?))
}

fn trim(text: &str) -> &str {
    match text.as_bytes() {
        [b' ' | b'\t', ..] | [.., b' ' | b'\t'] => text.trim_matches(OWS),
        _ => text,
    }
}

/// `+` stands for itself, a `%` without two hex digits too. Bytes that are not UTF-8 become U+FFFD.
pub(crate) fn percent_decode(value: &str) -> String {
    if !has(value, PERCENT) {
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
    if !has(value, ENCODED) {
        header.push_str(value);
        return;
    }
    for byte in value.bytes() {
        if kind(byte) & ENCODED == 0 {
            header.push(char::from(byte));
        } else {
            percent_encode(header, byte);
        }
    }
}

fn write_properties(header: &mut String, properties: &str) {
    if properties.is_empty() {
        return;
    }
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
    !key.is_empty() && !has(key, NO_TOKEN)
}

/// Spec: [Baggage § Definition], `baggage-octet`.
///
/// [Baggage § Definition]: https://www.w3.org/TR/2024/CR-baggage-20240530/#definition
const fn is_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\')
}

/// Whether a text has a byte of one of these kinds.
fn has(text: &str, kinds: u8) -> bool {
    let all = text.bytes().fold(0, |all, byte| all | kind(byte));
    all & kinds != 0
}

fn kind(byte: u8) -> u8 {
    KINDS.get(usize::from(byte)).copied().unwrap_or_default()
}

/// The kinds of each byte.
#[expect(clippy::indexing_slicing, reason = "the compiler does it, once")]
static KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0_u8;
    loop {
        let is_special = matches!(
            byte,
            b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        );
        // Legal bare, but some readers take `+` for a space and end the value at a second `=`.
        let is_plain = is_octet(byte) && !matches!(byte, b'%' | b'+' | b'=');
        kinds[byte as usize] = if byte.is_ascii_alphanumeric() || is_special {
            0
        } else {
            NO_TOKEN
        } | if byte.is_ascii_control() || !byte.is_ascii() {
            CONTROL
        } else {
            0
        } | if byte == b'%' { PERCENT } else { 0 }
            | if is_plain { 0 } else { ENCODED };
        if byte == u8::MAX {
            break kinds;
        }
        byte += 1;
    }
};

/// It cannot be in a token.
const NO_TOKEN: u8 = 1;
/// It is a control character, or may be part of one.
const CONTROL: u8 = 2;
/// It may begin an encoded byte.
const PERCENT: u8 = 4;
/// It is written encoded in a value.
const ENCODED: u8 = 8;

pub(crate) const MAX_MEMBERS: usize = 64;
pub(crate) const MAX_BYTES: usize = 8192;
