//! Attributes that only Kafka has.

mod client;
mod error_type;
mod message;

pub(super) use self::client::ClientInfo;
pub(super) use self::error_type::error_type;
pub(super) use self::message::{content, offset};

/// Key of the message, where it is text.
pub const KAFKA_MESSAGE_KEY: &str = "kafka.message.key";
/// Offset of the message in its partition.
pub const KAFKA_OFFSET: &str = "kafka.offset";
/// Whether the message has no value; only set if so.
pub const KAFKA_MESSAGE_TOMBSTONE: &str = "kafka.message.tombstone";
/// Id of the Kafka cluster, once the client has learnt it.
pub const KAFKA_CLUSTER_ID: &str = "kafka.cluster.id";
