//! The four messaging instruments of the conventions, and our own.
//!
//! What they count and measure does not depend on whether a span is sampled.

use std::time::{Duration, SystemTime};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};

use crate::diagnosis::Problem;
use crate::envelope::Envelope;
use crate::semconv::attributes::{
    MESSAGING_CONSUMER_GROUP_NAME, MESSAGING_DESTINATION_NAME, MESSAGING_DESTINATION_TEMPLATE,
    MESSAGING_OPERATION_NAME, MESSAGING_OPERATION_TYPE, MESSAGING_SYSTEM, SERVER_ADDRESS,
    SERVER_PORT, partition_id,
};
use crate::semconv::metrics::{
    DURATION_BOUNDARIES, MESSAGING_CLIENT_CONSUMED_MESSAGES, MESSAGING_CLIENT_OPERATION_DURATION,
    MESSAGING_CLIENT_SENT_MESSAGES, MESSAGING_PROCESS_DURATION,
};
use crate::semconv::operation::Operation;

/// Counter of messages whose context could not be carried or read as it should.
const PROBLEMS: &str = "otel_messaging.context.problems";

/// What the problem was: one of [`Problem`]'s names.
const PROBLEM: &str = "otel_messaging.context.problem";

/// Counter of panics in telemetry code that is not ours.
const PANICS: &str = "otel_messaging.telemetry.panics";

/// Which code that was.
pub(crate) const COMPONENT: &str = "otel_messaging.telemetry.component";

/// From a message's timestamp to its hand-over.
const TIME_IN_QUEUE: &str = "otel_messaging.message.time_in_queue";

/// Messages from the future, by the clock of their receiver.
const CLOCK_SKEWS: &str = "otel_messaging.clock.skews";

/// Messages that wait behind the one that is handed over.
const LAG: &str = "otel_messaging.consumer.lag";

/// Messages may wait for hours.
const TIME_IN_QUEUE_BOUNDARIES: [f64; 15] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0, 1800.0, 3600.0,
];

/// The instruments of one [`Telemetry`](crate::Telemetry).
#[derive(Debug)]
pub(crate) struct Instruments {
    operation_duration: Histogram<f64>,
    process_duration: Histogram<f64>,
    sent: Counter<u64>,
    consumed: Counter<u64>,
    time_in_queue: Histogram<f64>,
    clock_skews: Counter<u64>,
    lag: Gauge<u64>,
    problems: Counter<u64>,
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
                "Time from a message's timestamp to its hand-over to the application.",
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

    /// Records how long an operation took. The conventions measure no creating.
    pub(crate) fn ended(
        &self,
        envelope: &Envelope<'_>,
        elapsed: Duration,
        error: Option<KeyValue>,
    ) {
        let duration = match envelope.operation {
            Operation::Create => return,
            Operation::Process => &self.process_duration,
            _ => &self.operation_duration,
        };
        let attributes = envelope.metric_attributes();
        let seconds = elapsed.as_secs_f64();
        let extra = [partition_of(envelope), error];
        with(&attributes.operation, extra, |all| {
            duration.record(seconds, all);
        });
    }

    /// Counts a message that was to be sent.
    pub(crate) fn sent(&self, envelope: &Envelope<'_>, error: Option<KeyValue>) {
        let attributes = envelope.metric_attributes();
        let extra = [partition_of(envelope), error];
        with(&attributes.messages, extra, |all| self.sent.add(1, all));
    }

    /// Counts messages that were handed over to the application.
    pub(crate) fn consumed(&self, envelope: &Envelope<'_>, messages: u64) {
        let attributes = envelope.metric_attributes();
        with(&attributes.messages, [partition_of(envelope)], |all| {
            self.consumed.add(messages, all);
        });
    }

