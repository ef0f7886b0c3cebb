//! NATS and JetStream, with the client [`async_nats`].
//!
//! | call | span | starts | ends |
//! |---|---|---|---|
//! | [`Producer::publish`] and its variants | `publish {subject}`, PRODUCER | when the message is handed to the client | when the client has taken it; the delivery is not confirmed |
//! | [`Producer::request`] and its variants | `request {subject}`, PRODUCER | when the request is handed to the client | with the answer, or without one in time |
//! | [`jetstream::Producer::publish`] and its variants | `publish {subject}`, PRODUCER | when the message is handed to the client | with the acknowledgement by the stream |
//! | [`Producer::publish_batch`], [`Producer::publish_batch_with_contexts`] | `create {subject}`, PRODUCER, for each message; `publish {subject}`, CLIENT | when it is first polled | when the client has taken the last one |
//! | [`jetstream::Producer::publish_batch`], [`jetstream::Producer::publish_batch_with_contexts`] | as above | when it is first polled | with the last acknowledgement |
//! | [`Batches::recv`](Batches) | `next {subject}`, CLIENT | with the wait | with the delivery of the batch |
//! | [`Received::process`](crate::Received::process), [`Received::start_process_span`](crate::Received::start_process_span) | `process {subject}`, CONSUMER | when the handler is called | with the handler's outcome |
//! | `respond` of a micro-service's request | `publish {reply subject}`, PRODUCER | when the answer is handed to the client | when the client has taken it |
//! | `ack`, `ack_with` | `ack`, `nak` or `term {subject}`, CLIENT | with the call | when the client has taken it; the delivery is not confirmed |
//! | `double_ack`, `double_ack_with` | `double_ack`, `double_nak` or `double_term {subject}`, CLIENT | with the call | with the server's answer |
//!
//! Receiving a single message has a span `next {subject}` only if the
//! [`policy`](crate::policy::Rule::receive_spans) asks for it. If an error comes instead, the span
//! names the subject or pattern that the consumer asked for, or else its stream. Calls of JetStream's own API, such
//! as the request for a next batch, have no spans; if one fails that messages were waited for by, that is
//! a receive operation that failed.
//!
//! A plain request is answered, in its handler, by publishing to its `reply`: the span is
//! `publish _INBOX`, in the trace of the request.
//!
//! A status of the server, such as 503 for a request without responders, reaches the application as
//! it does with the bare client. It is not counted as a message, and processing it has no span. An
//! answer of a micro-service with `Nats-Service-Error` or its code is returned as any other. The
//! span of the request then has an error, for example `service_error_400`.
//!
//! ```no_run
//! use anyhow::Context as _;
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
//! let order = orders.next().await.context("the connection is closed")?;
//! order
//!     .process(async |order| -> anyhow::Result<()> {
//!         println!("{}: {:?}", order.subject, order.payload);
//!         Ok(())
//!     })
//!     .await?;
//!
//! let context = async_nats::jetstream::new(client);
//! let producer = nats::jetstream::Producer::wrap(&telemetry, context.clone());
//! let ack = producer.publish("orders.43", "a lamp".into()).await?.await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Loops that go on
//!
//! A handler fails, a stream is not there yet, a server is gone for a while: none of this ends the service. This loop is
//! `examples/nats/jetstream.rs` of the repository, which its examples run. Copy it and make it yours.
//!
//! ```
//! use std::fmt;
//! use std::pin::{Pin, pin};
//! use std::time::Duration;
//!
//! use anyhow::Context as _;
//! use async_nats::HeaderMap;
//! use async_nats::jetstream::consumer::pull;
//! use async_nats::jetstream::{AckKind, Message};
//! use futures::StreamExt as _;
//! use otel_messaging::Received;
//! use otel_messaging::nats::jetstream::{Consumer, Producer};
//! use tokio::time::sleep;
//!
//! /// How often a message is tried.
//! const ATTEMPTS: i64 = 3;
//!
//! /// Before a message is delivered again, and before the consumer is looked up again.
//! const PAUSE: Duration = Duration::from_millis(500);
//!
//! /// How often a server that has no messages shows that it is there. Without it, nobody would look up the consumer again.
//! const HEARTBEAT: Duration = Duration::from_secs(15);
//!
//! /// Handles one message of a stream after the other until `stop` is ready. A failed handler does not end it, nor does a
//! /// stream that is not there yet or a server that is gone for a while.
//! ///
//! /// `look_up` returns the consumer, and makes it where there is none. A message that fails is delivered again after a
//! /// pause. When it fails in the last attempt, it goes to the subject `dead_letters`, which has to be one of a stream. The
//! /// server counts deliveries, not attempts: a handler that takes longer than the consumer's `ack_wait` has fewer of them.
//! /// The consumer's `max_deliver` is unset, or well above the attempts: beyond it the server gives a message up, and it is in
//! /// no dead letters.
//! pub async fn consume<E: fmt::Debug + fmt::Display + 'static>(
//!     look_up: impl AsyncFn() -> anyhow::Result<Consumer<pull::Config>>,
//!     producer: &Producer,
//!     dead_letters: &str,
//!     stop: impl Future<Output = ()>,
//!     handle: impl AsyncFn(&Message) -> Result<(), E>,
//! ) {
//!     let mut stop = pin!(stop);
//!     loop {
//!         let consumed = look_up_and_consume(&look_up, stop.as_mut(), async |message| {
//!             let handled = message.process(async |message| handle(message).await).await;
//!             let settled = settle(message, handled, producer, dead_letters).await;
//!             if let Err(error) = settled {
//!                 // The server has no answer, and delivers it again.
//!                 eprintln!("{}: {error:#}", message.subject);
//!             }
//!         });
//!         let Err(error) = consumed.await else { return };
//!         eprintln!("{error:#}");
//!         tokio::select! {
//!             () = &mut stop => return,
//!             () = sleep(PAUSE) => {}
//!         }
//!     }
//! }
//!
//! /// The same with one consumer, as long as that is good.
//! async fn look_up_and_consume(
//!     look_up: impl AsyncFn() -> anyhow::Result<Consumer<pull::Config>>,
//!     mut stop: Pin<&mut impl Future<Output = ()>>,
//!     handle: impl AsyncFn(&Received<Message>),
//! ) -> anyhow::Result<()> {
//!     let looking_up = async {
//!         let consumer = look_up().await?;
//!         // One at a time: what waits in the client for longer than `ack_wait` is delivered again, and counts as tried.
//!         let messages = consumer.stream().max_messages_per_batch(1);
//!         anyhow::Ok(messages.heartbeat(HEARTBEAT).messages().await?)
//!     };
//!     let mut messages = tokio::select! {
//!         () = &mut stop => return Ok(()),
//!         looked_up = looking_up => looked_up?,
//!     };
//!     loop {
//!         let message = tokio::select! {
//!             biased;
//!             () = &mut stop => return Ok(()),
//!             next = messages.next() => next.context("no more messages")??,
//!         };
//!         handle(&message).await;
//!     }
//! }
//!
//! /// Tells the server what became of a message.
//! async fn settle<E: fmt::Display>(
//!     message: &Received<Message>,
//!     handled: Result<(), E>,
//!     producer: &Producer,
//!     dead_letters: &str,
//! ) -> Result<(), async_nats::Error> {
//!     let Err(error) = handled else {
//!         return message.double_ack().await;
//!     };
//!     let attempt = message.info()?.delivered;
//!     eprintln!("{}, attempt {attempt}: {error:#}", message.subject);
//!     if attempt < ATTEMPTS {
//!         return message.ack_with(AckKind::Nak(Some(PAUSE))).await;
//!     }
//!     // With the headers that it came with, and so in its trace; but not those that tell the server what to do.
//!     let mut headers = HeaderMap::new();
//!     for (name, values) in message.headers.iter().flat_map(HeaderMap::iter) {
//!         if !name.to_string().starts_with("Nats-") {
//!             values
//!                 .iter()
//!                 .for_each(|value| headers.append(name.clone(), value.clone()));
//!         }
//!     }
//!     let subject = dead_letters.to_owned();
//!     let sent = producer.publish_with_headers(subject, headers, message.payload.clone());
//!     sent.await?.await?;
//!     message.double_ack_with(AckKind::Term).await
//! }
//! ```
//!
//! This is the one for core NATS, `examples/nats/consume.rs`:
//!
//! ```
//! use std::fmt;
//! use std::pin::pin;
//! use std::time::Duration;
//!
//! use async_nats::{Message, Subscriber};
//! use futures::StreamExt as _;
//! use otel_messaging::nats::Messages;
//! use tokio::time::{sleep, timeout};
//!
//! /// While the connection is away, the client lets a subscription wait for its end, and what it has already may be lost.
//! const PATIENCE: Duration = Duration::from_secs(10);
//!
//! /// Handles one message after the other until `stop` is ready, and then those that the client has already. A failed handler
//! /// does not end it.
//! ///
//! /// Core NATS delivers a message once at most: one that fails, or that comes while there is no connection, is lost. The
//! /// client connects and subscribes again by itself, unless it has tried as often as its `max_reconnects`.
//! pub async fn consume<E: fmt::Debug + fmt::Display + 'static>(
//!     mut messages: Messages<Subscriber>,
//!     stop: impl Future<Output = ()>,
//!     handle: impl AsyncFn(&Message) -> Result<(), E>,
//! ) {
//!     let (mut stop, mut is_draining) = (pin!(stop), false);
//!     loop {
//!         let next = tokio::select! {
//!             biased;
//!             () = &mut stop, if !is_draining => {
//!                 is_draining = matches!(timeout(PATIENCE, messages.drain()).await, Ok(Ok(())));
//!                 if is_draining { continue } else { return }
//!             }
//!             next = messages.next() => next,
//!             () = sleep(PATIENCE), if is_draining => return,
//!         };
//!         // Drained, or the program has closed the connection or unsubscribed, or the client has given the connection up.
//!         let Some(message) = next else { return };
//!         if let Err(error) = message.process(async |message| handle(message).await).await {
//!             eprintln!("{}: {error:#}", message.subject);
//!         }
//!     }
//! }
//! ```
//!
//! # Many at a time
//!
//! `examples/nats/concurrent.rs` of the repository is a loop that handles several messages of JetStream at a time, each in
//! a task of its own, which acknowledges it. When it is to stop, it finishes what it has begun. A message is moved into a
//! task as it is, and processed there, in its own trace.
//!
//! What a handler spawns is in the trace where it is [given the context](crate::Received::process):
//!
//! ```
//! use async_nats::Message;
//! use opentelemetry::context::FutureExt as _;
//!
//! # async fn mail_receipt() {}
//! async fn handle(order: &Message) -> anyhow::Result<()> {
//!     tokio::spawn(mail_receipt().with_current_context());
//!     Ok(())
//! }
//! ```
//!
//! # The clients of async-nats
//!
//! | client | wrapped by | gives |
//! |---|---|---|
//! | `Client`, to send | [`Producer`] | `publish`, `request` and their variants, `publish_batch`, `publish_batch_with_contexts`, and the client's own `Publisher`, `Requester`, `Subscriber` and `TimeoutProvider` |
//! | `Client`, to subscribe | [`Consumer`] | `subscribe`, `queue_subscribe`; `endpoint` of a micro-service; `stored` messages |
//! | `jetstream::Context` | [`jetstream::Producer`] | `publish`, `publish_with_headers`, `send_publish`, `publish_batch`, `publish_batch_with_contexts`, and all of the context's own traits; a span of their `Publisher` ends when the client has taken the message |
//! | `PullConsumer` | [`jetstream::Consumer`] | `messages`, `stream`, `fetch`, `batch`, `sequence` |
//! | `PushConsumer`, both ordered ones | [`jetstream::Consumer`] | `messages` |
//!
//! # Names
//!
//! On spans, the destination is the subject of the message. Subjects are often unbounded, one for
//! each order for example. Span names and metrics have the first of these that applies; spans have
//! it as `messaging.destination.template`.
//!
//! | in span names and on metrics | for |
//! |---|---|
//! | a [`template`](crate::policy::Rule::template) of the policy | all subjects that match the rule |
//! | the prefix of the client's inboxes, `_INBOX` unless it was set | the client's own inboxes |
//! | the pattern of the subscription, or the filter of the consumer | subscriptions and consumers with wildcards |
//! | the name of the stream | consumers without a filter, and stored messages |
//! | `_INBOX`, or another first token | other inboxes, whose first token begins with an underscore by the practice of NATS: `_R_shop` for `_R_shop.7` |
//! | the first two tokens and `.>` | longer subjects of the server, which begin with `$`: `$KV.orders.>` for a key of a bucket, `$JS.ACK.>` |
//! | nothing | answers of micro-services, if none of the above applies |
//! | the subject itself | all others; set a template if you publish to many subjects |
//!
//! Inboxes and the subjects of answers of micro-services are temporary. Only
//! [`max_destination_names`](crate::Telemetry::max_destination_names) names are used for all
//! subscriptions of a client together, because senders choose the subject of an answer; templates
//! of the policy are not counted. Span names and metrics leave further names out.
//!
//! For messages of several subjects, the template that they share is used. Without one, for example
//! when they are published to subjects without a template, their span has no destination. The link
//! or the create span of each message has its own.
//!
//! The client does not show the address that it has connected to, and the name that a server gives
//! itself is often another one. To have the server on spans and metrics, set it on the wrapper, and
//! the client's id too:
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
//! Every stream of messages can be taken in [`batches`](Messages::batches), limited by count and
//! time. These have a span of receiving. Or make a [`Batch`](crate::Batch) from messages that a
//! consumer has fetched. If fetching fails, the messages before the error are delivered again. Both
//! are processed in one span:
//!
//! ```
//! use std::time::Duration;
//! use futures::TryStreamExt as _;
//! use otel_messaging::{Batch, nats};
//!
//! # async fn store<T>(orders: &[T]) -> anyhow::Result<()> { Ok(()) }
//! async fn next_hundred(consumer: &nats::jetstream::Consumer) -> Result<(), async_nats::Error> {
//!     // Where there are none, one is waited for so long. Unset, a lost answer of the server is waited for without an end.
//!     let orders = consumer.fetch().max_messages(100).expires(Duration::from_secs(5));
//!     let orders = orders.messages().await?;
//!     let orders = Batch::from(orders.try_collect::<Vec<_>>().await?);
//!     orders.process(async |orders| store(orders).await).await?;
//!     for order in orders.iter() {
//!         order.ack().await?;
//!     }
//!     Ok(())
//! }
//! ```
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
//! # Stored messages
//!
//! A message that a consumer delivers belongs to its writer's trace, however often it is delivered.
//! From the second delivery on, its spans have the number of the delivery as
//! [`DELIVERY_ATTEMPT`](crate::semconv::attributes::DELIVERY_ATTEMPT), and the policy can set otherwise for
//! messages that were [delivered before](crate::policy::Rule::redelivered). A message that is read from a stream directly links
//! to its writer's trace, and is never part of it: see [`Consumer::stored`].
//!
//! # Headers
//!
//! | on the message | written | read |
//! |---|---|---|
//! | `traceparent`, `tracestate`, `baggage` | one each, in place of every case variant | exact name first, then any case |
//! | `Xraceparent`, which servers before 2.14 make of `traceparent` | never; removed with `traceparent` | if there is no `traceparent` in any case |
//! | two different traceparents | never | the last valid one; the other is linked and counted |
//! | malformed values | replaced in context headers, kept in others | ignored |
//! | values that are not UTF-8 | never | never, see below |
//! | all other headers | kept; the client does not keep the order of different names | unchanged |
//!
//! A server limits headers and payload together by `max_payload`, and a stream accepts at most 64
//! KiB of headers. A context that would make a message larger is left out and counted in
//! `otel_messaging.context.problems`: first the baggage, then the tracestate, then all of it.
//!
//! The client does not know the `max_message_size` of a stream, for headers and payload together, nor a `max_payload` of
//! the account or user: it keeps that of the server's first INFO. Set the smallest with
//! [`max_message_bytes`](crate::policy::Rule::max_message_bytes). A message that has a context of this crate and is
//! refused for its size, by the stream or the client, is counted as `refused_for_size`.
//!
//! If a header is not UTF-8, or its name has a space or another byte that is not graphic, async-nats drops the connection
//! and connects again, wrapped or not. Over a CR in a value that no LF follows, the task of its connection panics, and the
//! client is of no use any more. On a core subscription, that message and those behind it are lost. A stream delivers it
//! again, so a JetStream consumer makes no progress beyond that message.
//!
//! A server from 2.11 on also traces the path of a message with a sampled `traceparent` through the
//! servers, if its account has `msg_trace` set. If its own sampling decides against it, it adds the
//! header `Nats-Trace-Dest: trace disabled`. Do not forward headers that begin with `Nats-`.
//!
//! # Testing
//!
//! With the feature `testing`, a `TestConsumer`, also that of `jetstream`, delivers messages to your
//! handlers without a server, and a `TestProducer` keeps what they publish. The crate's module
//! `testing` has examples.

pub mod attributes;
mod carrier;
mod consumer;
mod producer;
mod settle;

/// JetStream: streams that store messages and acknowledge them.
pub mod jetstream {
    pub use super::consumer::jetstream::{Consumer, Sequence};
    #[cfg(feature = "testing")]
    pub use super::consumer::testing::jetstream::{TestConsumer, TestMessage};
    pub use super::consumer::{BatchBuilder, FetchBuilder, StreamBuilder};
    pub use super::producer::jetstream::{Producer, PublishAckFuture};
}

pub use async_nats;

#[cfg(feature = "__internal")]
#[doc(hidden)]
pub use self::carrier::internal;
pub use self::carrier::{extract, inject};
pub use self::consumer::{Batches, Consumer, Deliveries, Messages, Taken};
#[cfg(feature = "testing")]
pub use self::consumer::{TestConsumer, TestMessage};
pub use self::producer::Producer;
#[cfg(feature = "testing")]
pub use self::producer::TestProducer;
