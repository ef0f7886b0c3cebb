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
        let parts = self.scenes.iter().filter(|part| !is_there(part));
        parts
            .map(|part| format!("{} in `{part}`: {}", self.rule, self.why))
            .collect()
    }
}

const fn known(rule: &'static str, scenes: &'static [&'static str], why: &'static str) -> Expected {
    Expected { rule, scenes, why }
}

pub(crate) const VIOLATIONS: &[Expected] = &[
    known(
        "status.description",
        &[
            "failed",
            "panicked",
            "guarded",
            "nacked and rejected",
            "by a delegate",
        ],
        "a process span is failed without a text, in src/engine/span/process.rs",
    ),
    known(
        "status.description",
        &["refused in a batch"],
        "the send span of a batch is failed without a text, in src/engine/sending/batch.rs",
    ),
    known(
        "error.type.form",
        &[
            "failed with a text",
            "failed with a box",
            "failed with nothing",
            "failed with anyhow",
        ],
        "the name of any type is error.type, in src/semconv/outcome.rs",
    ),
    known(
        "operation.failed",
        &["refused in a batch", "returned in a batch"],
        "a create span has the error of sending its message, in src/engine/sending/batch.rs",
    ),
    known(
        "attribute.listed",
        &[
            "sent together",
            "sent to two topics",
            "a batch of several routing keys",
            "returned in a batch",
            "refused in a batch",
            "a batch given up before there was room",
        ],
        "a create span has the client's id, in src/engine/attributes.rs",
    ),
];

/// Rules of which the walk cannot show anything yet: the crate takes no logger provider.
pub(crate) const UNEXERCISED: [&str; 4] = [
    "exception.log",
    "exception.log.name",
    "exception.log.severity",
    "exception.signal",
];
