//! What can be wrong with the context of a message.

use crate::w3c::{BAGGAGE, TRACEPARENT};

/// What can be wrong with the context of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// It carries none.
    Missing,
    /// This header cannot be read, or not all of it.
    Malformed(&'static str),
    /// It carries different contexts; the last one counts, another is linked.
    Conflicting,
    /// It was sent with the context of an earlier hop, which was replaced.
    Replaced,
    /// Baggage was left out, or a part of it: the message would have become too large, or the header.
    BaggageLeftOut,
    /// Baggage and tracestate were left out.
    TracestateLeftOut,
    /// The whole context was left out.
    ContextLeftOut,
    /// The broker refused the message for its size, and our context had made it larger.
    RefusedForSize,
}

impl Problem {
    /// The value of the attribute that tells problems apart.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed(_) => "malformed",
            Self::Conflicting => "conflicting",
            Self::Replaced => "replaced",
            Self::BaggageLeftOut => "baggage_left_out",
            Self::TracestateLeftOut => "tracestate_left_out",
            Self::ContextLeftOut => "context_left_out",
            Self::RefusedForSize => "refused_for_size",
        }
    }

    /// The header that it is about.
    pub(crate) const fn header(self) -> &'static str {
        match self {
            Self::Malformed(header) => header,
            Self::BaggageLeftOut => BAGGAGE,
            _ => TRACEPARENT,
        }
    }

    /// Its place among the kinds.
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Missing => 0,
            Self::Malformed(_) => 1,
            Self::Conflicting => 2,
            Self::Replaced => 3,
            Self::BaggageLeftOut => 4,
            Self::TracestateLeftOut => 5,
            Self::ContextLeftOut => 6,
            Self::RefusedForSize => 7,
        }
    }
}
