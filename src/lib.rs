//! Distributed traces that survive message queues.
//!
//! The context of a trace has to be written into the headers of a message by its producer and read
//! back by its consumer. This crate does that for the clients that people already use, and wraps
//! them in spans that follow OpenTelemetry's conventions for messaging.
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
//! # Features
//!
//! Of these only `policy-files` is on by default.
//!
//! | feature | brings |
//! |---|---|
//! | `amqp` | the module `amqp`, over `lapin` without its default features |
//! | `kafka` | the module `kafka`, over `rdkafka` without its default features |
//! | `nats` | the module `nats`, over `async-nats` without its default features, JetStream and micro-services included |
//! | `policy-files` | policies from TOML files and texts, over `toml` and `serde` |
//! | `sampler` | `LinkedSampler`, over `opentelemetry_sdk` |
//! | `testing` | the module `testing`, for your own tests |
//! | `full` | all of them |
//!
//! # Map
//!
//! - [`Telemetry`]: where spans and metrics go and how context travels; each wrapper is given one.
//! - `kafka`, `amqp`, `nats`: producer, consumer and carriers; `inject` and `extract` of each work
//!   alone.
//! - [`policy`]: what is recorded, and which contexts are trusted, destination by destination.
//! - [`Received`]: a message and the context that it was created in.
//! - [`ProcessSpan`], [`Outcome`], [`HandlerError`]: processing a message, and how it ended.
//! - [`w3c`]: the propagator; it can be your global one too.
//! - [`semconv`]: the keys that the conventions name.
//!
//! # Terms
//!
//! Most are those of OpenTelemetry's conventions for messaging; their headings are linked.
//!
//! - **Creation context**: the context that a message's producer gave it, in its headers. It ties all
//!   that is done to the message together. ([Context propagation])
//! - **Ambient context**: the context that is current where a message is sent or processed, with its
//!   active span and its baggage. ([Message creation context as parent of "Process" span])
//! - **Process span**: the span around the application's handling of a message or a batch; a
//!   [`ProcessSpan`] has one. Receiving the message, and settling it, are other operations.
//!   ([Consumer spans])
//! - **Settle**: to notify the broker of what became of a message: a commit, `ack`, `nack`, `reject` or
//!   `term`. ([Consumer])
//! - **Template**: a name that many destinations share, such as `orders.{id}`, or `orders.*` as it was
//!   subscribed to. It takes the place of their names in span names and on metrics. ([Span name])
//! - **Temporary and anonymous destination**: temporary is one that is gone with its user, such as a
//!   reply queue or an inbox; anonymous is one whose name the broker chose. Without a template, neither
//!   is in span names. ([Temporary and anonymous destinations])
//! - **Batch**: messages that are sent under one call, or that are received and processed together,
//!   with one span for all of them. ([Operation types], [Batch receiving])
//! - **Origin**: the span and the trace that a message was created in, which its creation context
//!   names. A batch has as many origins as its messages come from. The term is this crate's.
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
//! # Rules that hold everywhere
//!
//! - A wrapped client has the results, errors, order, back-pressure and cancellation of the bare one.
//!   Nothing here queues, spawns or retries.
//! - A span ends once: with success, an error, a panic (which goes on) or when it is dropped.
//! - No header can cause a panic, or cost more than time linear in its length. One that cannot be
//!   read counts as absent.
//! - A panic of telemetry code that is not ours (a sampler, a span processor, a propagator, an error
//!   classifier, the text of an error) ends there: the message goes out, the result comes back. It is
//!   logged once and counted. A handler's own panic goes on. (Built with `panic = "abort"`, any panic
//!   ends the program.)
//! - A trace is not cut: by a consumer loop with a span of its own, by a provider that was shut down,
//!   or by sending a message on after its handler has ended.
//! - Where telemetry is suppressed in the current context, messages go out and come in as if this
//!   crate were not there.

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
pub mod policy;
#[cfg(feature = "sampler")]
mod sampler;
pub mod semconv;
mod telemetry;
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

pub use opentelemetry;

pub use crate::engine::batch::{Batch, Batches};
pub use crate::engine::received::{Message, Received};
pub use crate::engine::span::ProcessSpan;
#[cfg(feature = "sampler")]
pub use crate::sampler::LinkedSampler;
pub use crate::semconv::outcome::{HandlerError, Outcome};
pub use crate::telemetry::Telemetry;

#[cfg(all(doctest, feature = "kafka"))]
#[doc = include_str!("../README.md")]
struct Readme;
