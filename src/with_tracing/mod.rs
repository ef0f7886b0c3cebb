//! Messages in a program that records its spans with [`tracing`](https://docs.rs/tracing) and
//! [tracing-opentelemetry](https://docs.rs/tracing-opentelemetry/0.34). Feature `tracing`.
//!
//! # Set-up
//!
//! Two lines beside those that such a program has anyway: [`Tracer`] around the tracer of the layer,
//! and [`ProcessSpans`] as one more layer. [`TraceIds`] is for those who read their log lines as text or as
//! JSON.
//!
//! ```
//! use opentelemetry::trace::TracerProvider as _;
//! use opentelemetry_sdk::trace::SdkTracerProvider;
//! use otel_messaging::with_tracing::{ProcessSpans, TraceIds, Tracer};
//! use tracing_subscriber::fmt;
//! use tracing_subscriber::layer::SubscriberExt as _;
//!
//! let provider = SdkTracerProvider::default();
//! let tracer = Tracer::new(provider.tracer("shop"));
//! let subscriber = tracing_subscriber::registry()
//!     .with(tracing_opentelemetry::layer().with_tracer(tracer))
//!     .with(ProcessSpans)
//!     .with(fmt::layer().map_event_format(TraceIds::new));
//! # let _guard =
//! tracing::subscriber::set_default(subscriber);
//! ```
//!
//! The other layers may stand in any order and have filters of their own.
//!
//! # What is current
//!
//! OpenTelemetry and `tracing` each know of something that is current. For all that this crate does,
//! whatever the broker, this decides, and the first that holds counts:
//!
//! 1. In a handler, a span of `tracing` that was opened in it.
//! 2. The span that is active in OpenTelemetry's current context.
//! 3. The current span of `tracing`, with OpenTelemetry's current baggage.
//!
//! The first and the third are of use where the layer does not activate contexts
//! (`OpenTelemetryLayer::with_context_activation(false)`): where it does, as it does unset, a span that is entered is in
//! OpenTelemetry's current context. A context that was attached with nothing in it is an empty one, and nothing of
//! `tracing` takes its place; nor does anything where telemetry is suppressed.
//!
//! Without the feature `tracing` the second alone holds.
//!
//! # In a handler
//!
//! The span that [`Received::process`](crate::Received::process) starts is one of OpenTelemetry's. With the
//! set-up above, a span of `tracing` named `process` stands for it while the handler is polled:
//!
//! - Spans that are opened in the handler are its children, with activation of contexts and without.
//! - `error!` marks the process span as failed, as it does any span of `tracing`, and events are recorded on it.
//!   An event inside another span that was opened in the handler belongs to that one.
//! - Attributes that are set on `tracing::Span::current()`, by `OpenTelemetrySpanExt`, are set on it.
//! - Log lines have `process` among their spans, and whoever takes the ids of
//!   `tracing::Span::current()` has those of the process span.
//!
//! It has the level `ERROR` and the target `otel_messaging::process`, is there whatever is filtered,
//! and is not exported a second time. A handler that is written with
//! [`start_process_span`](crate::Received::start_process_span) enters it by
//! [`ProcessSpan::tracing_span`](crate::ProcessSpan::tracing_span).
//!
//! Without the set-up, or without the feature, an event directly in a handler belongs to the span of `tracing` that is
//! around it, such as that of a consumer loop, or to none: `error!` marks the loop as failed. Where the layer
//! does not activate contexts, spans of a handler are then children of the loop, too.
//!
//! # Ids in log lines
//!
//! Lines that are written inside a handler have the ids of what is current: by [`TraceIds`], and as OpenTelemetry's log
//! records by `opentelemetry-appender-tracing`. The latter reads OpenTelemetry's current context alone, so
//! it needs activation. A formatter that takes ids from `tracing::Span::current()` is right in a handler only
//! with the set-up above.
//!
//! # What else there is to know
//!
//! - `OpenTelemetrySpanExt::set_parent` has no effect on a span that was started, which is always so in
//!   the body of an `#[instrument]`ed function. There is no need for it: the parent of a process span
//!   comes from its message.
//! - A task that is spawned has nothing current: `tracing`'s `in_current_span` and OpenTelemetry's
//!   `with_current_context` give it what the spawning task has. A future of a wrapped client keeps what is current
//!   where it is made.
//! - Samplers and span processors may log with `tracing`. With [`TraceIds`], or where they send messages, what they log
//!   while a span starts waits for ever for that span, unless the tracer of the layer is a [`Tracer`] of this module.
//!   With that, such a line has the ids of OpenTelemetry's current context.
//! - A subscriber that panics costs no message, but the handler then goes on without the span of `tracing`.

mod current;
mod process_spans;
mod stand_in;
#[cfg(test)]
mod tests;
mod trace_ids;
mod tracer;

pub(crate) use self::current::inside_of;
pub use self::process_spans::ProcessSpans;
pub(crate) use self::stand_in::StandIn;
pub use self::trace_ids::TraceIds;
pub use self::tracer::{Span, Tracer};
