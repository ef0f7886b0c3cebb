//! What OpenTelemetry's contexts leave to their users.

use opentelemetry::baggage::{Baggage, BaggageMetadata};
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry::{Context, Key, StringValue};

/// The identity of the span that is active in `context`, if there is one.
pub(crate) fn active_span(context: &Context) -> Option<SpanContext> {
    let span = context.span();
    let active = span.span_context();
    active.is_valid().then(|| active.clone())
}

/// `context` with all that it has but for its span.
pub(crate) fn without_span(context: &Context) -> Context {
    context.with_remote_span_context(SpanContext::NONE)
}

/// A copy of members of baggage.
pub(crate) fn copied<'a>(
    members: impl Iterator<Item = (&'a Key, &'a (StringValue, BaggageMetadata))>,
) -> Baggage {
    members
        .map(|(key, (value, metadata))| (key.clone(), (value.clone(), metadata.clone())))
        .collect()
}

/// Whether a context is attached to this thread, be it an empty one. OpenTelemetry tells nobody, but
/// the guard of one more shows the place that it has.
pub(crate) fn is_attached() -> bool {
    let one_more = Context::new().attach();
    !format!("{one_more:?}").contains("cx_pos: 1,")
}
