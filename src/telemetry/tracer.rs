//! The tracer, which may be there later than its users.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{Span, SpanBuilder, TraceContextExt as _, Tracer};
use opentelemetry::{Context, KeyValue};

use super::context::copied;
use super::{Component, Telemetry, globals};
use crate::semconv::deprecated;

impl Telemetry {
    /// Starts a span inside `parent`. If it is recorded it gets `attributes`, too, which sets them by
    /// the function that it is given.
    pub(crate) fn start(
        &self,
        mut builder: SpanBuilder,
        parent: &Context,
        attributes: impl FnOnce(&mut dyn FnMut(KeyValue)),
    ) -> StartedSpan {
        if self.adds_deprecated_names {
            let of_links = builder.links.iter_mut().flatten();
            let of_links = of_links.map(|link| &mut link.attributes);
            for attributes in builder.attributes.iter_mut().chain(of_links) {
                deprecated::add_to(attributes);
            }
        }
        let mut attributes = Some(attributes);
        let mut when_recorded = |set: &mut dyn FnMut(KeyValue)| {
            let Some(attributes) = attributes.take() else {
                return;
            };
            if self.adds_deprecated_names {
                // After all others: beyond the limit of the SDK they are what is dropped.
                let mut twins = Vec::new();
                attributes(&mut |attribute| {
                    twins.extend(deprecated::twin(&attribute));
                    set(attribute);
                });
                twins.into_iter().for_each(set);
            } else {
                attributes(set);
            }
        };
        self.caught(Component::Tracer, || {
            self.tracer.start(builder, parent, &mut when_recorded)
        })
        .unwrap_or_else(|| StartedSpan::nothing(parent))
    }

    /// Whether nobody has to ask for a span inside `parent` to know that it would not be recorded.
    pub(crate) fn is_known_unsampled(&self, parent: &Context) -> bool {
        let span = parent.span();
        let parent = span.span_context();
        self.sampler_follows_parent && parent.is_valid() && !parent.is_sampled()
    }
}

/// A tracer that, unless given, is taken from the global provider once there is one: a tracer taken
/// before a provider is set would stay without effect for ever.
#[derive(Default)]
pub(super) struct LateTracer {
    resolved: OnceLock<Box<dyn SpanStarter>>,
    is_missing_reported: AtomicBool,
}

/// Sets attributes by the function that it is given.
pub(super) type Attributes<'a> = dyn FnMut(&mut dyn FnMut(KeyValue)) + 'a;

/// A tracer of any type. Those of OpenTelemetry's own box have one more box around each span.
trait SpanStarter: Send + Sync {
    /// Starts a span inside `parent`; it gets `attributes` if it is recorded.
    fn start_span(
        &self,
        builder: SpanBuilder,
        parent: &Context,
        attributes: &mut Attributes<'_>,
    ) -> StartedSpan;
}

impl<T> SpanStarter for T
where
    T: Tracer<Span: Send + Sync + 'static> + Send + Sync,
{
    fn start_span(
        &self,
        builder: SpanBuilder,
        parent: &Context,
        attributes: &mut Attributes<'_>,
    ) -> StartedSpan {
        let root = of_root(parent);
        let span = self.build_with_context(builder, root.as_ref().unwrap_or(parent));
        StartedSpan::within(parent, span, attributes)
    }
}

impl LateTracer {
    pub(super) fn of(
        tracer: impl Tracer<Span: Send + Sync + 'static> + Send + Sync + 'static,
    ) -> Self {
        Self {
            resolved: OnceLock::from(Box::new(tracer) as Box<dyn SpanStarter>),
            is_missing_reported: AtomicBool::new(false),
        }
    }

    pub(super) fn start(
        &self,
        builder: SpanBuilder,
        parent: &Context,
        attributes: &mut Attributes<'_>,
    ) -> StartedSpan {
        if let Some(tracer) = self.resolved.get() {
            return tracer.start_span(builder, parent, attributes);
        }
        let tracer = globals::tracer();
        let started = tracer.start_span(builder, parent, attributes);
        // OpenTelemetry's no-op tracer cannot be asked for; it shows by spans that have no id of
        // their own.
        if started.is_ours {
            let _ = self.resolved.set(Box::new(tracer));
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
    let is_nothing = !parent.span().span_context().is_valid();
    let has_no_parent = is_nothing && parent.has_active_span();
    has_no_parent.then(|| match parent.baggage() {
        none if none.is_empty() => Context::new(),
        baggage => Context::new().with_baggage(copied(baggage.iter())),
    })
}

/// A span that was asked for, in the context of its parent.
pub(crate) struct StartedSpan {
    /// That of the span; of its parent where the tracer gave no span with an identity of its own,
    /// having no provider or one that was shut down.
    pub(crate) context: Context,
    /// Whether the span of the context is the one that was asked for, or stands for it.
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

    /// None that is recorded, as is known without asking for it; the one of its parent stands for it.
    pub(crate) fn unsampled(parent: &Context) -> Self {
        Self {
            is_ours: true,
            ..Self::nothing(parent)
        }
    }

    /// Nothing is ever asked of a span that is not recorded but its identity.
    fn within<S>(parent: &Context, mut span: S, attributes: &mut Attributes<'_>) -> Self
    where
        S: Span + Send + Sync + 'static,
    {
        let identity = span.span_context();
        if !identity.is_valid() || identity.span_id() == parent.span().span_context().span_id() {
            return Self::nothing(parent);
        }
        if !span.is_recording() {
            return Self {
                context: parent.with_remote_span_context(identity.clone()),
                is_ours: true,
                is_recording: false,
            };
        }
        attributes(&mut |attribute| span.set_attribute(attribute));
        Self {
            context: parent.with_span(span),
            is_ours: true,
            is_recording: true,
        }
    }
}
