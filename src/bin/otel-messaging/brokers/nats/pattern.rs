//! Patterns of subjects.

/// Whether a subject is one of these; `*` is any part, and `>` all that is left.
pub(super) fn matches(pattern: &str, subject: &str) -> bool {
    let mut subject = subject.split('.');
    for part in pattern.split('.') {
        match (part, subject.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (part, Some(own)) if part == own => {}
            _ => return false,
        }
    }
    subject.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_stands_for_the_subjects_that_it_does_in_nats() {
        for (pattern, subject, is_match) in [
            ("orders.new", "orders.new", true),
            ("orders.new", "orders.old", false),
            ("orders.*", "orders.new", true),
            ("orders.*", "orders.new.eu", false),
            ("*.new", "orders.new", true),
            ("orders.>", "orders.new.eu", true),
            ("orders.>", "orders", false),
            ("orders", "orders.new", false),
            (">", "orders", true),
        ] {
            assert_eq!(matches(pattern, subject), is_match, "{pattern} {subject}");
        }
    }
}
