//! NATS and JetStream, by the client [`async_nats`].
//!
//! | call | span | starts | ends |
//! |---|---|---|---|
//! | [`Producer::publish`] and its kin | `publish {subject}`, PRODUCER | when the message is handed to the client | when the client has taken it; nobody says whether it arrived |
//! | [`Producer::request`] and its kin | `request {subject}`, PRODUCER | when the request is handed to the client | with the answer, or without one in time |
//! | [`jetstream::Producer::publish`] and its kin | `publish {subject}`, PRODUCER | when the message is handed to the client | with the acknowledgement by the stream |
//! | [`Producer::publish_batch`] | `create {subject}`, PRODUCER, of each message; `publish {subject}`, CLIENT, of all | when it is polled | when the client has taken the last one |
//! | [`jetstream::Producer::publish_batch`] | as above | when it is polled | with the last acknowledgement |
//! | [`Batches::recv`](Batches) | `next {subject}`, CLIENT | when the wait begins | with the last message of the batch |
//! | [`Received::process`](crate::Received::process), [`Received::start_process_span`](crate::Received::start_process_span) | `process {subject}`, CONSUMER | when the handler is called | with the handler's outcome |
//! | `respond` of a micro-service's request | `publish {reply subject}`, PRODUCER | when the answer is handed to the client | when the client has taken it |
//! | `ack`, `ack_with` | `ack`, `nak` or `term {subject}`, CLIENT | with the call | when the client has taken it; nobody says whether it arrived |
//! | `double_ack`, `double_ack_with` | `double_ack`, `double_nak` or `double_term {subject}`, CLIENT | with the call | with the server's answer |
//!
//! A receive operation is called `next`; that of a single message has a span where the
//! [`policy`](crate::policy) asks for one. Calls of JetStream's own interface, such as asking for the next batch, have none.
//!
//! What the server says of a message, such as the status 503 where nobody listens, is given to the
//! application as the client gives it, but is no message: it is not counted, and processing it has no
//! span. An answer of a micro-service with `Nats-Service-Error` or its code comes back as any other,
//! and the span of the request is an error, `service_error_400` for instance.
//!
//! ```no_run
//! use futures::StreamExt as _;
//! use otel_messaging::{Telemetry, nats};
//!
//! # async fn example() -> anyhow::Result<()> {
//! let client = async_nats::connect("nats://localhost:4222").await?;
//! let telemetry = Telemetry::new();
//!
//! let producer = nats::Producer::wrap(&telemetry, client.clone());
//! producer.publish("orders.42", "two books".into()).await?;
//!
//! let consumer = nats::Consumer::wrap(&telemetry, client.clone());
//! let mut orders = consumer.subscribe("orders.*").await?;
//! while let Some(order) = orders.next().await {
//!     order
//!         .process(async |order| -> anyhow::Result<()> {
//!             println!("{}: {:?}", order.subject, order.payload);
//!             Ok(())
//!         })
//!         .await?;
//! }
//!
//! let context = async_nats::jetstream::new(client);
//! let producer = nats::jetstream::Producer::wrap(&telemetry, context.clone());
//! let ack = producer.publish("orders.43", "a lamp".into()).await?.await?;
//! # Ok(())
//! # }
//! ```
//!
//! # The clients of async-nats
//!
//! | client | wrapped by | gives |
//! |---|---|---|
//! | `Client`, to send | [`Producer`] | `publish`, `request` and their kin, `publish_batch`, and the client's own `Publisher`, `Requester`, `Subscriber` and `TimeoutProvider` |
//! | `Client`, to subscribe | [`Consumer`] | `subscribe`, `queue_subscribe`; `endpoint` of a micro-service; `stored` messages |
//! | `jetstream::Context` | [`jetstream::Producer`] | `publish`, `publish_with_headers`, `send_publish`, `publish_batch`, and all of the context's own traits; a span of their `Publisher` ends when the client has taken the message |
//! | `PullConsumer` | [`jetstream::Consumer`] | `messages`, `stream`, `fetch`, `batch`, `sequence` |
//! | `PushConsumer`, both ordered ones | [`jetstream::Consumer`] | `messages` |
//!
//! # Names
//!
//! Subjects are many: a subject for each order is what they are for. On spans the destination is the
//! subject of the message. What stands for it in names of spans and on metrics, and is on spans as
//! `messaging.destination.template`, is
//!
//! | | |
//! |---|---|
//! | a [`template`](crate::policy::Rule::template) of the policy | first of all |
//! | the prefix of the client's inboxes, `_INBOX` unless it was set | for the client's own inboxes |
//! | the pattern that was subscribed to, or the filter of a consumer | where it has wildcards |
//! | the name of the stream | for a consumer without a filter, and for stored messages |
//! | `_INBOX`, or another first token | for subjects below one that begins with an underscore, which are inboxes by NATS' practice: `_R_shop` for `_R_shop.7` |
//! | the first two tokens and `.>` | for longer subjects that begin with `$`, the server's own: `$KV.orders.>` for a key of a bucket, `$JS.ACK.>` |
//! | nothing | for where the answer of a micro-service goes, if nothing above says more |
//! | the subject itself | else; so give what you publish to many subjects a template |
//!
//! Inboxes are temporary, and so is where the answer of a micro-service goes. Whatever stands for a
//! subject, unless the policy says it, is one of as many as
//! [`max_destination_names`](crate::Telemetry::max_destination_names) lets a client have, of all its
//! subscriptions together: whoever asks chooses where the answer goes. Further ones are left out of
//! names of spans and of metrics.
//!
//! Messages of several subjects are known by what stands for all of them; where nothing does, as for
//! those published to subjects without a template, their spans have no destination, and the link or the
//! create span of each has its own.
//!
//! The client does not show which address it was connected to, and what a server calls itself is often
//! another one. To have the server on spans and metrics, say it where you wrap the client, and the
//! client's id with it:
//!
//! ```
//! # use otel_messaging::{Telemetry, nats};
//! # fn example(telemetry: &Telemetry, client: async_nats::Client) {
//! let producer = nats::Producer::wrap(telemetry, client)
//!     .server("nats.example.com", 4222)
//!     .client_id("orders-7");
//! # }
//! ```
//!
//! # Batches
//!
//! Every stream of messages can be taken in [`batches`](Messages::batches), by count and time; then
//! a batch has a span of receiving too. Or a [`Batch`](crate::Batch) is made of what a consumer has
//! fetched, which ends by itself; what came before an error is then delivered again. Either is
//! processed in one span:
//!
//! ```
//! use futures::TryStreamExt as _;
//! use otel_messaging::{Batch, nats};
//!
//! # async fn store<T>(orders: &[T]) -> anyhow::Result<()> { Ok(()) }
//! async fn next_hundred(consumer: &nats::jetstream::Consumer) -> Result<(), async_nats::Error> {
//!     let orders = consumer.fetch().max_messages(100).messages().await?;
//!     let orders = Batch::from(orders.try_collect::<Vec<_>>().await?);
//!     orders.process(async |orders| store(orders).await).await?;
//!     for order in orders.iter() {
//!         order.ack().await?;
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Stored messages
//!
//! A message that a consumer delivers belongs to its writer's trace, however often it is delivered;
//! the policy can set it otherwise for those [delivered
//! before](crate::policy::Rule::redelivered). A message that is read out of a stream by itself is
//! linked to its writer's trace and is never part of it: see [`Consumer::stored`].
//!
//! # What the headers of a message become
//!
//! | on the message | written | read |
//! |---|---|---|
//! | `traceparent`, `tracestate`, `baggage` | one each, in place of every case variant | exact name first, then any case |
//! | `Xraceparent`, which servers before 2.14 make of `traceparent` | never, and goes with it | where there is no `traceparent` in any case |
//! | two different traceparents | never | the last one that parses; the other is linked and counted |
//! | malformed values | kept if they are not ours | count as absent |
//! | values that are not UTF-8 | never | not at all, see below |
//! | all other headers | kept; their order is the client's, which has none among different names | left alone |
//!
//! Headers count toward the server's `max_payload`, and a stream takes no more than 64 KiB of them.
//! What would push a message over either is left out and counted in
//! `otel_messaging.context.problems`: baggage first, then tracestate, then the whole context.
//!
//! A stream's own `max_message_size`, which counts the block of headers and the payload, no client
//! knows; [`max_message_bytes`](crate::policy::Rule::max_message_bytes) says so. A message with a
//! context of ours that a stream or the client refuses for its size is counted as `refused_for_size`.
//!
//! Over a header that is not UTF-8 async-nats drops the connection and connects again, wrapped or not.
//! That message and what was behind it on a core subscription are gone. A stream delivers it again, so
//! that a JetStream consumer hangs at that message.
//!
//! A server from 2.11 on takes part if its account has `msg_trace` set: a sampled `traceparent` makes it
//! trace the message's path through the servers too. With `Nats-Trace-Dest` it says that
//! it did not; that header, like all that begin with `Nats-`, is not for forwarding.

pub mod attributes;
mod carrier;
mod consumer;
mod producer;
mod settle;

/// JetStream: streams that keep messages and acknowledge them.
pub mod jetstream {
    pub use super::consumer::jetstream::{Consumer, Sequence};
    pub use super::consumer::{BatchBuilder, FetchBuilder, StreamBuilder};
    pub use super::producer::jetstream::{Producer, PublishAckFuture};
}

pub use async_nats;

#[cfg(feature = "__internal")]
#[doc(hidden)]
pub use self::carrier::internal;
pub use self::carrier::{extract, inject};
pub use self::consumer::{Batches, Consumer, Deliveries, Messages, Taken};
pub use self::producer::Producer;
