//! Names and boundaries of the messaging metrics.

/// How long sending, receiving and settling take, in seconds.
pub const MESSAGING_CLIENT_OPERATION_DURATION: &str = "messaging.client.operation.duration";
/// Messages that a producer tried to send.
pub const MESSAGING_CLIENT_SENT_MESSAGES: &str = "messaging.client.sent.messages";
/// Messages that were delivered to the application.
pub const MESSAGING_CLIENT_CONSUMED_MESSAGES: &str = "messaging.client.consumed.messages";
/// How long processing takes, in seconds.
pub const MESSAGING_PROCESS_DURATION: &str = "messaging.process.duration";

/// Boundaries of the buckets of both durations.
///
/// Spec: [messaging-metrics § Metric: messaging.client.operation.duration], `ExplicitBucketBoundaries`.
///
/// [messaging-metrics § Metric: messaging.client.operation.duration]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-metrics.md#metric-messagingclientoperationduration
pub(crate) const DURATION_BOUNDARIES: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
