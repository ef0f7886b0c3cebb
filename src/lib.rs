//! OpenTelemetry tracing for the clients of Kafka, RabbitMQ and NATS.
//!
//! [architecture]: https://docs.rs/crate/otel-messaging/latest/source/ARCHITECTURE.md
//! [contributing]: https://docs.rs/crate/otel-messaging/latest/source/CONTRIBUTING.md
//! [changes]: https://docs.rs/crate/otel-messaging/latest/source/CHANGELOG.md
//! [security]: https://docs.rs/crate/otel-messaging/latest/source/SECURITY.md
//!
#![cfg_attr(
    any(
        not(doctest),
        all(feature = "amqp", feature = "kafka", feature = "nats")
    ),
    doc = include_str!("../README.md")
)]
//!
//! ## Example
//!
//! ```no_run
//! # #[cfg(feature = "kafka")] mod example {
//! use otel_messaging::{Telemetry, kafka};
//! use rdkafka::ClientConfig;
//! use rdkafka::consumer::StreamConsumer;
//! use rdkafka::producer::FutureProducer;
//!
//! # async fn handle(order: &rdkafka::message::BorrowedMessage<'_>) -> anyhow::Result<()> { Ok(()) }
//! async fn example(config: &ClientConfig) -> anyhow::Result<()> {
//!     let telemetry = Telemetry::new();
//!     let producer = kafka::Producer::wrap(&telemetry, config.create::<FutureProducer>()?);
//!     let consumer = kafka::Consumer::wrap(&telemetry, config.create::<StreamConsumer>()?);
//!
//!     let order = consumer.recv().await?;
//!     order.process(async |order| handle(order).await).await
//! }
//! # }
//! ```
//!
//! ## Map
//!
//! - [`Telemetry`]: the settings of a wrapped client: providers, propagator, policy and limits.
//! - `kafka`, `amqp`, `nats`: producers and consumers; `inject` and `extract` work without them.
//! - [`policy`]: what is recorded, and which contexts are trusted, for each destination.
//! - [`Received`], [`Batch`]: a delivered message with its creation context, or many of them.
//! - [`ProcessSpan`], [`Outcome`], [`HandlerError`]: the processing of a message, and how it ended.
//! - [`w3c`]: the propagator, which can also be your global one.
//! - [`propagators`]: formats of other systems, to be read while they are being migrated.
//! - [`text`], [`environment`]: context where there are no headers: in a column, in a payload, for a process.
//! - [`semconv`]: the names of the conventions, and what has been renamed.
//! - [`guide::troubleshooting`]: where a trace breaks, and what shows it.
//! - [`guide::migrating`], [`guide::decisions`]: from hand-written carriers; parent or link, batches, trust, sampling.
//! - [`guide::service_map`]: which edges maps of services draw, and with which counts.
//! - [`guide::what_it_costs`]: the page for whoever has to agree to it.
//! - `with_tracing`: spans and log lines of programs that record them with `tracing`.
//! - `testing`: tests of your handlers, without a broker.
//!
//! ## Terms
//!
//! Most terms are from OpenTelemetry's conventions for messaging; the heading is linked.
//!
//! - **Creation context**: the context that a message's producer has written into its headers. It
//!   connects all operations on the message. ([Context propagation])
//! - **Ambient context**: the context that is current where a message is sent or processed, with its
//!   active span and its baggage; with the feature `tracing`, the span may be one of `tracing`. ([Message creation context as parent of "Process" span])
//! - **Process span**: the span around the application's handling of a message or a batch. Receiving
//!   and settling the message are other operations. ([Consumer spans])
//! - **Settle**: to notify the broker of the result of processing: a commit, `ack`, `nack`, `reject`
//!   or `term`. ([Consumer])
//! - **Template**: a name that many destinations share, such as `orders.{id}`, or the pattern
//!   `orders.*` of a subscription. It replaces their names in span names and on metrics.
//!   ([Span name])
//! - **Temporary and anonymous destination**: a temporary one exists only as long as its user, such
//!   as a reply queue or an inbox; an anonymous one has a name that the broker has generated. Without
//!   a template, neither is in span names. ([Temporary and anonymous destinations])
//! - **Batch**: messages that are sent by one call, or that are received and processed together, with
//!   one span for all of them. ([Operation types], [Batch receiving])
//! - **Origin**: the span and the trace in which a message was created, which its creation context
//!   identifies. A batch has as many origins as its messages come from. The term is this crate's.
//!
//! [Context propagation]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-spans.md#context-propagation
//! [Message creation context as parent of "Process" span]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-spans.md#message-creation-context-as-parent-of-process-span
//! [Consumer spans]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-spans.md#consumer-spans
//! [Consumer]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-spans.md#consumer
//! [Span name]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-spans.md#span-name
//! [Operation types]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-spans.md#operation-types
//! [Temporary and anonymous destinations]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-spans.md#temporary-and-anonymous-destinations
//! [Batch receiving]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-spans.md#batch-receiving
//!
//! ## Rules that hold everywhere
//!
//! - A wrapped client has the results, errors, order, back-pressure and cancellation of the bare one.
//!   This crate has no queue, task or retry of its own: `send` of Kafka's `FutureProducer` and batches that
//!   JetStream acknowledges wait for room in the client as the client's own calls do.
//! - A span ends once: with success, an error, a panic (which continues), or when it is dropped.
//! - No header can cause a panic, or cost more than time linear in its length. A header that cannot
//!   be read is ignored.
//! - A panic of other telemetry code does not reach your code. That is a sampler, a span or log
//!   processor, a propagator, an error classifier, or the text of an error. The message is sent or delivered; the
//!   panic is logged once and counted. A panic of your handler continues. With `panic = "abort"`,
//!   every panic ends the program.
//! - A trace is not cut by a consumer loop with a span of its own, by a provider that was shut down,
//!   or by sending a message on after its handler has ended.
//! - If telemetry is suppressed in the ambient context, messages are sent and received as by the bare
//!   client.

#![cfg_attr(docsrs, feature(doc_cfg))]
#[cfg_attr(
    not(all(feature = "amqp", feature = "kafka", feature = "nats")),
    allow(
        dead_code,
        unused_imports,
        reason = "some of it serves one client alone"
    )
)]
mod engine;
pub mod environment;
pub mod guide;
pub mod policy;
pub mod propagators;
#[cfg(feature = "sampler")]
mod sampler;
pub mod semconv;
mod telemetry;
pub mod text;
pub mod w3c;

#[cfg(feature = "__internal")]
#[doc(hidden)]
pub mod internal;

#[cfg(feature = "amqp")]
pub mod amqp;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(feature = "nats")]
pub mod nats;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "tracing")]
pub mod with_tracing;

pub use opentelemetry;

pub use crate::engine::batch::{Batch, Batches};
pub use crate::engine::received::{Message, Received};
pub use crate::engine::span::ProcessSpan;
#[cfg(feature = "sampler")]
pub use crate::sampler::LinkedSampler;
pub use crate::semconv::outcome::{HandlerError, Outcome};
pub use crate::telemetry::Telemetry;
