//! How the span of one message relates to the message's creation context: parent, link or both.

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{Link, SpanContext, TraceContextExt as _, TraceFlags, TraceState};

use crate::policy::Incoming;
use crate::propagation::{Extracted, copied};

/// What is current for an operation that was called in the context `called` and is now polled for
/// the first time.
///
/// The context of the poll counts, so that wrapping the call's future in a context works as it does
/// for any other; where nothing is current then, as in a spawned task, the context of the call does.
pub(crate) fn ambient(called: Context) -> Context {
    let polled = Context::current();
    let says_something = polled.has_active_span()
        || polled.is_telemetry_suppressed()
        || !polled.baggage().is_empty();
    if says_something { polled } else { called }
}

/// Where a span hangs and what it links to.
#[derive(Debug)]
pub(crate) struct Relation {
    /// Context whose span is the parent.
    pub(crate) parent: Context,
    /// Links, all given when the span is built so that samplers see them.
    pub(crate) links: Vec<Link>,
}

impl Relation {
    /// Relation of a span that belongs to what the application is doing.
    pub(crate) const fn inside(ambient: Context) -> Self {
        Self {
            parent: ambient,
            links: Vec::new(),
        }
    }

    /// Relation of a span that sends a message with a creation context from before.
    ///
    /// Spec: messaging-spans § Producer spans, 1.44.0.
    pub(crate) fn sending_existing(ambient: Context, existing: Extracted) -> Self {
        Self {
            parent: ambient,
            links: links(existing.creation, existing.conflicting),
        }
    }

    /// Relation of a span that handles one received message, which is trusted so far.
    ///
    /// The creation context is linked to, and is the parent where it is continued. Inside another
    /// active span that span stays the parent, as the conventions recommend. `received` is what the
    /// message carried, read onto `ambient`.
    ///
    /// Spec: messaging-spans § Consumer spans, 1.44.0.
    pub(crate) fn handling(ambient: &Context, received: Extracted, trust: Incoming) -> Self {
        let parent = match trust {
            Incoming::Continue if ambient.span().span_context().is_valid() => {
                with_baggage_of(ambient, &received.context)
            }
            Incoming::Continue => received.context,
            Incoming::LinkOnly => with_baggage_of(ambient, &received.context),
            Incoming::Restart | Incoming::Ignore => ambient.clone(),
        };
        let links = match trust {
            Incoming::Continue | Incoming::LinkOnly => {
                links(received.creation, received.conflicting)
            }
            Incoming::Restart => links(
                received.creation.map(untrusted),
                received.conflicting.map(untrusted),
            ),
            Incoming::Ignore => Vec::new(),
        };
        Self { parent, links }
    }
}

/// The identity of a span in a trace that must not decide anything here.
fn untrusted(context: SpanContext) -> SpanContext {
    SpanContext::new(
        context.trace_id(),
        context.span_id(),
        context.trace_flags() & !TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    )
}

fn links(creation: Option<SpanContext>, conflicting: Option<SpanContext>) -> Vec<Link> {
    creation
        .into_iter()
        .chain(conflicting)
        .map(Link::with_context)
        .collect()
}

fn with_baggage_of(ambient: &Context, received: &Context) -> Context {
    let baggage = received.baggage();
    if baggage.is_empty() {
        return ambient.clone();
    }
    ambient.with_baggage(copied(baggage.iter()))
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

    use super::*;

    fn inside(span: u64) -> Context {
        Context::new().with_remote_span_context(SpanContext::new(
            TraceId::from(7),
            SpanId::from(span),
            TraceFlags::SAMPLED,
            true,
            TraceState::NONE,
        ))
    }

    #[test]
    fn the_context_of_the_first_poll_counts_and_else_that_of_the_call() {
        let rows = [
            (inside(1), inside(2), 2),
            (Context::new(), inside(2), 2),
            (inside(1), Context::new(), 1),
        ];

        for (called, polled, expected) in rows {
            let _current = polled.attach();
            let span = ambient(called).span().span_context().span_id();
            assert_eq!(span, SpanId::from(expected));
        }
    }

    #[test]
    fn a_poll_that_suppresses_telemetry_counts_though_it_has_no_span() {
        let _current = Context::new().with_telemetry_suppressed().attach();

        assert!(ambient(inside(1)).is_telemetry_suppressed());
    }
}
