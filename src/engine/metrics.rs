//! What is counted and measured. It does not depend on whether a span is sampled.

use std::time::{Duration, SystemTime};

use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;

use super::attributes::prepared;
use super::operation::Operation;
use super::propagation::Problem;
use crate::semconv::attributes::partition_id;
use crate::semconv::operation_type::OperationType;
use crate::telemetry::Instruments;

/// What the problem was: one of [`Problem`]'s names.
const PROBLEM: &str = "otel_messaging.context.problem";

impl Instruments {
    /// Records how long an operation took. The conventions measure no creating.
    pub(crate) fn ended(
        &self,
        operation: &Operation<'_>,
        elapsed: Duration,
        error: Option<KeyValue>,
    ) {
        let duration = match operation.operation_type {
            OperationType::Create => return,
            OperationType::Process => &self.process_duration,
            _ => &self.operation_duration,
        };
        let prepared = prepared(operation);
        let seconds = elapsed.as_secs_f64();
        let extra = [partition_of(operation), error];
        let baggage = baggage_of(operation);
        #[cfg(feature = "bound-instruments")]
        if baggage.is_empty() && extra.iter().all(Option::is_none) {
            let bind = || duration.bind(&prepared.durations);
            prepared.bound.duration.get_or_init(bind).record(seconds);
            return;
        }
        with(&prepared.durations, extra, baggage, |all| {
            duration.record(seconds, all);
        });
    }

    /// Counts a message that the client has taken to send.
    pub(crate) fn sent(&self, operation: &Operation<'_>, error: Option<KeyValue>) {
        counted(&self.sent, operation, 1, error);
    }

    /// Counts messages that were delivered to the application.
    pub(crate) fn consumed(&self, operation: &Operation<'_>, messages: u64) {
        counted(&self.consumed, operation, messages, None);
    }

    /// Measures how long a message waited that was sent at one time and delivered at another.
    pub(crate) fn waited(&self, operation: &Operation<'_>, from: SystemTime, to: SystemTime) {
        let attributes = prepared(operation);
        let extra = [partition_of(operation)];
        with(&attributes.messages, extra, baggage_of(operation), |all| {
            let waited = to.duration_since(from);
            if waited.is_err() {
                self.clock_skews.add(1, all);
            }
            self.time_in_queue
                .record(waited.unwrap_or_default().as_secs_f64(), all);
        });
    }

    /// Records how many messages are behind the one that is delivered. Without the partition it
    /// would mean nothing, so that it has it in any case.
    pub(crate) fn lag(&self, operation: &Operation<'_>, behind: u64) {
        let attributes = prepared(operation);
        let partition = operation.partition.map(partition_id);
        with(&attributes.messages, [partition], &[], |all| {
            self.lag.record(behind, all);
        });
    }

    pub(crate) fn problem(&self, problem: Problem, operation: &Operation<'_>) {
        let attributes = prepared(operation);
        let problem = KeyValue::new(PROBLEM, problem.name());
        with(&attributes.messages, [Some(problem)], &[], |all| {
            self.problems.add(1, all)
        });
    }
}

fn counted(
    counter: &Counter<u64>,
    operation: &Operation<'_>,
    messages: u64,
    error: Option<KeyValue>,
) {
    let prepared = prepared(operation);
    let extra = [partition_of(operation), error];
    let baggage = baggage_of(operation);
    #[cfg(feature = "bound-instruments")]
    if baggage.is_empty() && extra.iter().all(Option::is_none) {
        let bind = || counter.bind(&prepared.messages);
        prepared.bound.counter.get_or_init(bind).add(messages);
        return;
    }
    with(&prepared.messages, extra, baggage, |all| {
        counter.add(messages, all);
    });
}

fn baggage_of<'a>(operation: &Operation<'a>) -> &'a [KeyValue] {
    operation
        .baggage
        .map_or(&[], |baggage| &*baggage.on_metrics)
}

fn partition_of(operation: &Operation<'_>) -> Option<KeyValue> {
    operation
        .destination
        .filter(|destination| destination.rule.wants_partition_on_metrics())
        .and(operation.partition)
        .map(partition_id)
}

/// All attributes as one list, which is only built if it has to be.
fn with<const N: usize>(
    known: &[KeyValue],
    extra: [Option<KeyValue>; N],
    baggage: &[KeyValue],
    record: impl FnOnce(&[KeyValue]),
) {
    if baggage.is_empty() && extra.iter().all(Option::is_none) {
        record(known);
    } else {
        let extra = extra.into_iter().flatten();
        let all: Vec<KeyValue> = known.iter().chain(baggage).cloned().chain(extra).collect();
        record(&all);
    }
}

#[cfg(feature = "testing")]
#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::client::Client;
    use crate::engine::destination::Name;
    use crate::semconv::attributes::of_error;
    use crate::semconv::metrics::DURATION_BOUNDARIES;
    use crate::testing::{ExpectedMetric, Recorder};

    #[test]
    fn what_went_well_and_what_did_not_is_measured_beside_each_other_however_often_it_is_collected()
    {
        let recorder = Recorder::new();
        let client = Arc::new(Client::new(&recorder.telemetry(), "kafka"));
        let destination = client.destination(Name::lasting("orders"));
        let operation = Operation {
            client: &client,
            operation_type: OperationType::Send,
            operation_name: "send",
            destination: Some(&destination),
            partition: Some(3),
            batch: None,
            baggage: None,
        };
        let measure = |error: Option<&'static str>| {
            client.telemetry.measure(|instruments| {
                let error = error.map(of_error);
                instruments.sent(&operation, error.clone());
                instruments.ended(&operation, Duration::from_millis(2), error);
            });
        };
        let well = || {
            [
                KeyValue::new("messaging.system.name", "kafka"),
                KeyValue::new("messaging.operation.name", "send"),
                KeyValue::new("messaging.destination.name", "orders"),
            ]
        };
        let failed = || well().into_iter().chain([of_error("no broker")]);
        let of_type = KeyValue::new("messaging.operation.type", "send");
        let name = "messaging.client.sent.messages";
        let duration = "messaging.client.operation.duration";

        for round in 1..=3 {
            measure(None);
            measure(Some("no broker"));
            measure(None);

            ExpectedMetric::counter(name, "{message}")
                .of(well(), 2 * round)
                .of(failed(), round)
                .exactly()
                .assert(&recorder);
            ExpectedMetric::histogram(duration, "s", &DURATION_BOUNDARIES)
                .of(well().into_iter().chain([of_type.clone()]), 2 * round)
                .of(failed().chain([of_type.clone()]), round)
                .exactly()
                .assert(&recorder);
        }
    }
}
