//! Subjects, and the patterns that they were subscribed by.

/// What a subscription asked for.
#[derive(Clone, Debug)]
pub(crate) struct Patterns {
    patterns: Vec<String>,
    /// The stream that was asked, which stands for its subjects where no pattern does.
    stream: Option<String>,
}

impl Patterns {
    pub(crate) fn one(pattern: &str) -> Self {
        Self {
            patterns: vec![pattern.to_owned()],
            stream: None,
        }
    }

    /// Those of a consumer; without any it asked for all that its stream has.
    pub(crate) fn of_consumer(patterns: Vec<String>, stream: &str) -> Self {
        Self {
            patterns,
            stream: Some(stream.to_owned()),
        }
    }

    pub(crate) fn stream(&self) -> Option<&str> {
        self.stream.as_deref()
    }

    /// What stands for `subject` among many; `None` if it was asked for by itself.
    pub(crate) fn of(&self, subject: &str) -> Option<&str> {
        if self.patterns.iter().any(|pattern| pattern == subject) {
            return None;
        }
        let found = match &self.patterns[..] {
            // The server may have mapped the subject to another one on its way.
            [only] => Some(only).filter(|only| has_wildcards(only)),
            many => many.iter().find(|pattern| matches(pattern, subject)),
        };
        found.or(self.stream.as_ref()).map(String::as_str)
    }
}

fn has_wildcards(pattern: &str) -> bool {
    pattern.split('.').any(|token| token == "*" || token == ">")
}

fn matches(pattern: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    for expected in pattern.split('.') {
        match (expected, tokens.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (expected, Some(token)) if expected == token => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_stands_for_its_subjects_and_a_subject_for_itself() {
        let many = |patterns: &[&str]| {
            let patterns = patterns.iter().map(|pattern| (*pattern).to_owned());
            Patterns::of_consumer(patterns.collect(), "ORDERS")
        };
        let rows = [
            (Patterns::one("orders"), "orders", None),
            (Patterns::one("orders.*"), "orders.7", Some("orders.*")),
            (Patterns::one("orders.>"), "orders.7.eu", Some("orders.>")),
            (Patterns::one("orders.*"), "mapped.7", Some("orders.*")),
            (Patterns::one("orders"), "mapped", None),
            (many(&[]), "orders.7", Some("ORDERS")),
            (many(&["orders.7"]), "orders.7", None),
            (many(&["orders.7"]), "mapped", Some("ORDERS")),
            (
                many(&["orders.*", "bills.>"]),
                "bills.7.eu",
                Some("bills.>"),
            ),
            (many(&["orders.*", "bills.>"]), "bills", Some("ORDERS")),
            (
                many(&["orders.*.eu", "bills"]),
                "orders.7.us",
                Some("ORDERS"),
            ),
            (many(&["orders.*", "bills"]), "bills", None),
        ];

        for (patterns, subject, expected) in rows {
            assert_eq!(patterns.of(subject), expected, "{patterns:?} {subject}");
        }
    }
}
