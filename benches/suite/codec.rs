//! The crate's codec of `traceparent`.

use opentelemetry::trace::{SpanContext, TraceState};

use crate::w3c::traceparent::TraceParent;

pub fn parse(value: &[u8]) -> Option<SpanContext> {
    let parsed = TraceParent::parse(value)?;
    Some(SpanContext::new(
        parsed.trace_id,
        parsed.parent_id,
        parsed.flags,
        true,
        TraceState::NONE,
    ))
}

pub fn write(span: &SpanContext) -> [u8; 55] {
    TraceParent {
        trace_id: span.trace_id(),
        parent_id: span.span_id(),
        flags: span.trace_flags(),
    }
    .write()
}
