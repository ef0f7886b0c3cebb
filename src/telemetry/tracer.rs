//! The tracer, which may be there later than its users.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::global::{BoxedSpan, BoxedTracer};
use opentelemetry::trace::{Span as _, SpanBuilder, TraceContextExt as _, Tracer as _};

use super::context::{active_span, copied};
use super::globals;

/// A tracer that, unless given, is taken from the global provider once there is one: a tracer taken
/// before a provider is set would stay without effect for ever.
#[derive(Default)]
pub(super) struct LateTracer {
    resolved: OnceLock<BoxedTracer>,
    is_missing_reported: AtomicBool,
}

impl LateTracer {
    pub(super) fn start(&self, builder: SpanBuilder, parent: &Context) -> StartedSpan {
        let root = of_root(parent);
        let seen = root.as_ref().unwrap_or(parent);
        if let Some(tracer) = self.resolved.get() {
            return StartedSpan::within(parent, tracer.build_with_context(builder, seen));
        }
        let tracer = globals::tracer();
        let started = StartedSpan::within(parent, tracer.build_with_context(builder, seen));
        // OpenTelemetry's no-op tracer cannot be asked for; it shows by spans that have no id of
        // their own.
        if started.is_ours {
            let _ = self.resolved.set(tracer);
        } else if !self.is_missing_reported.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "no tracer provider: messages go through and carry the context they are given, \
                 but no span is recorded; set a global provider or give one to `Telemetry`"
            );
        }
        started
    }
}

/// What the tracer is shown of a context whose span has no identity: the SDK's default sampler takes
/// such a span for a parent that is not sampled. A span cannot be taken out of a context, and nor can
/// all else be copied out of it; baggage is what span processors look for.
fn of_root(parent: &Context) -> Option<Context> {
    let has_no_parent = parent.has_active_span() && active_span(parent).is_none();
    has_no_parent.then(|| match parent.baggage() {
        none if none.is_empty() => Context::new(),
        baggage => Context::new().with_baggage(copied(baggage.iter())),
    })
}

impl From<BoxedTracer> for LateTracer {
    fn from(tracer: BoxedTracer) -> Self {
        Self {
            resolved: OnceLock::from(tracer),
            is_missing_reported: AtomicBool::new(false),
        }
    }
}

/// A span that was asked for, in the context of its parent.
pub(crate) struct StartedSpan {
    /// That of the span; of its parent where the tracer gave no span with an identity of its own,
    /// having no provider or one that was shut down.
    pub(crate) context: Context,
    /// Whether the span of the context is the one that was asked for.
    pub(crate) is_ours: bool,
    /// Whether it is that one and is recorded.
    pub(crate) is_recording: bool,
}

impl StartedSpan {
    /// No span, so that what is current stays so.
    pub(crate) fn nothing(parent: &Context) -> Self {
        Self {
            context: parent.clone(),
            is_ours: false,
            is_recording: false,
        }
    }

    /// Nothing is ever asked of a span that is not recorded but its identity.
    fn within(parent: &Context, span: BoxedSpan) -> Self {
        let identity = span.span_context();
        if !identity.is_valid() || identity.span_id() == parent.span().span_context().span_id() {
            return Self::nothing(parent);
        }
        let is_recording = span.is_recording();
        Self {
            context: if is_recording {
                parent.with_span(span)
            } else {
                parent.with_remote_span_context(identity.clone())
            },
            is_ours: true,
            is_recording,
        }
    }
}
