//! What was wrong with the context of messages: counted, and told in a debug line.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::envelope::Envelope;
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
    /// Baggage was left out: the message would have become too large.
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
    const fn header(self) -> &'static str {
        match self {
            Self::Malformed(header) => header,
            Self::BaggageLeftOut => BAGGAGE,
            _ => TRACEPARENT,
        }
    }

    const fn index(self) -> usize {
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

/// At most one line for each kind of problem in this time.
const PAUSE: Duration = Duration::from_secs(10);

/// Tells problems without flooding the log, however many messages have them.
#[derive(Debug)]
pub(crate) struct Diagnosis {
    since: Instant,
    kinds: [Kind; 8],
}

/// Lines of one kind of problem.
#[derive(Debug, Default)]
struct Kind {
    /// Milliseconds after `since` from which on there may be another line.
    next: AtomicU64,
    untold: AtomicU64,
}

impl Diagnosis {
    pub(crate) fn new() -> Self {
        Self {
            since: Instant::now(),
            kinds: Default::default(),
        }
    }

    /// Says what was wrong and where. Header values may be anybody's secrets, or forged log lines:
    /// none is shown.
    pub(crate) fn tell(&self, problem: Problem, envelope: &Envelope<'_>) {
        // Both levels are written out: `tracing` has them in its macros only.
        macro_rules! tell {
            ($level:ident, $untold:ident, $text:literal) => {
                tracing::$level!(
                    problem = problem.name(),
                    header = problem.header(),
                    system = envelope.client.system,
                    operation = envelope.operation_name,
                    destination = ?envelope.destination.map(|destination| destination.name.as_str()),
                    partition = envelope.partition,
                    untold = $untold,
                    $text
                )
            };
        }
        if problem == Problem::RefusedForSize {
            if let Some(untold) = self.turn(problem, self.since.elapsed()) {
                tell!(
                    warn,
                    untold,
                    "a message was refused for its size after context was added to it; tell how much \
                     the destination takes by `max_message_bytes` of the policy"
                );
            }
        } else if tracing::enabled!(tracing::Level::DEBUG)
            && let Some(untold) = self.turn(problem, self.since.elapsed())
        {
            tell!(
                debug,
                untold,
                "the context of a message is not as it should be"
            );
        }
    }

    /// How many of this kind were not told since the last line, if it is time for another.
    fn turn(&self, problem: Problem, now: Duration) -> Option<u64> {
        let kind = self.kinds.get(problem.index())?;
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let next = kind.next.load(Ordering::Relaxed);
        let after = now.saturating_add(u64::try_from(PAUSE.as_millis()).unwrap_or(u64::MAX));
        let is_turn = now >= next
            && kind
                .next
                .compare_exchange(next, after, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if is_turn {
            Some(kind.untold.swap(0, Ordering::Relaxed))
        } else {
            kind.untold.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_problem_has_a_line_in_ten_seconds_that_tells_how_many_had_none() {
        let diagnosis = Diagnosis::new();
        let at = |seconds, problem| diagnosis.turn(problem, Duration::from_secs(seconds));

        assert_eq!(at(0, Problem::Missing), Some(0));
        assert_eq!(at(1, Problem::Missing), None);
        assert_eq!(at(9, Problem::Missing), None);
        assert_eq!(at(9, Problem::Malformed(BAGGAGE)), Some(0));
        assert_eq!(at(10, Problem::Missing), Some(2));
        assert_eq!(at(10, Problem::Malformed(TRACEPARENT)), None);
        assert_eq!(at(20, Problem::Missing), Some(0));
    }
}
