//! Spec: [Trace Context Level 2 § Tracestate Header].
//!
//! [Trace Context Level 2 § Tracestate Header]: https://www.w3.org/TR/2024/CRD-trace-context-2-20240328/#tracestate-header

use super::{joined, without_whitespace};

/// All values are one list. It has no member if it has an illegal one, or more than 32.
pub(super) fn read(values: &[&str]) -> Vec<(String, String)> {
    let mut members = Vec::new();
    for member in values.iter().flat_map(|value| value.split(',')) {
        let member = without_whitespace(member);
        if member.is_empty() {
            continue;
        }
        match member.split_once('=') {
            Some((key, value)) if is_key(key) && is_value(value) && members.len() < 32 => {
                members.push((key.to_owned(), value.to_owned()));
            }
            _ => return Vec::new(),
        }
    }
    members
}

pub(super) fn written(members: &[(String, String)]) -> Option<String> {
    (!members.is_empty()).then(|| joined(members))
}

/// `( lcalpha / DIGIT ) 0*255 ( keychar )`
fn is_key(key: &str) -> bool {
    const FIRST: &str = "abcdefghijklmnopqrstuvwxyz0123456789";
    let is_next = |next| FIRST.contains(next) || "_-*/@".contains(next);
    key.chars()
        .next()
        .is_some_and(|first| FIRST.contains(first))
        && key.chars().all(is_next)
        && key.len() <= 256
}

/// `0*255(chr) nblk-chr`, where a character is printable and neither a comma nor an equals sign.
fn is_value(value: &str) -> bool {
    let is_character = |c| (' '..='~').contains(&c) && c != ',' && c != '=';
    value.chars().all(is_character)
        && value.chars().next_back().is_some_and(|last| last != ' ')
        && value.len() <= 256
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spec: [Trace Context Level 2 § Examples of tracestate HTTP Headers].
    ///
    /// [Trace Context Level 2 § Examples of tracestate HTTP Headers]: https://www.w3.org/TR/2024/CRD-trace-context-2-20240328/#examples-of-tracestate-http-headers
    #[test]
    fn the_examples_of_the_specification_are_read_in_their_order() {
        assert_eq!(
            written(&read(&["rojo=00f067aa0ba902b7", "congo=t61rcWkgMzE"])).as_deref(),
            Some("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")
        );
    }

    #[test]
    fn one_illegal_member_or_one_too_many_is_the_end_of_all() {
        let many = |count| {
            (0..count)
                .map(|one| format!("k{one}=1"))
                .collect::<Vec<_>>()
                .join(",")
        };
        assert_eq!(read(&[&many(32)]).len(), 32);
        for broken in ["a", "A=1", "=1", "a=", "a=1=2", "a=\u{e4}", &many(33)] {
            assert_eq!(read(&["ok=1", broken]), [], "{broken}");
        }
    }
}
