//! The scenarios.

mod ambient;
mod batches;
mod carried;
mod decisions;
mod deprecated;
mod destinations;
mod diagnosis;
mod exceptions;
mod fan_back;
mod formats;
mod forwarded;
mod handlers_in_tracing;
mod in_tracing;
mod list;
mod log_lines;
mod metrics;
mod outcomes;
mod panics;
mod policy;
mod receives;
mod retries;
mod sampling;
mod sends;
mod settling;
mod several;
mod shown_baggage;
mod spawned;
mod strangers;
mod traces;
mod tracing;

use std::collections::HashMap;

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::context::FutureExt as _;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use otel_messaging::{Received, w3c};

use crate::{Broker, Header, Message};

pub use self::ambient::*;
pub use self::batches::*;
pub use self::carried::*;
pub use self::decisions::*;
pub use self::deprecated::*;
pub use self::destinations::*;
pub use self::diagnosis::*;
pub use self::exceptions::*;
pub use self::fan_back::*;
pub use self::formats::*;
pub use self::forwarded::*;
pub use self::handlers_in_tracing::*;
pub use self::in_tracing::*;
pub use self::log_lines::*;
pub use self::metrics::*;
pub use self::outcomes::*;
pub use self::panics::*;
pub use self::policy::*;
pub use self::receives::*;
pub use self::retries::*;
pub use self::sampling::*;
pub use self::sends::*;
pub use self::settling::*;
pub use self::several::*;
pub use self::shown_baggage::*;
pub use self::spawned::*;
pub use self::strangers::*;
pub use self::traces::*;
pub use self::tracing::*;

/// A list with a member that OpenTelemetry's own type cannot hold.
const TRACESTATE: &str = "foo@@bar=1,rojo=00f067aa0ba902b7";

/// What a service before ours sent.
fn upstream_fields(flags: &str) -> [(&'static str, String); 3] {
    [
        (
            "traceparent",
            format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}"),
        ),
        ("tracestate", TRACESTATE.to_owned()),
        ("baggage", "tenant=blue%20sky;since=2024".to_owned()),
    ]
}

/// The context of a service before ours, as HTTP would have brought it.
fn upstream(flags: &str) -> Context {
    let headers = upstream_fields(flags).map(|(name, value)| (name.to_owned(), value));
    w3c::Propagator::new().extract_with_context(&Context::new(), &HashMap::from(headers))
}

/// The span that a `traceparent` names.
fn w3c_context(traceparent: &str) -> SpanContext {
    let headers = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
    let context = w3c::Propagator::new().extract_with_context(&Context::new(), &headers);
    context.span().span_context().clone()
}

/// The span in that service which the context names.
fn upstream_span() -> SpanContext {
    upstream("01").span().span_context().clone()
}

/// What it sent, as the headers of a message.
fn upstream_headers() -> Vec<Header> {
    let fields = upstream_fields("01").into_iter();
    fields.map(|(name, value)| header(name, &value)).collect()
}

fn header(name: &str, value: &str) -> Header {
    (name.as_bytes().to_vec(), Some(value.as_bytes().to_vec()))
}

/// An order with just these headers, sent by somebody who does not know of us.
async fn send_bare<B: Broker>(broker: &B, orders: &str, headers: Vec<Header>) {
    let order = Message {
        headers,
        ..Message::new("order-7")
    };
    let bare = Context::new().with_telemetry_suppressed();
    broker.send(orders, &order).with_context(bare).await;
}

fn tenant() -> Option<String> {
    Context::map_current(|context| context.baggage().get("tenant").map(ToString::to_string))
}

/// The values that a message has under this name.
fn values<B: Broker>(broker: &B, received: &Received<B::Message>, name: &str) -> Vec<String> {
    broker
        .headers(received)
        .into_iter()
        .filter(|(header, _)| header.eq_ignore_ascii_case(name.as_bytes()))
        .filter_map(|(_, value)| String::from_utf8(value?).ok())
        .collect()
}

fn tracestate<B: Broker>(broker: &B, received: &Received<B::Message>) -> Vec<String> {
    values(broker, received, "tracestate")
}

fn identity(context: &SpanContext) -> (String, String) {
    (
        context.trace_id().to_string(),
        context.span_id().to_string(),
    )
}
