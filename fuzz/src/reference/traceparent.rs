//! Spec: [Trace Context Level 2 § Traceparent Header].
//!
//! [Trace Context Level 2 § Traceparent Header]: https://www.w3.org/TR/2024/CRD-trace-context-2-20240328/#traceparent-header

use super::without_whitespace;

/// What a `traceparent` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    pub trace: String,
    pub span: String,
    pub sampled: bool,
    pub random: bool,
}

impl Parent {
    /// `version "-" trace-id "-" parent-id "-" trace-flags`, and from version 01 on perhaps a dash
    /// and more behind it.
    pub fn read(text: &str) -> Option<Self> {
        let parts: Vec<_> = without_whitespace(text).splitn(5, '-').collect();
        let (version, trace, span, flags) = match parts[..] {
            [version, trace, span, flags] => (version, trace, span, flags),
            [version, trace, span, flags, _] if version != "00" => (version, trace, span, flags),
            _ => return None,
        };
        let is_valid = is_hex(version, 2)
            && version != "ff"
            && is_hex(trace, 32)
            && trace != "0".repeat(32)
            && is_hex(span, 16)
            && span != "0".repeat(16)
            && is_hex(flags, 2);
        if !is_valid {
            return None;
        }
        let flags = u8::from_str_radix(flags, 16).ok()?;
        Some(Self {
            trace: trace.to_owned(),
            span: span.to_owned(),
            sampled: flags & 1 == 1,
            random: flags & 2 == 2,
        })
    }

    pub fn written(&self) -> String {
        let flags = u8::from(self.sampled) + 2 * u8::from(self.random);
        format!("00-{}-{}-0{flags}", self.trace, self.span)
    }

    /// Whether both name the same span, whatever their flags.
    pub fn is_same_span(&self, other: &Self) -> bool {
        (&self.trace, &self.span) == (&other.trace, &other.span)
    }
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.chars().all(|digit| "0123456789abcdef".contains(digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spec: [Trace Context Level 2 § Examples of HTTP traceparent Headers].
    ///
    /// [Trace Context Level 2 § Examples of HTTP traceparent Headers]: https://www.w3.org/TR/2024/CRD-trace-context-2-20240328/#examples-of-http-traceparent-headers
    #[test]
    fn the_examples_of_the_specification_are_read_and_written() {
        let sampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parent = Parent::read(sampled).expect("a valid one");
        assert!(parent.sampled && !parent.random);
        assert_eq!(parent.written(), sampled);

        let not = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        let parent = Parent::read(not).expect("a valid one");
        assert!(!parent.sampled && !parent.random);
    }

    #[test]
    fn what_the_grammar_forbids_is_none() {
        let rest = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
        for broken in [
            format!("00-{rest}-01-"),
            format!("00-{rest}"),
            format!("ff-{rest}-01"),
            format!("0-{rest}-01"),
            format!("00-{rest}-1"),
            format!("cc-{rest}-01x"),
            format!("00-{}-01", rest.to_uppercase()),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", "0".repeat(16)),
        ] {
            assert_eq!(Parent::read(&broken), None, "{broken}");
        }
        let later = format!("cc-{rest}-01-what");
        assert!(Parent::read(&later).is_some());
    }
}
