//! Text from messages, as it may stand in names and attributes.

use std::borrow::Cow;

use opentelemetry::StringValue;

/// Longest text from a message, in bytes.
const MAX_BYTES: usize = 256;

/// What stands for the rest of a text that is too long.
const CUT: char = '…';

/// Text that came with a message as the value of an attribute: short, and without what would forge a
/// line in a terminal or a log.
pub(crate) fn text(text: &str) -> StringValue {
    StringValue::from(tidy(text).into_owned())
}

/// Whether a text is so already.
pub(crate) fn is_tidy(text: &str) -> bool {
    text.len() <= MAX_BYTES && (is_plain(text.as_bytes()) || !text.chars().any(acts))
}

/// The same as text.
pub(crate) fn tidy(text: &str) -> Cow<'_, str> {
    if is_tidy(text) {
        return Cow::Borrowed(text);
    }
    let mut tidied = String::with_capacity(MAX_BYTES);
    let mut end = 0;
    for character in text.chars() {
        if acts(character) {
            tidied.extend(character.escape_default());
        } else {
            tidied.push(character);
        }
        if tidied.len() > MAX_BYTES {
            tidied.truncate(end);
            tidied.push(CUT);
            break;
        }
        if tidied.len() <= MAX_BYTES - CUT.len_utf8() {
            end = tidied.len();
        }
    }
    Cow::Owned(tidied)
}

/// Whether it is printable ASCII alone, as most text is.
fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

/// The text on one line, without what only laid it out.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains('\n') {
        return Cow::Borrowed(text);
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    Cow::Owned(lines.collect::<Vec<_>>().join(" "))
}

/// Whether a character does something to the text around it instead of being shown.
fn acts(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            // Ends of lines and of paragraphs, and what turns the direction of a text.
            '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{061c}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_text_stays_and_what_acts_is_escaped() {
        let rows = [
            ("", ""),
            ("orders.eu", "orders.eu"),
            ("größe ✓", "größe ✓"),
            ("a\\b", "a\\b"),
            ("forged\r\nline", "forged\\r\\nline"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("\0\u{7f}\u{85}", "\\u{0}\\u{7f}\\u{85}"),
            ("a\u{202e}b\u{2028}c", "a\\u{202e}b\\u{2028}c"),
        ];

        for (given, expected) in rows {
            assert_eq!(text(given).as_str(), expected);
        }
    }

    #[test]
    fn long_text_is_cut_at_a_character_and_shows_it() {
        let longest = "k".repeat(MAX_BYTES);
        assert_eq!(tidy(&longest), longest);
        let escaped = "k".repeat(MAX_BYTES - 2);
        assert_eq!(tidy(&format!("{escaped}\n")), format!("{escaped}\\n"));
        for one in ["k", "ö", "✓", "😀", "\u{1b}"] {
            for bytes in [MAX_BYTES + 1, 900_000] {
                let tidied = tidy(&one.repeat(bytes)).into_owned();
                assert!(tidied.len() <= MAX_BYTES, "{} bytes", tidied.len());
                assert!(tidied.len() > MAX_BYTES - 16, "{} bytes", tidied.len());
                assert!(tidied.ends_with(CUT), "{tidied}");
                assert!(!tidied.contains('\u{1b}'));
            }
        }
    }
}
