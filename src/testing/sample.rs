//! Spans with fixed ids and times, for the tests of this module.

use std::time::{Duration, SystemTime};

use opentelemetry::KeyValue;
use opentelemetry::trace::{Link, SpanContext, SpanId, Status, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::testing::trace::new_test_export_span_data;
use opentelemetry_sdk::trace::SpanData;

pub(super) const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
pub(super) const OTHER_TRACE: u128 = 0x3fa9_4be1_ce92_9d0e_0e47_3600_f067_aa0b;
pub(super) const NO_PARENT: u64 = 0;

pub(super) fn context(trace: u128, span: u64) -> SpanContext {
    SpanContext::new(
        TraceId::from(trace),
        SpanId::from(span),
        TraceFlags::SAMPLED,
        false,
        TraceState::NONE,
    )
}

/// Span by its trace, id and parent, from and to so many microseconds.
pub(super) fn span(name: &'static str, ids: (u128, u64, u64), from: u64, to: u64) -> SpanData {
    let (trace, id, parent) = ids;
    SpanData {
        span_context: context(trace, id),
        parent_span_id: SpanId::from(parent),
        name: name.into(),
        start_time: SystemTime::UNIX_EPOCH + Duration::from_micros(from),
        end_time: SystemTime::UNIX_EPOCH + Duration::from_micros(to),
        ..new_test_export_span_data()
    }
}

pub(super) fn linked(mut span: SpanData, trace: u128, id: u64) -> SpanData {
    let link = Link::with_context(context(trace, id));
    span.links.links.push(link);
    span
}

pub(super) fn failed(mut span: SpanData, error_type: &'static str) -> SpanData {
    span.attributes
        .push(KeyValue::new("error.type", error_type));
    span.status = Status::error("");
    span
}
