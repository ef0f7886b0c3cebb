//! Our own metrics: what was wrong with contexts, so that nothing is lost silently.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};

use crate::envelope::Envelope;
use crate::semconv::attributes::{MESSAGING_DESTINATION_NAME, MESSAGING_SYSTEM};

/// Counter of messages whose context could not be carried or read as it should.
///
/// Not registered in the conventions.
const PROBLEMS: &str = "otel_messaging.context.problems";

/// What the problem was: one of [`Problem`]'s names.
const PROBLEM: &str = "otel_messaging.context.problem";

/// What can be wrong with the context of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// It carries different contexts; the last one counts, another is linked.
    Conflicting,
    /// Baggage was left out: the message would have become too large.
    BaggageLeftOut,
    /// Baggage and tracestate were left out.
    TracestateLeftOut,
    /// The whole context was left out.
    ContextLeftOut,
}

impl Problem {
    const fn name(self) -> &'static str {
        match self {
            Self::Conflicting => "conflicting",
            Self::BaggageLeftOut => "baggage_left_out",
            Self::TracestateLeftOut => "tracestate_left_out",
            Self::ContextLeftOut => "context_left_out",
        }
    }
}

/// The instruments of one [`Telemetry`](crate::Telemetry).
#[derive(Debug)]
pub(crate) struct Instruments {
    problems: Counter<u64>,
}

impl Instruments {
    pub(crate) fn new(meter: &Meter) -> Self {
        Self {
            problems: meter
                .u64_counter(PROBLEMS)
                .with_unit("{message}")
                .with_description("Messages whose context could not be carried or read in full.")
                .build(),
        }
    }

    pub(crate) fn count(&self, problem: Problem, envelope: &Envelope<'_>) {
        let mut attributes = vec![
            KeyValue::new(PROBLEM, problem.name()),
            KeyValue::new(MESSAGING_SYSTEM, envelope.system),
        ];
        if let Some(destination) = envelope.destination {
            attributes.push(KeyValue::new(
                MESSAGING_DESTINATION_NAME,
                destination.to_owned(),
            ));
        }
        self.problems.add(1, &attributes);
    }
}
