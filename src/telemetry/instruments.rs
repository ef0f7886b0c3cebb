//! The instruments: the four of the conventions for messaging, and our own.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};

use crate::semconv::metrics::{
    DURATION_BOUNDARIES, MESSAGING_CLIENT_CONSUMED_MESSAGES, MESSAGING_CLIENT_OPERATION_DURATION,
    MESSAGING_CLIENT_SENT_MESSAGES, MESSAGING_PROCESS_DURATION,
};

/// Counter of messages whose context could not be carried or read as it should.
const PROBLEMS: &str = "otel_messaging.context.problems";

/// Counter of panics in telemetry code that is not ours.
const PANICS: &str = "otel_messaging.telemetry.panics";

/// Which code that was.
pub(crate) const COMPONENT: &str = "otel_messaging.telemetry.component";

/// From a message's timestamp to its delivery to the application.
const TIME_IN_QUEUE: &str = "otel_messaging.message.time_in_queue";

/// Messages from the future, by the clock of their receiver.
const CLOCK_SKEWS: &str = "otel_messaging.clock.skews";

/// Messages that wait behind the one that is delivered.
const LAG: &str = "otel_messaging.consumer.lag";

/// Messages may wait for hours.
const TIME_IN_QUEUE_BOUNDARIES: [f64; 15] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0, 1800.0, 3600.0,
];

/// The instruments of one [`Telemetry`](crate::Telemetry).
#[derive(Debug)]
pub(crate) struct Instruments {
    pub(crate) operation_duration: Histogram<f64>,
    pub(crate) process_duration: Histogram<f64>,
    pub(crate) sent: Counter<u64>,
    pub(crate) consumed: Counter<u64>,
    pub(crate) time_in_queue: Histogram<f64>,
    pub(crate) clock_skews: Counter<u64>,
    pub(crate) lag: Gauge<u64>,
    pub(crate) problems: Counter<u64>,
    panics: Counter<u64>,
}

impl Instruments {
    pub(crate) fn new(meter: &Meter) -> Self {
        let seconds = |name, description, boundaries: &[f64]| {
            meter
                .f64_histogram(name)
                .with_unit("s")
                .with_description(description)
                .with_boundaries(boundaries.to_vec())
                .build()
        };
        let messages = |name, description| {
            meter
                .u64_counter(name)
                .with_unit("{message}")
                .with_description(description)
                .build()
        };
        Self {
            operation_duration: seconds(
                MESSAGING_CLIENT_OPERATION_DURATION,
                "Duration of messaging operation initiated by a producer or consumer client.",
                &DURATION_BOUNDARIES,
            ),
            process_duration: seconds(
                MESSAGING_PROCESS_DURATION,
                "Duration of processing operation.",
                &DURATION_BOUNDARIES,
            ),
            sent: messages(
                MESSAGING_CLIENT_SENT_MESSAGES,
                "Number of messages producer attempted to send to the broker.",
            ),
            consumed: messages(
                MESSAGING_CLIENT_CONSUMED_MESSAGES,
                "Number of messages that were delivered to the application.",
            ),
            time_in_queue: seconds(
                TIME_IN_QUEUE,
                "Time from a message's timestamp to its delivery to the application.",
                &TIME_IN_QUEUE_BOUNDARIES,
            ),
            clock_skews: messages(
                CLOCK_SKEWS,
                "Messages whose timestamp was in the future when they were received.",
            ),
            lag: meter
                .u64_gauge(LAG)
                .with_unit("{message}")
                .with_description("Messages that wait behind the last one that was received.")
                .build(),
            problems: messages(
                PROBLEMS,
                "Messages whose context could not be carried or read in full.",
            ),
            panics: meter
                .u64_counter(PANICS)
                .with_unit("{panic}")
                .with_description("Panics of telemetry code that were kept from messaging.")
                .build(),
        }
    }

    /// Counts a panic of telemetry code.
    pub(crate) fn panicked(&self, component: KeyValue) {
        self.panics.add(1, &[component]);
    }
}
