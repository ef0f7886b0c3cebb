//! What is known to depart from the conventions, until it is mended: empty at best.

use crate::verdict::Violation;

/// Violations that are known.
pub(crate) struct Expected {
    rule: &'static str,
    /// Parts of the names of the scenes that show them.
    scenes: &'static [&'static str],
    why: &'static str,
}

impl Expected {
    pub(crate) fn covers(&self, violation: &Violation) -> bool {
        self.scenes.iter().any(|part| self.is_in(part, violation))
    }

    fn is_in(&self, part: &str, violation: &Violation) -> bool {
        violation.rule == self.rule && violation.scene.contains(part)
    }

    /// What of it is not there any more.
    pub(crate) fn mended(&self, violations: &[Violation]) -> Vec<String> {
        let is_there = |part: &str| violations.iter().any(|one| self.is_in(part, one));
        // Examples are judged by themselves.
        let parts = self
            .scenes
            .iter()
            .filter(|part| !part.starts_with("example "));
        let parts = parts.filter(|part| !is_there(part));
        parts
            .map(|part| format!("{} in `{part}`: {}", self.rule, self.why))
            .collect()
    }
}

const fn known(rule: &'static str, scenes: &'static [&'static str], why: &'static str) -> Expected {
    Expected { rule, scenes, why }
}

// Nothing but its create span can show what became of one message of a batch: links cannot change after the
// send span has started.
pub(crate) const VIOLATIONS: &[Expected] = &[
    known(
        "operation.failed",
        &["refused in a batch", "returned in a batch"],
        "a create span has the error of sending its message",
    ),
    known(
        "exception.log",
        &[
            "RabbitMQ: refused in a batch",
            "JetStream: refused in a batch",
        ],
        "that error is a log record once, on the send span",
    ),
    known(
        "attribute.listed",
        &[
            "Kafka: sent together",
            "Kafka: sent to two topics",
            "Kafka: refused in a batch",
            "example kafka_batch",
        ],
        "a create span has the offset of its message",
    ),
];

/// Rules of which the walk cannot show anything yet.
pub(crate) const UNEXERCISED: [&str; 0] = [];
