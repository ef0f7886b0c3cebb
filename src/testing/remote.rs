//! Spans of other programs.

use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// A sampled span of another program, which no recorder has, to be the parent of what is tested.
///
/// Each call gives another span in another trace.
///
/// ```
/// use otel_messaging::testing::remote_span;
///
/// let (shop, billing) = (remote_span(), remote_span());
///
/// assert!(shop.is_valid() && shop.is_sampled() && shop.is_remote());
/// assert_ne!(shop.trace_id(), billing.trace_id());
/// ```
#[must_use]
pub fn remote_span() -> SpanContext {
    static CALLS: AtomicU64 = AtomicU64::new(1);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    SpanContext::new(
        TraceId::from(TRACES + u128::from(call)),
        SpanId::from(call),
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    )
}

/// Ids of traces that are seen to be made up.
const TRACES: u128 = 0x7e57_0000_0000_0000_0000_0000_0000_0000;
