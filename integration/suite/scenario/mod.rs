//! The scenarios.

mod outcomes;
mod traces;

use std::collections::HashMap;

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::SpanContext;
use otel_messaging::w3c;

use crate::Broker;

pub use self::outcomes::*;
pub use self::traces::*;

/// A list with a member that OpenTelemetry's own type cannot hold.
const TRACESTATE: &str = "foo@@bar=1,rojo=00f067aa0ba902b7";

/// The context of a service before ours, as HTTP would have brought it.
fn upstream(flags: &str) -> Context {
    let headers = HashMap::from([
        (
            "traceparent".to_owned(),
            format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}"),
        ),
        ("tracestate".to_owned(), TRACESTATE.to_owned()),
        (
            "baggage".to_owned(),
            "tenant=blue%20sky;since=2024".to_owned(),
        ),
    ]);
    w3c::Propagator::new().extract_with_context(&Context::new(), &headers)
}

fn tenant() -> Option<String> {
    Context::map_current(|context| context.baggage().get("tenant").map(ToString::to_string))
}

fn tracestate<B: Broker>(broker: &B, received: &B::Received) -> Vec<Vec<u8>> {
    broker
        .headers(received)
        .into_iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case(b"tracestate"))
        .filter_map(|(_, value)| value)
        .collect()
}

fn identity(context: &SpanContext) -> (String, String) {
    (
        context.trace_id().to_string(),
        context.span_id().to_string(),
    )
}
