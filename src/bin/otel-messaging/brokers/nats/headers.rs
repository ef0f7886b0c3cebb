//! The headers of a stored message, as the server gives them to whoever asks for it.

use std::str::FromStr as _;

use async_nats::header::HeaderName;
use async_nats::{HeaderMap, HeaderValue, StatusCode};

/// As the client reads them when they are delivered; nothing where it drops the connection instead.
pub(super) fn headers(block: &[u8]) -> Option<HeaderMap> {
    let mut lines = str::from_utf8(block).ok()?.lines().peekable();
    let status = lines.next()?.strip_prefix("NATS/1.0")?.trim();
    if let Some(code) = status.split(' ').next().filter(|code| !code.is_empty()) {
        StatusCode::from_str(code.trim()).ok()?;
    }
    let mut headers = HeaderMap::new();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let (name, value) = line.split_once(':')?;
        let mut value = value.trim_start().to_owned();
        while let Some(more) = lines.next_if(|line| line.starts_with(char::is_whitespace)) {
            value.push_str(more);
        }
        let value = HeaderValue::from_str(value.trim_end()).ok()?;
        headers.append(HeaderName::from_str(name).ok()?, value);
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_values_of_a_name_are_kept() {
        let block = b"NATS/1.0\r\nnote: one \r\nnote:two\r\nlong: a\r\n b\r\nempty:\r\n\r\n";
        let mut expected = HeaderMap::new();
        for (name, value) in [
            ("note", "one"),
            ("note", "two"),
            ("long", "a b"),
            ("empty", ""),
        ] {
            expected.append(name, value);
        }
        assert_eq!(headers(block), Some(expected));
    }

    #[test]
    fn what_the_client_does_not_deliver_cannot_be_read() {
        for block in [
            b"".as_slice(),
            b"note: one",
            b"NATS/1.0\r\nnote\r\n",
            b"NATS/1.0\r\nnote: \xff\r\n",
            b"NATS/1.0\r\nno te: one\r\n",
            b"NATS/1.0\r\nnote: o\rne\r\n",
        ] {
            assert_eq!(headers(block), None, "{block:?}");
        }
    }

    #[test]
    fn a_status_is_one_of_three_digits() {
        for status in ["", " ", " 503", " 503 No Responders", "100", "\t404 \t"] {
            let block = format!("NATS/1.0{status}\r\n\r\n");
            let expected = Some(HeaderMap::new());
            assert_eq!(headers(block.as_bytes()), expected, "{block:?}");
        }
        for status in [" OK", " 99", " 099", " 1000", ".1", " 503\tNone"] {
            let block = format!("NATS/1.0{status}\r\n\r\n");
            assert_eq!(headers(block.as_bytes()), None, "{block:?}");
        }
    }
}