    /// Measures how long a message waited that was sent at one time and handed over at another.
    pub(crate) fn waited(&self, envelope: &Envelope<'_>, from: SystemTime, to: SystemTime) {
        let attributes = envelope.metric_attributes();
        with(&attributes.messages, [partition_of(envelope)], |all| {
            let waited = to.duration_since(from);
            if waited.is_err() {
                self.clock_skews.add(1, all);
            }
            self.time_in_queue
                .record(waited.unwrap_or_default().as_secs_f64(), all);
        });
    }

    /// Records how many messages are behind the one that is handed over. Without the partition it
    /// would mean nothing, so that it has it in any case.
    pub(crate) fn lag(&self, envelope: &Envelope<'_>, behind: u64) {
        let attributes = envelope.metric_attributes();
        let partition = envelope.partition.map(partition_id);
        with(&attributes.messages, [partition], |all| {
            self.lag.record(behind, all);
        });
    }

    /// Counts a panic of telemetry code.
    pub(crate) fn panicked(&self, component: KeyValue) {
        self.panics.add(1, &[component]);
    }

    pub(crate) fn problem(&self, problem: Problem, envelope: &Envelope<'_>) {
        let attributes = envelope.metric_attributes();
        let problem = KeyValue::new(PROBLEM, problem.name());
        with(&attributes.messages, [Some(problem)], |all| {
            self.problems.add(1, all)
        });
    }
}

fn partition_of(envelope: &Envelope<'_>) -> Option<KeyValue> {
    envelope
        .destination
        .filter(|destination| destination.rule.wants_partition_on_metrics())
        .and(envelope.partition)
        .map(partition_id)
}

/// All attributes as one list, which is only built if it has to be.
fn with<const N: usize>(
    known: &[KeyValue],
    extra: [Option<KeyValue>; N],
    record: impl FnOnce(&[KeyValue]),
) {
    if extra.iter().all(Option::is_none) {
        record(known);
    } else {
        let extra = extra.into_iter().flatten();
        let all: Vec<KeyValue> = known.iter().cloned().chain(extra).collect();
        record(&all);
    }
}

/// Attributes of an operation's metrics, but for the partition and the error.
///
/// Spec: messaging-metrics, the attributes of each metric, 1.44.0.
#[derive(Debug)]
pub(crate) struct MetricAttributes {
    /// For counters of messages, and for durations of processing.
    messages: Vec<KeyValue>,
    /// For the duration of this operation.
    operation: Vec<KeyValue>,
}

impl MetricAttributes {
    #[cfg(test)]
    pub(crate) fn of_messages(&self) -> &[KeyValue] {
        &self.messages
    }

    pub(crate) fn of(envelope: &Envelope<'_>) -> Self {
        let client = envelope.client;
        let mut messages = vec![
            KeyValue::new(MESSAGING_SYSTEM, client.system),
            KeyValue::new(MESSAGING_OPERATION_NAME, envelope.operation_name),
        ];
        if let Some(destination) = envelope.destination {
            let name = destination.low_cardinality_name().cloned();
            let key = match destination.template {
                Some(_) => MESSAGING_DESTINATION_TEMPLATE,
                None => MESSAGING_DESTINATION_NAME,
            };
            messages.extend(name.map(|name| KeyValue::new(key, name)));
        }
        if let Some(server) = client.server() {
            messages.push(KeyValue::new(SERVER_ADDRESS, server.address));
            messages.push(KeyValue::new(SERVER_PORT, i64::from(server.port)));
        }
        let is_send = envelope.operation.is_producing();
        if let Some(group) = client.consumer_group.as_ref().filter(|_| !is_send) {
            messages.push(KeyValue::new(MESSAGING_CONSUMER_GROUP_NAME, group.clone()));
        }
        let mut operation = messages.clone();
        if envelope.operation != Operation::Process {
            let operation_type = envelope.operation.operation_type();
            operation.push(KeyValue::new(MESSAGING_OPERATION_TYPE, operation_type));
        }
        Self {
            messages,
            operation,
        }
    }
}
