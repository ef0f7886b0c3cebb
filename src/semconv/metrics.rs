//! Names of the messaging metrics, and the boundaries of their buckets.
//!
//! Spec: [messaging-metrics].
//!
//! [messaging-metrics]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-metrics.md

/// Duration of sending, receiving and settling, in seconds.
pub const MESSAGING_CLIENT_OPERATION_DURATION: &str = "messaging.client.operation.duration";
/// Number of messages that a producer attempted to send.
pub const MESSAGING_CLIENT_SENT_MESSAGES: &str = "messaging.client.sent.messages";
/// Number of messages that were delivered to the application.
pub const MESSAGING_CLIENT_CONSUMED_MESSAGES: &str = "messaging.client.consumed.messages";
/// Duration of processing, in seconds.
pub const MESSAGING_PROCESS_DURATION: &str = "messaging.process.duration";

/// Boundaries of the buckets of both durations.
///
/// Spec: [messaging-metrics § Metric: messaging.client.operation.duration], `ExplicitBucketBoundaries`.
///
/// [messaging-metrics § Metric: messaging.client.operation.duration]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-metrics.md#metric-messagingclientoperationduration
pub(crate) const DURATION_BOUNDARIES: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
