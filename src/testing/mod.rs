//! Tests of your own handlers without a broker: messages in, asserted spans out.
//!
//! - [`Recorder`] keeps finished spans, metrics and log records in memory; the code under test takes its
//!   [`Recorder::telemetry`].
//! - `TestConsumer` and `TestMessage` of each client give the [`Received`](crate::Received) message or
//!   the [`Batch`](crate::Batch) that a handler takes.
//! - [`ExpectedSpan`], [`ExpectedMetric`] and [`ExpectedLog`] compare what was recorded with what a
//!   test names, or `exactly`, and list every difference.
//! - [`TraceTree`] draws the spans of one or more services as text, also for snapshots.
//!
//! No broker, collector or global provider is needed, so tests may run side by side, and each takes
//! milliseconds.
//!
//! ```
//! # #[cfg(feature = "kafka")] mod example {
//! use opentelemetry::trace::SpanKind;
//! use otel_messaging::testing::{ExpectedSpan, Recorder, remote_span};
//! use otel_messaging::{Received, kafka};
//! use rdkafka::ClientConfig;
//!
//! // The handler under test.
//! async fn handle(order: &Received<impl kafka::MessageHeaders>) -> Result<(), std::num::ParseIntError> {
//!     order
//!         .process(async |order| {
//!             let books: u32 = String::from_utf8_lossy(order.payload().unwrap_or_default()).parse()?;
//!             println!("{books} books");
//!             Ok(())
//!         })
//!         .await
//! }
//!
//! # pub async fn test() {
//! // Message in ...
//! let recorder = Recorder::new();
//! let consumer = kafka::TestConsumer::new(&recorder.telemetry(), &ClientConfig::new());
//! let shop = remote_span();
//! let order = kafka::TestMessage::of("orders").payload("two").created_by(&shop);
//! let handled = handle(&consumer.deliver(order)).await;
//!
//! // ... spans out: the shop's trace goes on, and the error is seen in it.
//! assert!(handled.is_err());
//! ExpectedSpan::new("process orders", SpanKind::Consumer)
//!     .child_of(&shop)
//!     .link(&shop)
//!     .error("core::num::error::ParseIntError")
//!     .assert(&recorder.span("process orders"));
//! # }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! #     #[cfg(feature = "kafka")]
//! #     example::test().await;
//! # }
//! ```
//!
//! # Messages for a handler
//!
//! Each client has a stand-in for its wrapped consumer, which delivers as that does: counted, with
//! the spans of receiving that the policy asks for, single or by `deliver_batch`. A `TestMessage` is
//! in the context of the test's choice: `created_by` a span, `created_in` a context with baggage, or
//! with headers as other languages write them.
//!
//! A message that comes again is one that is `redelivered()` for RabbitMQ, and one that was
//! `delivered(2)` times for JetStream; its spans have the
//! [number](crate::semconv::attributes::DELIVERY_ATTEMPT). Kafka and core NATS do not tell: deliver a clone.
//!
//! | stand-in | delivers | does not have |
//! |---|---|---|
//! | `kafka::TestConsumer` | `Received<OwnedMessage>` | a `BorrowedMessage`, which only a client makes: take `&Received<impl kafka::MessageHeaders>`. Commits, the cluster's id, the lag |
//! | `amqp::TestConsumer` | `Received<Delivery>`, `Received<BasicGetMessage>` | a broker that hears of `ack`, `nack` and `reject`: the first returns `Ok(true)`, later ones `Ok(false)` |
//! | `nats::TestConsumer` | `Received<Message>`, `Received<StreamMessage>` | a `Request` to a micro-service, which only the client makes |
//! | `nats::jetstream::TestConsumer` | `Received<jetstream::Message>` | a server: `ack` and its siblings return the client's error, at once |
//!
//! # What a handler sends
//!
//! | client | in a test |
//! |---|---|
//! | rdkafka | `kafka::TestCluster`, which librdkafka has in the process, to send to with a `kafka::Producer` and to look at what was sent |
//! | async-nats | `nats::TestProducer`, for code that takes `&impl Publisher`; it keeps what is published |
//! | JetStream, lapin | none: only a connection makes an acknowledgement or a channel |
//!
//! Their pages have examples. Where there is none, the handler takes what sends as a closure. What
//! is current where that is called is what a producer writes:
//!
//! ```
//! # #[cfg(feature = "amqp")] mod example {
//! use std::sync::Mutex;
//!
//! use lapin::message::Delivery;
//! use opentelemetry::Context;
//! use opentelemetry::trace::SpanKind;
//! use otel_messaging::testing::{ExpectedSpan, Recorder, remote_span};
//! use otel_messaging::{Received, amqp};
//!
//! // In production the closure calls `basic_publish` of an `amqp::Producer`.
//! async fn bill<F>(order: &Received<Delivery>, publish: impl Fn(Vec<u8>) -> F) -> lapin::Result<()>
//! where
//!     F: Future<Output = lapin::Result<()>>,
//! {
//!     order.process(async |order| publish(order.data.clone()).await).await
//! }
//!
//! # pub async fn test() -> lapin::Result<()> {
//! let recorder = Recorder::new();
//! let connection = amqp::ConnectionInfo::new();
//! let orders = amqp::TestConsumer::new(&recorder.telemetry(), &connection, "orders");
//! let sent = Mutex::new(Vec::new());
//! let publish = async |bill: Vec<u8>| {
//!     let message = amqp::TestMessage::of("bills").payload(bill);
//!     sent.lock().unwrap().push(message.created_in(&Context::current()));
//!     Ok(())
//! };
//!
//! let order = amqp::TestMessage::of("orders").payload("two books").created_by(&remote_span());
//! bill(&orders.deliver(order), publish).await?;
//!
//! // What was sent goes on to the next service.
//! let bills = amqp::TestConsumer::new(&recorder.telemetry(), &connection, "bills");
//! let bill = bills.deliver(sent.into_inner().unwrap().remove(0));
//! bill.process(async |bill| assert_eq!(bill.data, b"two books")).await;
//!
//! let order = recorder.span("process orders").span_context;
//! ExpectedSpan::new("process bills", SpanKind::Consumer)
//!     .child_of(&order)
//!     .link(&order)
//!     .assert(&recorder.span("process bills"));
//! # Ok(())
//! # }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! #     #[cfg(feature = "amqp")]
//! #     example::test().await.unwrap();
//! # }
//! ```
//!
//! # Several services
//!
//! A recorder for each service, and one drawing of all:
//!
//! ```
//! use opentelemetry::trace::{Link, Span, SpanKind, Tracer, TracerProvider};
//! use otel_messaging::testing::{Recorder, TraceTree};
//!
//! let (shop, billing) = (Recorder::new(), Recorder::new());
//!
//! let tracer = shop.tracer_provider().tracer("shop");
//! let mut send = tracer.span_builder("send orders").with_kind(SpanKind::Producer).start(&tracer);
//! send.end();
//! let tracer = billing.tracer_provider().tracer("billing");
//! tracer
//!     .span_builder("process orders")
//!     .with_kind(SpanKind::Consumer)
//!     .with_links(vec![Link::with_context(send.span_context().clone())])
//!     .start(&tracer)
//!     .end();
//!
//! let tree = TraceTree::new()
//!     .service("shop", shop.spans())
//!     .service("billing", billing.spans());
//! println!("{tree}");
//! ```
//!
//! prints
//!
//! ```text
//! trace 4bf92f3577b34da6a3ce929d0e0e4736 (1 span, 1 service, 10.1 ms)
//! send orders     PRODUCER  shop      10.1 ms
//!
//! trace 3fa94be1ce929d0e0e473600f067aa0b (1 span, 1 service, 900.0 µs)
//! process orders  CONSUMER  billing  900.0 µs
//!    ⇠ link to send orders in trace 4bf92f35…
//! ```

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a failed assertion panics, and that is what this module is for"
)]

mod expect;
mod recorder;
mod remote;
#[cfg(test)]
mod sample;
mod tree;

pub use self::expect::{ExpectedLog, ExpectedMetric, ExpectedSpan};
pub use self::recorder::{Histogram, Recorder};
pub use self::remote::remote_span;
pub use self::tree::TraceTree;
pub use opentelemetry_sdk;

// Spelt here, not taken from `semconv`: an assertion that shares a key with the code under test
// cannot see that the key is wrong.
const ERROR_TYPE: &str = "error.type";
