//! NATS and JetStream, by the client [`async_nats`].
//!
//! # What the headers of a message become
//!
//! | on the message | written | read |
//! |---|---|---|
//! | `traceparent`, `tracestate`, `baggage` | one each, in place of every case variant | exact name first, then any case |
//! | `Xraceparent`, which servers before 2.14 make of `traceparent` | never, and goes with it | where there is no `traceparent` in any case |
//! | two different traceparents | never | the last one that parses; the other is linked and counted |
//! | malformed values | kept if they are not ours | count as absent |
//! | all other headers | kept; their order is the client's, which has none among different names | left alone |
//!
//! Headers count toward the server's `max_payload`, and a stream takes no more than 64 KiB of them.
//! What would push a message over either is left out and counted in
//! `otel_messaging.context.problems`: baggage first, then tracestate, then the whole context. The
//! `max_message_size` of a stream is known to the server alone.

mod carrier;
mod consumer;
mod envelope;
mod producer;
mod settle;

/// JetStream: streams that keep messages and acknowledge them.
pub mod jetstream {
    pub use super::consumer::jetstream::Consumer;
    pub use super::consumer::{BatchBuilder, FetchBuilder, StreamBuilder};
    pub use super::producer::jetstream::{Producer, PublishAckFuture};
}

pub use async_nats;

pub use self::carrier::{extract, inject};
pub use self::consumer::{Consumer, Delivered, Messages};
pub use self::envelope::{NATS_MESSAGE_DUPLICATE, NATS_STREAM, NATS_STREAM_SEQUENCE};
pub use self::producer::Producer;
pub use crate::received::Received;
