//! Keys of attributes that only NATS has.
//!
//! NATS is not registered in the conventions. Its system is `nats`, as in other languages.

mod client;
mod connects;
mod error_type;
mod message;
mod stream;
mod subject;

pub(super) use self::client::{
    ClientInfo, Connection, ConsumerInfo, EndpointInfo, Identity, Subscription, names_of_one,
};
pub(super) use self::error_type::{
    of_answer, of_jetstream_publish, of_publish, of_receive, of_request, of_settle, why_not_settled,
};
pub(super) use self::message::message_id;
pub(super) use self::stream::{duplicates, is_for_size, of_ack, sequence, stream_name};
pub(super) use self::subject::Patterns;

/// Name of the stream that stores the message. Not registered in the conventions.
pub const NATS_STREAM_NAME: &str = "nats.stream.name";
/// Sequence number of the message in its stream. Not registered in the conventions.
pub const NATS_STREAM_SEQUENCE: &str = "nats.stream.sequence";
/// Whether the stream dropped the message as a duplicate. Set only if true. Not registered in the
/// conventions.
pub const NATS_MESSAGE_DUPLICATE: &str = "nats.message.duplicate";

/// Number of messages of a batch that the stream dropped as duplicates. Set only if there are any.
/// Not registered in the conventions.
pub const NATS_BATCH_DUPLICATE_COUNT: &str = "nats.batch.duplicate_count";
