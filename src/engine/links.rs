//! Links of a span within its limit.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hasher, RandomState};

use opentelemetry::KeyValue;
use opentelemetry::trace::{Link, SpanId, TraceId};

use crate::semconv::attributes::LINK_MESSAGE_COUNT;

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
fn merged(mut links: Vec<Link>) -> Vec<Link> {
    let (firsts, contexts) = firsts(&links);
    if contexts == links.len() {
        return links;
    }
    let mut counts = vec![0; links.len()];
    for (index, first) in firsts.into_iter().enumerate() {
        if let Some(count) = counts.get_mut(first) {
            *count += 1;
        }
        if let Ok([kept, link]) = links.get_disjoint_mut([first, index]) {
            kept.attributes.retain(|one| link.attributes.contains(one));
        }
    }
    let mut counts = counts.into_iter();
    links.retain_mut(|link| {
        let count: i64 = counts.next().unwrap_or(0);
        if count > 1 {
            link.attributes
                .push(KeyValue::new(LINK_MESSAGE_COUNT, count));
        }
        count > 0
    });
    links
}

/// For each link the index of the first one with its context, and how many contexts there are.
fn firsts(links: &[Link]) -> (Vec<usize>, usize) {
    let random = RandomState::new();
    let keys = [random.hash_one(0), random.hash_one(1) | 1];
    let mut places: HashMap<u64, usize, BuildHasherDefault<AsItIs>> =
        HashMap::with_capacity_and_hasher(links.len(), BuildHasherDefault::default());
    let ids = |link: &Link| (link.span_context.trace_id(), link.span_context.span_id());
    let mut contexts = 0;
    let firsts = links.iter().enumerate().map(|(index, link)| {
        let (trace, span) = ids(link);
        let first = *places.entry(mixed(keys, trace, span)).or_insert(index);
        // Two contexts of the same number are as unlikely as they are harmless: one is not merged.
        if first != index
            && links
                .get(first)
                .is_some_and(|first| ids(first) == (trace, span))
        {
            return first;
        }
        contexts += 1;
        index
    });
    (firsts.collect(), contexts)
}

/// A number for a context. The keys are random, so that no sender can choose it.
fn mixed([seed, key]: [u64; 2], trace: TraceId, span: SpanId) -> u64 {
    let folded = |state: u64, word: u64| {
        let product = u128::from(state ^ word) * u128::from(key);
        (product >> 64) as u64 ^ product as u64
    };
    let trace = u128::from_be_bytes(trace.to_bytes());
    let state = folded(folded(seed, trace as u64), (trace >> 64) as u64);
    folded(state, u64::from_be_bytes(span.to_bytes()))
}

/// The hash of a number that is one already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::Context;
    use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceFlags, TraceState};

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
