//! What binds a batch to the messages in it while they are processed one by one.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _};

/// Marks the context of a batch's span.
#[derive(Debug)]
pub(crate) struct InBatch(SpanId);

impl InBatch {
    /// Marks `context` as that of the batch whose span is active in it.
    pub(crate) fn mark(context: &Context) -> Context {
        context.with_value(Self(context.span().span_context().span_id()))
    }

    /// The span of a batch, if that is the one which is active in `context`.
    pub(crate) fn active_in(context: &Context) -> Option<SpanContext> {
        let Self(batch) = context.get()?;
        let active = context.span().span_context().clone();
        (active.span_id() == *batch).then_some(active)
    }
}
