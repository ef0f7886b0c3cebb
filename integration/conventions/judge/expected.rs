//! What is known to depart from the conventions, until it is mended: empty at best.

use std::fmt;

use crate::verdict::Violation;

/// A violation that is known.
pub(crate) struct Expected {
    rule: &'static str,
    /// A part of the names of the scenes that show it.
    scenes: &'static str,
    why: &'static str,
}

impl Expected {
    pub(crate) fn covers(&self, violation: &Violation) -> bool {
        violation.rule == self.rule && violation.scene.contains(self.scenes)
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in `{}`: {}", self.rule, self.scenes, self.why)
    }
}

pub(crate) const VIOLATIONS: &[Expected] = &[];

/// Rules of which the walk cannot show anything yet.
pub(crate) const UNEXERCISED: [&str; 0] = [];
