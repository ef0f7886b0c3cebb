//! RabbitMQ, or another broker for AMQP 0.9.1, with the client [`lapin`].
//!
//! | call | span | starts | ends |
//! |---|---|---|---|
//! | [`Producer::basic_publish`] | `publish {destination}`, PRODUCER | when the message is handed to the client | with the broker's confirm; on a channel without confirms when the message is written |
//! | [`Producer::publish_batch`], [`Producer::publish_batch_with_contexts`] | `create {destination}`, PRODUCER, for each message; `publish {destination}`, CLIENT | when it is first polled | with the last confirm; on a channel without confirms when all are written |
//! | [`Received::process`](crate::Received::process), [`Received::start_process_span`](crate::Received::start_process_span) | `process {destination}`, CONSUMER | when the handler is called | with the handler's outcome |
//! | [`Consumer::set_delegate`] | the same | when the delegate is called | with the delegate's outcome |
//! | [`Received::ack`](crate::Received::ack), [`nack`](crate::Received::nack), [`reject`](crate::Received::reject) | `ack`, `nack` or `reject {destination}`, CLIENT | when the future is first polled | when the call returns |
//! | [`Consumer::batches`] | `consume {destination}`, CLIENT | with the wait for the first delivery | with the batch |
//! | [`Batch::process`](crate::Batch::process) | `process {destination}`, CONSUMER, of all its deliveries | when the handler is called | with the handler's outcome |
//! | [`Consumer`] as a stream, [`Consumer::basic_get`] | `consume {destination}`, `get {destination}`, CLIENT; only if the [policy](crate::policy::Rule::receive_spans) asks for it | with the wait | with the delivery |
//!
//! Messages are settled by your calls only. An error of the handler does not settle its message,
//! and settling is not part of the handler's outcome. If an error comes instead of a delivery, the
//! span of the wait names the queue.
//!
//! ```no_run
//! use anyhow::{Context as _, ensure};
//! use futures::StreamExt as _;
//! use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions};
//! use lapin::types::FieldTable;
//! use lapin::{BasicProperties, Confirmation, Connection, ConnectionProperties};
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
//! let confirmation = producer
//!     .basic_publish(
//!         "".into(),
//!         "orders".into(),
//!         // Where no queue is there for it, it comes back.
//!         BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() },
//!         b"two books",
//!         BasicProperties::default().with_delivery_mode(2), // on disk, in a durable queue
//!     )
//!     .await?
//!     .await?;
//! ensure!(confirmation == Confirmation::Ack(None), "not taken: {confirmation:?}");
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
//! let order = orders.next().await.context("cancelled by the broker")??;
//! order
//!     .process(async |order| -> anyhow::Result<()> {
//!         println!("{:?}", order.data);
//!         Ok(())
//!     })
//!     .await?;
//! order.ack(BasicAckOptions::default()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # A loop that goes on
//!
//! A handler fails, a queue is not there yet, the connection is lost: none of this ends the service. This loop is
//! `examples/amqp/consume.rs` of the repository, which its examples run. Copy it and make it yours.
//!
//! ```
//! use std::fmt;
//! use std::pin::{Pin, pin};
//! use std::time::Duration;
//!
//! use anyhow::Context as _;
//! use futures::StreamExt as _;
//! use lapin::message::Delivery;
//! use lapin::options::{
//!     BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions, ConfirmSelectOptions,
//! };
//! use lapin::types::FieldTable;
//! use lapin::{Connection, ConnectionProperties};
//! use otel_messaging::Telemetry;
//! use otel_messaging::amqp::{self, ConnectionInfo};
//! use tokio::time::{sleep, timeout};
//!
//! /// Before a message is tried again, and before the next connection.
//! const PAUSE: Duration = Duration::from_millis(500);
//!
//! /// For a connection, and for each answer over it. One that is lost may leave the client waiting for ever.
//! const PATIENCE: Duration = Duration::from_secs(10);
//!
//! /// Handles one message of a queue after the other until `stop` is ready. A failed handler does not end it, nor does a
//! /// queue that is not there yet or a broker that is gone for a while.
//! ///
//! /// A message that fails goes back into the queue once. When it fails again, the broker takes it to the dead-letter
//! /// exchange of the queue, which is an argument of its declaration. The broker counts deliveries, not tries: a message
//! /// that the client has fetched when the loop or the connection ends, one at most, counts as tried.
//! ///
//! /// The handler is given a producer on the same connection. Its waits for the broker need an end too.
//! pub async fn consume<E: fmt::Debug + fmt::Display + 'static>(
//!     telemetry: &Telemetry,
//!     uri: &str,
//!     name: &str,
//!     queue: &str,
//!     stop: impl Future<Output = ()>,
//!     handle: impl AsyncFn(&Delivery, &amqp::Producer) -> Result<(), E>,
//! ) {
//!     let mut stop = pin!(stop);
//!     while let Err(error) =
//!         connect_and_consume(telemetry, uri, name, queue, stop.as_mut(), &handle).await
//!     {
//!         // What was delivered and not acknowledged is delivered again.
//!         eprintln!("{queue}: {error}");
//!         tokio::select! {
//!             () = &mut stop => return,
//!             () = sleep(PAUSE) => {}
//!         }
//!     }
//! }
//!
//! /// The same over one connection, as long as that is good.
//! async fn connect_and_consume<E: fmt::Debug + fmt::Display + 'static>(
//!     telemetry: &Telemetry,
//!     uri: &str,
//!     name: &str,
//!     queue: &str,
//!     mut stop: Pin<&mut impl Future<Output = ()>>,
//!     handle: &impl AsyncFn(&Delivery, &amqp::Producer) -> Result<(), E>,
//! ) -> anyhow::Result<()> {
//!     let connecting = timeout(PATIENCE, connect(telemetry, uri, name, queue));
//!     let (connection, producer, mut messages) = tokio::select! {
//!         () = &mut stop => return Ok(()),
//!         connected = connecting => connected??,
//!     };
//!     loop {
//!         let message = tokio::select! {
//!             biased;
//!             () = &mut stop => break,
//!             next = messages.next() => next.context("cancelled by the broker")??,
//!         };
//!         let handled = message.process(async |message| handle(message, &producer).await);
//!         let settled = match handled.await {
//!             Ok(()) => timeout(PATIENCE, message.ack(BasicAckOptions::default())).await,
//!             Err(error) => {
//!                 eprintln!("{queue}: {error:#}");
//!                 sleep(PAUSE).await;
//!                 let options = BasicNackOptions {
//!                     requeue: !message.redelivered,
//!                     ..BasicNackOptions::default()
//!                 };
//!                 timeout(PATIENCE, message.nack(options)).await
//!             }
//!         };
//!         settled.context("the connection takes no acknowledgement")??;
//!     }
//!     // All is settled: a connection that does not close in time is dropped.
//!     let _ = timeout(PATIENCE, connection.close(200, "".into())).await;
//!     Ok(())
//! }
//!
//! async fn connect(
//!     telemetry: &Telemetry,
//!     uri: &str,
//!     name: &str,
//!     queue: &str,
//! ) -> lapin::Result<(Connection, amqp::Producer, amqp::Consumer)> {
//!     let connection = Connection::connect(uri, ConnectionProperties::default()).await?;
//!     let channel = connection.create_channel().await?;
//!     channel
//!         .confirm_select(ConfirmSelectOptions::default())
//!         .await?;
//!     // What is fetched and then not tried counts as tried.
//!     channel.basic_qos(1, BasicQosOptions::default()).await?;
//!     let consumer = channel
//!         .basic_consume(
//!             queue.into(),
//!             "".into(),
//!             BasicConsumeOptions::default(),
//!             FieldTable::default(),
//!         )
//!         .await?;
//!     let known = ConnectionInfo::of(&connection).uri(uri).client_id(name);
//!     let producer = amqp::Producer::wrap(telemetry, &known, channel);
//!     let messages = amqp::Consumer::wrap(telemetry, &known, consumer);
//!     Ok((connection, producer, messages))
//! }
//! ```
//!
//! The client can also recover by itself (`ConnectionProperties::enable_auto_recover`). Then a stream gives an error
//! for a lost connection, and the next message after `channel.wait_for_recovery(error)`.
//!
//! # Many at a time
//!
//! `examples/amqp/concurrent.rs` of the repository is a loop that handles several deliveries at a time, each in a task of
//! its own, which settles it. When it is to stop, it finishes what it has begun. A delivery is moved into a task as it is,
//! and processed there, in its own trace.
//!
//! What a handler spawns is in the trace where it is [given the context](crate::Received::process):
//!
//! ```
//! use lapin::message::Delivery;
//! use opentelemetry::context::FutureExt as _;
//!
//! # async fn mail_receipt() {}
//! async fn handle(order: &Delivery) -> anyhow::Result<()> {
//!     tokio::spawn(mail_receipt().with_current_context());
//!     Ok(())
//! }
//! ```
//!
//! # Confirms
//!
//! | the broker … | [`CONFIRMATION`](attributes::CONFIRMATION) | `error.type` |
//! |---|---|---|
//! | took the message | `ack` | |
//! | took it and had no queue for it, though it was `mandatory` | `returned` | the reply code, `no-route` |
//! | refused it | `nack` | `nack` |
//! | was not asked: the channel has no confirms | `not_requested` | |
//! | has not answered when the confirm is dropped | | |
//!
//! The client returns a returned message with the next confirm. With several messages in flight,
//! that can be the confirm of another message, whose span then has `returned`.
//! [`publish_batch`](Producer::publish_batch) assigns returned messages to their own results.
//!
//! # Forwarding in batches
//!
//! What the handler of a batch sends is in the trace of the batch, with what baggage is current there.
//! To keep the trace, the tracestate and the baggage of each origin, give each message the context
//! that it is created in, with
//! [`publish_batch_with_contexts`](Producer::publish_batch_with_contexts): of a received message that is
//! [`creation_context`](crate::Received::creation_context). It has nothing that the policy refuses,
//! and neither has the batch's context: what comes from strangers does not go out again.
//!
//! # Destinations
//!
//! The name of a producer's destination is `exchange:routing_key`, that of a consumer's is
//! `exchange:routing_key:queue`. Empty parts are left out; a queue with the name of the routing key
//! is named once. If all parts are empty, the name is `amq.default`.
//!
//! Span names and metrics have a template instead if the name shows that it is one of many. The
//! template has these parts:
//!
//! | part of the name | in the template |
//! |---|---|
//! | a name that the server generated: `amq.gen-…`, `amq.rabbitmq.reply-to.…` | its prefix, such as `amq.gen`; the destination is temporary and anonymous |
//! | a name that a client generated: `spring.gen-…` (Spring AMQP), `orders.anonymous.…` (Spring Cloud Stream), `easynetq.response.…`, `…_bus_…` (`MassTransit`), `amq_0x…` (aio-pika) | the same |
//! | a name with a UUID in it, with hyphens or without | `{uuid}` in its place |
//! | a routing key on `amq.topic`, `amq.fanout`, `amq.headers`, `amq.match` or `amq.rabbitmq.trace`, which do not route by the whole key | nothing |
//! | a queue that is set to be [temporary](Consumer::temporary_queue) | nothing |
//!
//! The client does not know the type of an exchange that you have declared, nor whether a reply
//! queue with a name of yours, such as `replies-{host}`, is one of many. If routing keys or such
//! queues are unbounded, set a [template](crate::policy::Rule::template).
//!
//! # Redelivery
//!
//! From the second delivery on, the spans of a delivery have its number as
//! [`DELIVERY_ATTEMPT`](crate::semconv::attributes::DELIVERY_ATTEMPT), and the policy's
//! [`redelivered`](crate::policy::Rule::redelivered) applies. The number is read from `redelivered`,
//! `x-delivery-count` and those entries of `x-death` that follow a delivery. The creation context is the
//! same for every delivery.
//!
//! # Time in queue
//!
//! The time starts at the `timestamp` property, which has whole seconds. Brokers from 3.12 on can
//! be configured to set it, and the header `timestamp_in_ms` too
//! (`message_interceptors.incoming.set_header_timestamp`); then the time starts at that
//! millisecond. A header of another second than the property was forwarded, and is ignored. Without
//! the property, the header is used.
//!
//! # Headers
//!
//! | in the table | written | read |
//! |---|---|---|
//! | `traceparent`, `tracestate`, `baggage` | one each, a long string, in place of every case variant | exact name first, then any case; from long strings, byte arrays and short strings |
//! | the same, of another type or malformed | | ignored |
//! | all other headers | kept, of any type | unchanged |
//!
//! # Sizes
//!
//! The headers of a message have to fit into one frame. If they do not, the broker closes the
//! connection with all its channels. A context that would not fit is left out and counted in
//! `otel_messaging.context.problems`: first the baggage, then the tracestate, then all of it. That
//! is why a wrapper needs the [connection](ConnectionInfo).
//!
//! The broker's `max_message_size` limits the body alone, so a context cannot exceed it. Behind the
//! broker there can be other limits, such as those of a proxy with smaller frames or of a shovel to
//! another system. [`max_message_bytes`](crate::policy::Rule::max_message_bytes) limits the body
//! and the frame of the headers together.
//!
//! A refusal for size is `CONTENT_TOO_LARGE`, `FRAME_ERROR`, or `PRECONDITION_FAILED` with a text
//! about the message size. The broker closes the channel or the connection then and does not name
//! the message. It is counted as `refused_for_size` for each unconfirmed message with a context of
//! this crate.
//!
//! # Testing
//!
//! With the feature `testing`, a `TestConsumer` delivers messages to your handlers without a broker.
//! The crate's module `testing` has examples.

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
pub use self::consumer::{Batches, Consumer, ConsumerClient, ConsumerDelegate, DeliveryResult};
#[cfg(feature = "testing")]
pub use self::consumer::{TestConsumer, TestMessage};
pub use self::producer::{Producer, Publish, PublisherConfirm};
pub use self::settle::Settleable;
