//! The metrics that this crate records, as tests expect them.

use opentelemetry::KeyValue;
use otel_messaging::testing::ExpectedMetric;

use crate::whole;

/// Bounds of the durations.
const BOUNDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// Sending, receiving and settling.
pub fn operation_duration() -> ExpectedMetric {
    whole::histogram("messaging.client.operation.duration", "s", &BOUNDS)
}

/// Processing.
pub fn process_duration() -> ExpectedMetric {
    whole::histogram("messaging.process.duration", "s", &BOUNDS)
}

/// What a producer tried to send.
pub fn sent_messages() -> ExpectedMetric {
    whole::counter("messaging.client.sent.messages", "{message}")
}

/// What was delivered to the application.
pub fn consumed_messages() -> ExpectedMetric {
    whole::counter("messaging.client.consumed.messages", "{message}")
}

/// What was wrong with contexts.
pub fn problems() -> ExpectedMetric {
    whole::counter("otel_messaging.context.problems", "{message}")
}

/// These attributes and one more, of which a string is the value.
pub fn and(mut attributes: Vec<KeyValue>, key: &'static str, value: &str) -> Vec<KeyValue> {
    attributes.push(KeyValue::new(key, value.to_owned()));
    attributes
}

/// The attributes of [`operation_duration`] for an operation of this type.
pub fn of_type(attributes: Vec<KeyValue>, operation_type: &str) -> Vec<KeyValue> {
    and(attributes, "messaging.operation.type", operation_type)
}

/// The attributes of [`problems`] for a problem of this name.
pub fn problem(attributes: Vec<KeyValue>, name: &str) -> Vec<KeyValue> {
    and(attributes, "otel_messaging.context.problem", name)
}
