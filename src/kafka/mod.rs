//! Kafka, with the client [`rdkafka`].
//!
//! | call | span | starts | ends |
//! |---|---|---|---|
//! | [`Producer::send`], [`Producer::send_result`] | `send {topic}`, PRODUCER | when the record is handed to the client | with the delivery report |
//! | [`Producer::send_batch`], [`Producer::send_batch_with_contexts`] | `create {topic}`, PRODUCER, for each record; `send {topic}`, CLIENT | when it is first polled | with the last delivery report |
//! | [`Batches::recv`] | `poll {topic}`, CLIENT | with the wait | with the delivery of the batch |
//! | [`Received::process`](crate::Received::process), [`Received::start_process_span`](crate::Received::start_process_span) | `process {topic}`, CONSUMER | when the handler is called | with the handler's outcome |
//! | [`Batch::process`](crate::Batch::process), [`Batch::start_process_span`](crate::Batch::start_process_span) | `process {topic}`, CONSUMER, with a link to each creation context | when the handler is called | with the handler's outcome |
//! | [`Consumer::commit_message`] | `commit {topic}`, CLIENT | with the call | when the call returns |
//! | `commit`, `commit_consumer_state` | the same, where a span is active or the [`policy`](crate::policy::Rule::settle_spans) asks for it | with the call | when the call returns |
//!
//! Receiving a single message has a span only if the [`policy`](crate::policy::Rule::receive_spans)
//! asks for it: `poll {topic}`, CLIENT, from the start of the wait to the delivery. If an error comes
//! instead, the span names the topic that was subscribed to or assigned through the wrapper, if it is
//! only one. The span of an
//! asynchronous commit ends when the request is queued. It does not have the broker's answer:
//! rdkafka 0.39 calls the `commit_callback` of your context for automatic commits only.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use otel_messaging::{Telemetry, kafka};
//! use rdkafka::ClientConfig;
//! use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
//! use rdkafka::message::Message as _;
//! use rdkafka::producer::{FutureProducer, FutureRecord};
//!
//! # async fn example() -> anyhow::Result<()> {
//! let mut config = ClientConfig::new();
//! config.set("bootstrap.servers", "localhost:9092").set("group.id", "billing");
//! // Else the client commits what it has delivered, handled or not.
//! config.set("enable.auto.commit", "false");
//! let telemetry = Telemetry::new();
//!
//! let producer = kafka::Producer::wrap(&telemetry, config.create::<FutureProducer>()?);
//! producer
//!     .send(FutureRecord::to("orders").key("42").payload("two books"), Duration::from_secs(5))
//!     .await
//!     .map_err(|(error, _)| error)?;
//!
//! let consumer = kafka::Consumer::wrap(&telemetry, config.create::<StreamConsumer>()?);
//! consumer.subscribe(&["orders"])?;
//! let order = consumer.recv().await?;
//! order
//!     .process(async |order| -> anyhow::Result<()> {
//!         println!("{:?}", order.payload());
//!         Ok(())
//!     })
//!     .await?;
//! consumer.commit_message(&order, CommitMode::Async)?;
//! # Ok(())
//! # }
//! ```
//!
//! # A loop that goes on
//!
//! A handler fails, a topic is not there yet, a broker is gone for a while: none of this ends the service. This loop is
//! `examples/kafka/consume.rs` of the repository, which its examples run. Copy it and make it yours.
//!
//! ```
//! use std::fmt;
//! use std::pin::pin;
//! use std::time::Duration;
//!
//! use otel_messaging::kafka;
//! use rdkafka::consumer::CommitMode;
//! use rdkafka::error::KafkaError;
//! use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Message as _};
//! use rdkafka::producer::FutureRecord;
//! use tokio::time::sleep;
//!
//! /// How often a record is tried.
//! const ATTEMPTS: u32 = 3;
//!
//! /// Between two attempts.
//! const PAUSE: Duration = Duration::from_millis(500);
//!
//! /// Handles one record after the other until `stop` is ready. A failed handler does not end it, nor does a topic that
//! /// is not there yet or a broker that is gone for a while.
//! ///
//! /// A record that fails in each attempt goes to the topic `dead_letters`. It is committed when it is done with, in
//! /// either way: what a crash interrupts is delivered again. For that, the consumer has `enable.auto.commit` set to `false`:
//! /// unset, the client commits by itself what it has delivered, done with or not.
//! ///
//! /// # Errors
//! ///
//! /// The client is of no use any more; another one has to be made.
//! pub async fn consume<E: fmt::Debug + fmt::Display + 'static>(
//!     consumer: &kafka::Consumer,
//!     producer: &kafka::Producer,
//!     dead_letters: &str,
//!     stop: impl Future<Output = ()>,
//!     handle: impl AsyncFn(&BorrowedMessage<'_>) -> Result<(), E>,
//! ) -> Result<(), KafkaError> {
//!     let mut stop = pin!(stop);
//!     loop {
//!         let received = tokio::select! {
//!             biased;
//!             () = &mut stop => return Ok(()),
//!             received = consumer.recv() => received,
//!         };
//!         let record = match received {
//!             Ok(record) => record,
//!             Err(error @ KafkaError::MessageConsumptionFatal(_)) => return Err(error),
//!             Err(error) => {
//!                 // The client tries again by itself.
//!                 eprintln!("{error}");
//!                 continue;
//!             }
//!         };
//!
//!         // Each attempt is a process span of its own.
//!         let mut attempt = 1;
//!         while let Err(error) = record.process(async |record| handle(record).await).await {
//!             eprintln!("{}, attempt {attempt}: {error:#}", record.topic());
//!             if attempt < ATTEMPTS {
//!                 attempt += 1;
//!             } else if let Err(error) = send_on(producer, dead_letters, &record).await {
//!                 // Nor may it be passed over: with a later record, it would be committed too.
//!                 eprintln!("{dead_letters}: {error}");
//!             } else {
//!                 break;
//!             }
//!             tokio::select! {
//!                 () = &mut stop => return Ok(()),
//!                 () = sleep(PAUSE) => {}
//!             }
//!         }
//!         if let Err(error) = consumer.commit_message(&record, CommitMode::Async) {
//!             eprintln!("{}: {error}", record.topic());
//!         }
//!     }
//! }
//!
//! /// Sends a record on with the headers that it came with, and so in its trace.
//! async fn send_on(
//!     producer: &kafka::Producer,
//!     topic: &str,
//!     record: &BorrowedMessage<'_>,
//! ) -> Result<(), KafkaError> {
//!     let mut next = FutureRecord::<[u8], [u8]>::to(topic);
//!     (next.key, next.payload) = (record.key(), record.payload());
//!     next.headers = record.headers().map(BorrowedHeaders::detach);
//!     let sent = producer.send(next, Duration::from_secs(5)).await;
//!     sent.map(|_| ()).map_err(|(error, _)| error)
//! }
//! ```
//!
//! # Many at a time
//!
//! `examples/kafka/concurrent.rs` of the repository is a loop that handles several records at a time, each in a task of
//! its own. It commits in order: a record when it and all before it in its partition are done with; the client does not, so
//! set `enable.auto.commit` to `false`. When it is to stop, it finishes what it has begun. A record is moved into a task by [`detach`](crate::Received::detach), and processed there,
//! in its own trace.
//!
//! What a handler spawns is in the trace where it is [given the context](crate::Received::process):
//!
//! ```
//! use opentelemetry::context::FutureExt as _;
//! use rdkafka::message::BorrowedMessage;
//!
//! # async fn mail_receipt() {}
//! async fn handle(order: &BorrowedMessage<'_>) -> anyhow::Result<()> {
//!     tokio::spawn(mail_receipt().with_current_context());
//!     Ok(())
//! }
//! ```
//!
//! # The clients of rdkafka
//!
//! | client | wrapped | gives |
//! |---|---|---|
//! | `FutureProducer` | as it is | `send`, `send_result`, `send_batch`, `send_batch_with_contexts` |
//! | `ThreadedProducer`, `BaseProducer` | created with a [`Traced`] context | `send`; the span ends before your `delivery` callback is called |
//! | `StreamConsumer` | as it is | `recv`, `stream`, `batches`, `split_partition_queue` |
//! | `BaseConsumer` | as it is | `poll`, `iter`, `split_partition_queue` |
//!
//! Your own contexts, partitioners and callbacks stay in use.
//!
//! # Forwarding in batches
//!
//! What the handler of a batch sends is in the trace of the batch, with what baggage is current there.
//! To keep the trace, the tracestate and the baggage of each origin, give each record the context
//! that it is created in, with
//! [`send_batch_with_contexts`](Producer::send_batch_with_contexts): of a received message that is
//! [`creation_context`](crate::Received::creation_context). It has nothing that the policy refuses,
//! and neither has the batch's context: what comes from strangers does not go out again.
//!
//! # Headers
//!
//! | on the record | written | read |
//! |---|---|---|
//! | `traceparent`, `tracestate`, `baggage` | one each, in place of every case variant | exact name first, then any case |
//! | two different traceparents | never | the last valid one; the other is linked and counted |
//! | null, binary or malformed values | replaced in context headers, kept in others | ignored |
//! | all other headers | kept, byte for byte and in order | unchanged |
//!
//! A context that would make a message, in a batch of its own, larger than the client's `message.max.bytes` is left out and
//! counted in `otel_messaging.context.problems`: first the baggage, then the tracestate, then all
//! of it. The client does not know the `max.message.bytes` of a topic; if that is less, set
//! [`max_message_bytes`](crate::policy::Rule::max_message_bytes). The size is calculated without
//! compression. A message that has a context and is refused
//! for its size is counted as `refused_for_size`.
//!
//! A message that is not delivered comes back with the headers that it was given, byte for byte; but see
//! [`Traced`] for a callback with `delivery.report.only.error`.
//!
//! # Testing
//!
//! With the feature `testing`, a `TestConsumer` delivers messages to your handlers without a broker,
//! and a `TestCluster` keeps what they send. The crate's module `testing` has examples.

pub mod attributes;
mod carrier;
mod consumer;
mod native;
mod producer;
mod settle;

pub use rdkafka;

#[cfg(feature = "__internal")]
#[doc(hidden)]
pub use self::carrier::internal;
pub use self::carrier::{MessageHeaders, extract, inject};
pub use self::consumer::{
    Batches, Consumer, ConsumerClient, Iter, MessageStream, PartitionQueue, StreamPartitionQueue,
};
#[cfg(feature = "testing")]
pub use self::consumer::{TestConsumer, TestMessage};
#[cfg(feature = "testing")]
pub use self::producer::TestCluster;
pub use self::producer::{DeliveryFuture, Producer, Traceable, Traced, TracedOpaque};
pub use self::settle::Committable;
