//! Recorder, span assertions and a drawing of traces for tests and examples.
//!
//! - [`Recorder`] keeps finished spans, metrics and log records in memory; the code under test takes its
//!   [`Recorder::telemetry`].
//! - [`ExpectedSpan`], [`ExpectedMetric`] and [`ExpectedLog`] compare a whole span, metric or log
//!   record and list every difference.
//! - [`TraceTree`] draws the spans of one or more services as text.
//!
//! No broker, collector or global provider is needed, so tests may run side by side.
//!
//! # Examples
//!
//! ```
//! use otel_messaging::testing::opentelemetry_sdk::trace::SdkTracer;
//! use otel_messaging::testing::{ExpectedSpan, Recorder, TraceTree};
//! use opentelemetry::trace::{Link, Span, SpanContext, SpanKind, Tracer, TracerProvider};
//! use opentelemetry::KeyValue;
//!
//! // The code under test: one service sends an order, another bills it.
//! fn send_order(tracer: &SdkTracer) -> SpanContext {
//!     let mut span = tracer
//!         .span_builder("send orders")
//!         .with_kind(SpanKind::Producer)
//!         .with_attributes([KeyValue::new("messaging.destination.name", "orders")])
//!         .start(tracer);
//!     span.end();
//!     span.span_context().clone()
//! }
//!
//! fn bill_order(tracer: &SdkTracer, order: SpanContext) {
//!     let mut span = tracer
//!         .span_builder("process orders")
//!         .with_kind(SpanKind::Consumer)
//!         .with_links(vec![Link::with_context(order)])
//!         .start(tracer);
//!     span.set_attribute(KeyValue::new("messaging.message.id", "7f2c"));
//! }
//!
//! // The test: a recorder for each service.
//! let shop = Recorder::new();
//! let billing = Recorder::new();
//!
//! let order = send_order(&shop.tracer_provider().tracer("shop"));
//! bill_order(&billing.tracer_provider().tracer("billing"), order);
//!
//! let sent = shop.span("send orders");
//! ExpectedSpan::new("send orders", SpanKind::Producer)
//!     .attribute("messaging.destination.name", "orders")
//!     .assert(&sent);
//! ExpectedSpan::new("process orders", SpanKind::Consumer)
//!     .link(&sent.span_context)
//!     .any("messaging.message.id")
//!     .assert(&billing.span("process orders"));
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
