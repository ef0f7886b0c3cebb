//! [`StandIn`]: the span of `tracing` that stands for a process span.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::Context;
use opentelemetry::trace::{SpanId, TraceContextExt as _};
use tracing::callsite::{DefaultCallsite, Identifier};
use tracing::field::FieldSet;
use tracing::metadata::Kind;
use tracing::{Level, Metadata, Span, dispatcher, span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::process_spans::ProcessSpans;
use super::tracer::Offer;
use crate::telemetry::{Component, caught};

/// The span of `tracing` that stands for a process span.
#[derive(Debug)]
pub(crate) struct StandIn {
    span: Span,
    offer: Arc<Offer>,
}

static CALLSITE: DefaultCallsite = DefaultCallsite::new(&METADATA);
static METADATA: Metadata<'static> = Metadata::new(
    "process",
    concat!(env!("CARGO_CRATE_NAME"), "::process"),
    Level::ERROR,
    None,
    None,
    None,
    FieldSet::new(&[], Identifier(&CALLSITE)),
    Kind::SPAN,
);

impl StandIn {
    /// One for the span that is active in `context`, where the subscriber is set up for it; and the
    /// context that the handler shall have.
    pub(crate) fn of(context: &Context) -> (Option<Self>, Context) {
        match caught(Component::Log, || Self::made(context)).flatten() {
            Some((stand_in, context)) => (Some(stand_in), context),
            None => (None, context.clone()),
        }
    }

    fn made(context: &Context) -> Option<(Self, Context)> {
        let is_set_up = dispatcher::get_default(|subscriber| {
            let is_set_up = subscriber.is::<ProcessSpans>();
            if is_set_up {
                // For what it leaves with the filters: else what they said of something else would hold
                // for this span.
                let _ = subscriber.enabled(&METADATA);
            }
            is_set_up
        });
        // tracing-opentelemetry would take a span without an identity for a parent that is not sampled.
        if !is_set_up || !context.span().span_context().is_valid() {
            return None;
        }
        // The filter of a single layer may be against it the first time. It is not asked the second time.
        (0..2).find_map(|_| Self::started(context)).flatten()
    }

    /// None where no layer has the span; none inside of that where another tracer has started one, and would
    /// start one more the next time.
    fn started(context: &Context) -> Option<Option<(Self, Context)>> {
        let span = Span::new(&METADATA, &METADATA.fields().value_set(&[]));
        let offer = Arc::new(Offer::default());
        let parent = context.with_value(Arc::clone(&offer));
        span.set_parent(parent).ok()?;
        let started = span.context();
        let its: &Arc<Offer> = started.get()?;
        if !its.is_taken() {
            tell_of_foreign_tracer();
            return Some(None);
        }
        let is_same = |current: &Context| {
            let current: Option<&Arc<Offer>> = current.get();
            current.is_some_and(|current| Arc::ptr_eq(current, its))
        };
        let is_activated = span.in_scope(|| Context::map_current(is_same));
        let context = match span.id() {
            Some(stand_in) if !is_activated => context.with_value(Handler {
                span: context.span().span_context().span_id(),
                stand_in,
            }),
            _ => context.clone(),
        };
        Some(Some((Self { span, offer }, context)))
    }

    pub(crate) const fn span(&self) -> &Span {
        &self.span
    }

    /// Leaves the process span alone, which is about to end.
    pub(crate) fn end(&self) {
        self.offer.end();
    }

    /// Makes it current on this thread, for as long as what it returns is there.
    pub(crate) fn enter(&self) -> Entered<'_> {
        let entered = caught(Component::Log, || self.span.enter());
        Entered(entered)
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        caught(Component::Log, || {
            drop(mem::replace(&mut self.span, Span::none()))
        });
    }
}

/// A [`StandIn`] is current.
#[derive(Debug)]
pub(crate) struct Entered<'s>(Option<span::Entered<'s>>);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        caught(Component::Log, || drop(self.0.take()));
    }
}

fn tell_of_foreign_tracer() {
    static IS_TOLD: AtomicBool = AtomicBool::new(false);
    if !IS_TOLD.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            "the layer `ProcessSpans` is there, but the tracer of tracing-opentelemetry's layer is not \
             in a `with_tracing::Tracer`: each handler has one more span"
        );
    }
}

/// In the context of a handler, where entering a span of `tracing` makes no context current.
#[derive(Debug)]
pub(super) struct Handler {
    span: SpanId,
    stand_in: span::Id,
}

impl Handler {
    /// The stand-in of the handler whose span is the active one in `context`.
    pub(super) fn stand_in_of(context: &Context) -> Option<&span::Id> {
        let handler: &Self = context.get()?;
        let active = context.span().span_context().span_id();
        (handler.span == active).then_some(&handler.stand_in)
    }
}
