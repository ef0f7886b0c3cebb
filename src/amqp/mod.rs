//! RabbitMQ and whatever else speaks AMQP 0.9.1, by the client [`lapin`].
//!
//! | call | span | starts | ends |
//! |---|---|---|---|
//! | [`Producer::basic_publish`] | `publish {destination}`, PRODUCER | when the message is handed to the client | with the broker's confirm; on a channel without confirms when the message is written |
//! | [`Producer::publish_batch`] | `create {destination}`, PRODUCER, for each message; `publish {destination}`, CLIENT | when it is first polled | with the last confirm; on a channel without confirms when all are written |
//! | [`Received::process`](crate::Received::process), [`Received::start_process_span`](crate::Received::start_process_span) | `process {destination}`, CONSUMER | when the handler is called | with the handler's outcome |
//! | [`Consumer::set_delegate`] | the same | when the delegate is called | with the delegate's outcome |
//! | [`Received::ack`](crate::Received::ack), [`nack`](crate::Received::nack), [`reject`](crate::Received::reject) | `ack {destination}` and so on, CLIENT | when the future is first polled | when the call returns |
//! | [`Consumer::batches`] | `consume {destination}`, CLIENT | with the wait for the first delivery | with the batch |
//! | [`Batch::process`](crate::Batch::process) | `process {destination}`, CONSUMER, of all its deliveries | when the handler is called | with the handler's outcome |
//! | [`Consumer`] as a stream, [`Consumer::basic_get`] | `consume {destination}`, `get {destination}`, CLIENT; only where the [policy](crate::policy) wants it | with the wait | with the delivery |
//!
//! Nothing is settled for the user: whether a handler failed and whether its message was
//! acknowledged are two facts.
//!
//! ```no_run
//! use futures::StreamExt as _;
//! use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions};
//! use lapin::types::FieldTable;
//! use lapin::{BasicProperties, Connection, ConnectionProperties};
//! use otel_messaging::{Telemetry, amqp};
//!
//! # async fn example() -> anyhow::Result<()> {
//! let uri = "amqp://localhost:5672/%2f";
//! let connection = Connection::connect(uri, ConnectionProperties::default()).await?;
//! let channel = connection.create_channel().await?;
//! channel.confirm_select(ConfirmSelectOptions::default()).await?;
//! let telemetry = Telemetry::new();
//!
//! let producer = amqp::Producer::wrap(&telemetry, (&connection, uri), channel.clone());
//! producer
//!     .basic_publish(
//!         "".into(),
//!         "orders".into(),
//!         BasicPublishOptions::default(),
//!         b"two books",
//!         BasicProperties::default(),
//!     )
//!     .await?
//!     .await?;
//!
//! let consumer = channel
//!     .basic_consume(
//!         "orders".into(),
//!         "billing".into(),
//!         BasicConsumeOptions::default(),
//!         FieldTable::default(),
//!     )
//!     .await?;
//! let mut orders = amqp::Consumer::wrap(&telemetry, (&connection, uri), consumer);
//! while let Some(order) = orders.next().await {
//!     let order = match order {
//!         Ok(order) => order,
//!         Err(error) => {
//!             channel.wait_for_recovery(error).await?;
//!             continue;
//!         }
//!     };
//!     order
//!         .process(async |order| -> anyhow::Result<()> {
//!             println!("{:?}", order.data);
//!             Ok(())
//!         })
//!         .await?;
//!     order.ack(BasicAckOptions::default()).await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Confirms
//!
//! | the broker | [`CONFIRMATION`](attributes::CONFIRMATION) | `error.type` |
//! |---|---|---|
//! | took the message | `ack` | |
//! | took it and had no queue for it, though it was `mandatory` | `returned` | the reply code, `no-route` |
//! | refused it | `nack` | `nack` |
//! | was not asked: the channel has no confirms | `not_requested` | |
//! | has not answered when the confirm is dropped | | |
//!
//! The client gives a returned message with the confirm that comes next. With several messages in
//! flight that may be another's, and its span says `returned`;
//! [`publish_batch`](Producer::publish_batch) sorts those of its messages.
//!
//! # Destinations
//!
//! A producer's is `exchange:routing_key`, a consumer's `exchange:routing_key:queue`, each without
//! the parts that are empty; a queue that is named like the routing key is named once. Nothing at all
//! is `amq.default`.
//!
//! The names of spans and metrics have a template instead where the name itself tells that it is one
//! of many. Of each part there is
//!
//! | of | in the template |
//! |---|---|
//! | a name that the server made up: `amq.gen-…`, `amq.rabbitmq.reply-to.…` | its beginning, `amq.gen`; it is marked as temporary and anonymous |
//! | one that a client made up: `spring.gen-…` (Spring AMQP), `orders.anonymous.…` (Spring Cloud Stream), `easynetq.response.…`, `…_bus_…` (`MassTransit`), `amq_0x…` (aio-pika) | the same |
//! | a name with a UUID in it, with hyphens or without | `{uuid}` in its place |
//! | a routing key on `amq.topic`, `amq.fanout`, `amq.headers`, `amq.match` or `amq.rabbitmq.trace`, where it is not what queues are found by, or only in part | nothing |
//! | a queue that the user calls [temporary](Consumer::temporary_queue) | nothing |
//!
//! Nobody tells a client what kind an exchange of the user's is, nor whether a reply queue with a name
//! of the user's own, such as `replies-{host}`, is one of many. Where routing keys or such queues are
//! without number, set a [template](crate::policy::Rule::template).
//!
//! # Deliveries that come again
//!
//! The number of a delivery is on its spans, from 1: what the broker says by `redelivered`,
//! `x-delivery-count` and `x-death`, of which those deaths count that follow a delivery. Whatever is
//! past the first attempt is [redelivered](crate::policy::Rule::redelivered) to a policy. The context
//! is that of the first producer, however often a message comes.
//!
//! # Time in queue
//!
//! It counts from the `timestamp` property, which has whole seconds. Brokers from 3.12 on can be told
//! to set that and the header `timestamp_in_ms` (`message_interceptors.incoming.set_header_timestamp`);
//! then it counts from the millisecond. A header of another second than the property is one that was
//! forwarded, and counts only where there is no property.
//!
//! # What the headers of a message become
//!
//! | in the table | written | read |
//! |---|---|---|
//! | `traceparent`, `tracestate`, `baggage` | one each, a long string, in place of every case variant | exact name first, then any case; from long strings, byte arrays and short strings |
//! | the same, of any other type or malformed | | count as absent |
//! | all other headers | kept, of whatever type | left alone |
//!
//! # Sizes
//!
//! The headers of a message have to fit into one frame, and the broker closes the connection with all
//! its channels if they do not. What would make them too large is left out and counted in
//! `otel_messaging.context.problems`: baggage first, then tracestate, then the whole context. That is
//! why whoever is wrapped says of [which connection](ConnectionInfo) it is.
//!
//! The broker's own limit, `max_message_size`, is one for the body alone, so that no context pushes a
//! message over it. What stands behind the broker may count otherwise: a proxy with smaller frames, a
//! shovel to another system. [`max_message_bytes`](crate::policy::Rule::max_message_bytes) of a
//! destination is a limit for the body and the frame of its headers together. A refusal for size
//! (`CONTENT_TOO_LARGE`, `FRAME_ERROR`, or `PRECONDITION_FAILED` with a text that speaks of the message
//! size) is counted as `refused_for_size` for each message with a context of ours that was under way:
//! the broker closes the channel or the connection, and does not say for which one.

pub mod attributes;
mod carrier;
mod consumer;
mod producer;
mod settle;

pub use lapin;

pub use self::attributes::connection::ConnectionInfo;
#[cfg(feature = "__internal")]
#[doc(hidden)]
pub use self::carrier::internal;
pub use self::carrier::{extract, inject};
pub use self::consumer::{Batches, Consumer, ConsumerDelegate, DeliveryResult, Traceable};
pub use self::producer::{Producer, Publish, PublisherConfirm};
pub use self::settle::Settleable;
