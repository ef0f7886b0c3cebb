//! Keys of attributes that only Kafka has.
//!
//! Spec: [Kafka § Kafka spans].
//!
//! [Kafka § Kafka spans]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/kafka.md#kafka-spans

mod client;
mod error_type;
mod message;
mod topics;

pub(super) use self::client::{ClientInfo, PartitionInfo};
pub(super) use self::error_type::error_type;
pub(super) use self::message::{content, offset, offset_told};

/// Key of the message. Set only if it is text.
pub const KAFKA_MESSAGE_KEY: &str = "kafka.message.key";
/// Offset of the message in its partition.
pub const KAFKA_OFFSET: &str = "kafka.offset";
/// Whether the message has no value. Set only if true.
pub const KAFKA_MESSAGE_TOMBSTONE: &str = "kafka.message.tombstone";
/// Id of the Kafka cluster. Set as soon as the client knows it.
pub const KAFKA_CLUSTER_ID: &str = "kafka.cluster.id";
