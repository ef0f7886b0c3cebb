//! W3C Trace Context (level 2) and Baggage: the headers `traceparent`, `tracestate` and `baggage`.
//!
//! Reading follows the specifications strictly, and never fails or panics: a malformed
//! `traceparent` is absent. Writing gives printable ASCII, whatever the OpenTelemetry types hold.
//!
//! Three things are kept that OpenTelemetry's own propagators lose: the random flag, `tracestate`
//! lists with keys that [`TraceState`](opentelemetry::trace::TraceState) refuses, and the
//! properties of baggage members.
//!
//! # Limits
//!
//! | header | read and written | beyond |
//! |---|---|---|
//! | `tracestate` | 32 members, by their grammar of at most 513 characters | all of it is dropped |
//! | `baggage` | 64 members, 8192 bytes | the members that do not fit are dropped |
//!
//! Wrapped clients count it among `otel_messaging.context.problems`: of a message that is processed as
//! `malformed`, and baggage of one that is sent as `baggage_left_out`, unless another propagator writes it.
//!
//! # Examples
//!
//! ```
//! use std::collections::HashMap;
//!
//! use opentelemetry::propagation::TextMapPropagator;
//! use opentelemetry::trace::TraceContextExt;
//! use otel_messaging::w3c::Propagator;
//!
//! let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03".to_owned();
//! let received = HashMap::from([("traceparent".to_owned(), traceparent)]);
//!
//! let context = Propagator::new().extract(&received);
//! assert!(context.span().span_context().is_sampled());
//!
//! let mut sent = HashMap::new();
//! Propagator::new().inject_context(&context, &mut sent);
//! assert_eq!(sent, received);
//! ```

mod baggage;
mod propagator;
pub(crate) mod traceparent;
mod tracestate;

#[cfg(test)]
mod tests;

pub(crate) use baggage::percent_decode;
#[cfg(feature = "__internal")]
pub(crate) use baggage::{MAX_BYTES as MAX_BAGGAGE_BYTES, MAX_MEMBERS as MAX_BAGGAGE_MEMBERS};
pub use propagator::Propagator;
pub(crate) use propagator::{Incoming, Outgoing, Read, span_onto};
#[cfg(feature = "__internal")]
pub(crate) use tracestate::MAX_MEMBERS as MAX_TRACESTATE_MEMBERS;

pub(crate) const TRACEPARENT: &str = "traceparent";
pub(crate) const TRACESTATE: &str = "tracestate";
pub(crate) const BAGGAGE: &str = "baggage";

/// Optional whitespace of HTTP fields; line ends and other Unicode blanks are none.
const OWS: [char; 2] = [' ', '\t'];
