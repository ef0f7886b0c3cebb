//! Spec: [Baggage § Header Content]; [Baggage § Limits].
//!
//! [Baggage § Header Content]: https://www.w3.org/TR/2024/CR-baggage-20240530/#header-content
//! [Baggage § Limits]: https://www.w3.org/TR/2024/CR-baggage-20240530/#limits

use std::collections::BTreeMap;

use super::without_whitespace;

/// Name, value, and the properties as they came.
pub type Members = BTreeMap<String, (String, String)>;

const MOST_MEMBERS: usize = 64;
pub(super) const MOST_BYTES: usize = 8192;

/// All values are one list, of which a malformed member is left out, and what goes beyond a limit.
/// The last one of a name counts.
pub(super) fn read(values: &[&str]) -> Members {
    let mut members = Members::new();
    let mut bytes = 0;
    for text in values.iter().flat_map(|value| value.split(',')) {
        let text = without_whitespace(text);
        let with_comma = text.len() + usize::from(!members.is_empty());
        if members.len() == MOST_MEMBERS || bytes + with_comma > MOST_BYTES {
            continue;
        }
        if let Some((name, value, properties)) = member(text) {
            bytes += with_comma;
            members.insert(name, (value, properties));
        }
    }
    members
}

/// The specification leaves open what becomes of a value with characters that should have been
/// encoded; all but control characters are let through.
fn member(text: &str) -> Option<(String, String, String)> {
    let mut parts = text.splitn(2, ';');
    let (name, value) = parts.next()?.split_once('=')?;
    let (name, value) = (without_whitespace(name), without_whitespace(value));
    let properties = parts.next().unwrap_or_default();
    let is_illegal = !is_token(name)
        || value.chars().any(char::is_control)
        || properties.chars().any(|c| c.is_control() && c != '\t');
    let properties = properties.trim().to_owned();
    (!is_illegal).then(|| (name.to_owned(), decoded(value), properties))
}

/// Each `%` and two hex digits stand for a byte; what is no text then is replaced.
pub(crate) fn decoded(value: &str) -> String {
    let value = value.as_bytes();
    let mut bytes = Vec::new();
    let mut at = 0;
    while at < value.len() {
        match encoded_byte(&value[at..]) {
            Some(byte) => {
                bytes.push(byte);
                at += 3;
            }
            None => {
                bytes.push(value[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The byte that a `%` and two hex digits at the front stand for.
fn encoded_byte(text: &[u8]) -> Option<u8> {
    let digits = text.strip_prefix(b"%")?.get(..2)?;
    let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
    let digits = is_hex.then(|| str::from_utf8(digits).ok())??;
    u8::from_str_radix(digits, 16).ok()
}

/// In the order of the names, the first ones that fit.
pub(super) fn written(members: &Members) -> Option<String> {
    let mut list = String::new();
    for member in members.iter().take(MOST_MEMBERS).map(written_member) {
        let comma = if list.is_empty() { "" } else { "," };
        if list.len() + comma.len() + member.len() <= MOST_BYTES {
            list += comma;
            list += &member;
        }
    }
    (!list.is_empty()).then_some(list)
}

/// Bytes of the longest member, with its comma.
pub(super) fn longest(members: &Members) -> usize {
    let lengths = members
        .iter()
        .map(|member| written_member(member).len() + 1);
    lengths.max().unwrap_or_default()
}

fn written_member((name, (value, properties)): (&String, &(String, String))) -> String {
    format!(
        "{name}={}{}",
        encoded(value),
        written_properties(properties)
    )
}

/// A plus and an equals sign may stand as they are, but not every reader takes them so.
fn encoded(value: &str) -> String {
    let mut text = String::new();
    for byte in value.bytes() {
        if is_octet(byte) && !b"%+=".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text += &in_hex(byte);
        }
    }
    text
}

/// Those whose name is one; their values are as they came, encoded only where they have to be.
fn written_properties(properties: &str) -> String {
    let mut list = String::new();
    for property in properties.split(';') {
        let mut parts = property.splitn(2, '=').map(without_whitespace);
        let name = parts.next().unwrap_or_default();
        if !is_token(name) {
            continue;
        }
        list = format!("{list};{name}");
        if let Some(value) = parts.next() {
            list = format!("{list}={}", encoded_once(value.as_bytes()));
        }
    }
    list
}

fn encoded_once(value: &[u8]) -> String {
    let mut text = String::new();
    for (at, byte) in value.iter().enumerate() {
        let is_encoded = *byte != b'%' || encoded_byte(&value[at..]).is_some();
        if is_octet(*byte) && is_encoded {
            text.push(char::from(*byte));
        } else {
            text += &in_hex(*byte);
        }
    }
    text
}

fn in_hex(byte: u8) -> String {
    format!("%{byte:02X}")
}

/// Spec: [RFC 7230 § 3.2.6], `token`.
///
/// [RFC 7230 § 3.2.6]: https://www.rfc-editor.org/rfc/rfc7230#section-3.2.6
fn is_token(name: &str) -> bool {
    let is_character = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !name.is_empty() && name.chars().all(is_character)
}

/// `%x21 / %x23-2B / %x2D-3A / %x3C-5B / %x5D-7E`
fn is_octet(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spec: [Baggage § Examples of HTTP headers].
    ///
    /// [Baggage § Examples of HTTP headers]: https://www.w3.org/TR/2024/CR-baggage-20240530/#examples-of-http-headers
    #[test]
    fn the_examples_of_the_specification_are_read_and_written() {
        let members = read(&[
            "key1=value1;property1;property2, key2 = value2, key3=value3; propertyKey=propertyValue",
        ]);
        assert_eq!(
            written(&members).as_deref(),
            Some(
                "key1=value1;property1;property2,key2=value2,key3=value3;propertyKey=propertyValue"
            )
        );
        let amelie = read(&["userId=Am%C3%A9lie,serverNode=DF%2028,isProduction=false"]);
        assert_eq!(amelie["userId"].0, "Amélie");
        assert_eq!(amelie["serverNode"].0, "DF 28");
    }

    #[test]
    fn what_is_over_a_limit_is_left_out_and_what_fits_behind_it_is_not() {
        let long = format!("a=1,b={},c=3", "x".repeat(MOST_BYTES));
        let names: Vec<_> = read(&[&long]).into_keys().collect();
        assert_eq!(names, ["a", "c"]);

        let many: Vec<_> = (0..70).map(|one| format!("k{one}=1")).collect();
        assert_eq!(read(&[&many.join(",")]).len(), MOST_MEMBERS);
    }
}
