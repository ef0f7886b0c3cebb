//! How the span of one message relates to the message's creation context: parent, link or both.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{
    Link, SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceState,
};
use opentelemetry::{Context, KeyValue};

use crate::policy::Incoming;
use crate::propagation::{Extracted, copied};
use crate::semconv::attributes::LINK_MESSAGE_COUNT;

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

    /// Relation of a span that sends a message. It links to what the message carries from before:
    /// the user's own context, or that of an attempt or a hop before this one.
    ///
    /// Spec: messaging-spans § Producer spans, 1.44.0.
    pub(crate) fn sending(ambient: Context, carried: Extracted) -> Self {
        Self {
            parent: ambient,
            links: links(carried.creation, carried.conflicting),
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

/// Marks the context of a batch's span.
#[derive(Debug)]
pub(crate) struct InBatch(SpanId);

impl InBatch {
    /// Marks `context` as that of the batch whose span is active in it.
    pub(crate) fn mark(context: &Context) -> Context {
        context.with_value(Self(context.span().span_context().span_id()))
    }

    /// The span of a batch, if that is the one which is active in `context`.
    pub(crate) fn of(context: &Context) -> Option<SpanContext> {
        let Self(batch) = context.get()?;
        let active = context.span().span_context().clone();
        (active.span_id() == *batch).then_some(active)
    }
}

/// `context` with all that it has but for its span.
pub(crate) fn without_span(context: &Context) -> Context {
    context.with_remote_span_context(SpanContext::NONE)
}

/// What the messages of a trace get of the batch that they were processed in.
#[derive(Debug, Default)]
pub(crate) struct FanBack {
    /// For each trace the first creation context, and how many messages are from it.
    pub(crate) origins: Vec<(SpanContext, usize)>,
    /// Traces beyond the limit.
    pub(crate) left_out: usize,
}

/// Links as far as one span may have them, and the rest in such portions.
///
/// Over the limit, equal contexts merge first: a merged link keeps what is equal, and counts. None
/// of it is lost, unless there may be no links at all.
pub(crate) fn within_limit(links: Vec<Link>, limit: usize) -> (Vec<Link>, Vec<Vec<Link>>) {
    if links.len() <= limit {
        return (links, Vec::new());
    }
    if limit == 0 {
        return (Vec::new(), Vec::new());
    }
    let mut merged = merged(links).into_iter();
    let first = merged.by_ref().take(limit).collect();
    let mut rest = Vec::new();
    loop {
        let portion: Vec<Link> = merged.by_ref().take(limit).collect();
        if portion.is_empty() {
            return (first, rest);
        }
        rest.push(portion);
    }
}

/// One link for each context, in the order of the first of each.
fn merged(links: Vec<Link>) -> Vec<Link> {
    let mut places = HashMap::with_capacity(links.len());
    let mut merged: Vec<(Link, i64)> = Vec::with_capacity(links.len());
    for link in links {
        let context = &link.span_context;
        match places.entry((context.trace_id(), context.span_id())) {
            Entry::Vacant(place) => {
                place.insert(merged.len());
                merged.push((link, 1));
            }
            Entry::Occupied(place) => {
                if let Some((kept, count)) = merged.get_mut(*place.get()) {
                    kept.attributes.retain(|one| link.attributes.contains(one));
                    *count += 1;
                }
            }
        }
    }
    let counted = merged.into_iter().map(|(mut link, count)| {
        if count > 1 {
            link.attributes
                .push(KeyValue::new(LINK_MESSAGE_COUNT, count));
        }
        link
    });
    counted.collect()
}

/// The identity of a span in a trace that must not decide anything here.
pub(crate) fn untrusted(context: SpanContext) -> SpanContext {
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

    fn link(span: u64, attributes: &[(&'static str, i64)]) -> Link {
        let attributes = attributes.iter();
        let attributes = attributes.map(|(key, value)| KeyValue::new(*key, *value));
        let context = inside(span).span().span_context().clone();
        Link::new(context, attributes.collect(), 0)
    }

    /// Span ids and attributes of links.
    fn shown(links: &[Link]) -> Vec<(u64, Vec<(&str, String)>)> {
        let shown = links.iter().map(|link| {
            let attributes = link.attributes.iter();
            let attributes = attributes.map(|one| (one.key.as_str(), one.value.to_string()));
            let span = link.span_context.span_id();
            (u64::from_be_bytes(span.to_bytes()), attributes.collect())
        });
        shown.collect()
    }

    #[test]
    fn up_to_the_limit_links_stay_as_they_are() {
        let links = || vec![link(1, &[("offset", 0)]), link(1, &[("offset", 1)])];

        for limit in [2, 3] {
            let (first, rest) = within_limit(links(), limit);
            assert_eq!(shown(&first), shown(&links()));
            assert_eq!(rest.len(), 0);
        }
    }

    #[test]
    fn beyond_it_equal_contexts_share_a_link_that_keeps_what_is_equal_and_counts() {
        let links = vec![
            link(1, &[("partition", 4), ("offset", 0)]),
            link(2, &[("partition", 4), ("offset", 1)]),
            link(1, &[("partition", 4), ("offset", 2)]),
            link(1, &[("partition", 5), ("offset", 0)]),
        ];

        let (first, rest) = within_limit(links, 2);

        let count = |count: &str| (LINK_MESSAGE_COUNT, count.to_owned());
        assert_eq!(
            shown(&first),
            [
                (1, vec![count("3")]),
                (
                    2,
                    vec![("partition", "4".to_owned()), ("offset", "1".to_owned())]
                ),
            ]
        );
        assert_eq!(rest.len(), 0);
    }

    #[test]
    fn what_is_still_too_much_comes_in_portions_each_within_the_limit_and_each_once() {
        for (count, limit, expected) in [
            (128, 128, vec![128]),
            (129, 128, vec![128, 1]),
            (10, 4, vec![4, 4, 2]),
            (12, 4, vec![4, 4, 4]),
            (3, 1, vec![1, 1, 1]),
            (3, 0, vec![0]),
        ] {
            let links = (1..=count).map(|span| link(span, &[])).collect();
            let (first, rest) = within_limit(links, limit);

            let portions: Vec<_> = [first].into_iter().chain(rest).collect();
            let sizes: Vec<_> = portions.iter().map(Vec::len).collect();
            assert_eq!(sizes, expected);
            let spans = portions.iter().flat_map(|portion| shown(portion));
            let spans: Vec<_> = spans.map(|(span, _)| span).collect();
            assert_eq!(spans, (1..=count).take(spans.len()).collect::<Vec<_>>());
        }
    }
}
