//! Subjects: what their structure tells, and the patterns that they were subscribed by.

use std::borrow::Cow;

/// What stands for inboxes, whoever made them up.
const INBOX: &str = "_INBOX";

/// Whether NATS' practice tells that it is an inbox, which is gone with its user: a subject below one
/// that begins with an underscore, `_INBOX.…` or `_R_.…` for instance.
pub(crate) fn is_inbox(subject: &str) -> bool {
    subject.starts_with('_') && subject.contains('.')
}

/// What stands for a subject among many by its structure alone: for an inbox what it is below, and for
/// the server's own subjects, `$KV.orders.7` for instance, what one would subscribe to.
pub(crate) fn template(subject: &str) -> Option<Cow<'_, str>> {
    let mut dots = subject.match_indices('.').map(|(dot, _)| dot);
    let first = dots.next()?;
    if is_inbox(subject) {
        let is_usual = subject.starts_with(INBOX);
        let template = if is_usual {
            INBOX
        } else {
            subject.get(..first)?
        };
        return Some(template.into());
    }
    if !subject.starts_with('$') {
        return None;
    }
    let second = dots.next()?;
    Some([subject.get(..second)?, ".>"].concat().into())
}

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

    /// All that was asked for.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(String::as_str)
    }

    /// What was asked for, and whether it stands for many subjects.
    pub(super) fn only(&self) -> Option<(&str, bool)> {
        match &self.patterns[..] {
            [only] => Some((only, has_wildcards(only))),
            _ => Some((self.stream()?, true)),
        }
    }

    /// What stands for `subject` among many; `None` if it was asked for by itself.
    pub(crate) fn matching(&self, subject: &str) -> Option<&str> {
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
    fn a_subject_of_the_clients_or_the_servers_making_tells_what_stands_for_it() {
        let rows = [
            ("orders", None, false),
            ("orders.7.eu", None, false),
            ("orders._7", None, false),
            ("", None, false),
            // Somebody chose it: inboxes have something behind the dot.
            ("_audit", None, false),
            ("_INBOX.Hv2SjP.1", Some("_INBOX"), true),
            ("_INBOX_alice.Hv2SjP", Some("_INBOX"), true),
            ("_R_shop.Hv2SjP.1", Some("_R_shop"), true),
            ("_R_.Hv2SjP.1", Some("_R_"), true),
            ("_.7", Some("_"), true),
            ("_größe.7", Some("_größe"), true),
            ("$KV.orders.7", Some("$KV.orders.>"), false),
            ("$KV.orders.eu.7", Some("$KV.orders.>"), false),
            ("$KV.orders", None, false),
            ("$KV", None, false),
            ("$O.pictures.C.Hv2SjP", Some("$O.pictures.>"), false),
            ("$JS.ACK.ORDERS.billing.1.7", Some("$JS.ACK.>"), false),
            ("$JS.API.STREAM.INFO.ORDERS", Some("$JS.API.>"), false),
            ("$JS.hub.API.INFO", Some("$JS.hub.>"), false),
            ("$SRV.PING.stock.Hv2SjP", Some("$SRV.PING.>"), false),
            ("$SRV.PING", None, false),
            ("$SYS.SERVER.NAB5.STATSZ", Some("$SYS.SERVER.>"), false),
        ];

        for (subject, expected, temporary) in rows {
            assert_eq!(template(subject).as_deref(), expected, "{subject}");
            assert_eq!(is_inbox(subject), temporary, "{subject}");
        }
    }

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
            assert_eq!(
                patterns.matching(subject),
                expected,
                "{patterns:?} {subject}"
            );
        }
    }
}
