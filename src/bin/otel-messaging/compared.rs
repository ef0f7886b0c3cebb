//! What no message says alone: whether its context is that of another one.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use opentelemetry::trace::{SpanId, TraceId};

use crate::seen::{Place, Publication, Seen, When};

/// What two messages have together that they should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Clash {
    /// It carries the context of another message in another destination.
    Stale,
    /// Another message of its trace has the other flag of sampling.
    SampledChanged,
    /// A message with its id in another destination is of another trace.
    Restarted,
}

/// A message that others are compared with.
#[derive(Clone, Debug)]
pub(crate) struct Spot {
    pub(crate) destination: Arc<str>,
    pub(crate) place: Place,
    publication: Publication,
    when: Option<When>,
}

/// The first messages of all spans, traces and ids, up to a limit.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    spans: HashMap<(TraceId, SpanId), Spot>,
    sampled: HashMap<TraceId, (bool, Spot)>,
    traces: HashMap<String, (TraceId, Spot)>,
    /// What was found already: a message may clash with several.
    blamed: HashSet<(Clash, Arc<str>, Place)>,
    is_full: bool,
    /// Of two messages it was not known which one is the later.
    is_unordered: bool,
}

/// What is said where it could not be known which of two is the later.
pub(crate) const AS_READ: &str =
    "messages without a time, or with the same one, are ordered as they were read";

/// Each takes about a hundred bytes.
const MOST: usize = 200_000;

impl Compared {
    /// What is found by this message, and which one is to blame: of two the later one.
    pub(crate) fn look_at(&mut self, seen: &Seen) -> Vec<(Clash, Spot)> {
        let mut found = Vec::new();
        let Some(creation) = &seen.diagnosis.creation else {
            return found;
        };
        let own = Spot {
            destination: Arc::clone(&seen.destination),
            place: seen.place,
            publication: seen.publication,
            when: seen.when(),
        };
        let (trace, span) = (creation.trace_id(), creation.span_id());
        // A dead letter is the message itself.
        if seen.facts.died_in.is_none()
            && let Some(first) = first(&mut self.spans, (trace, span), &own, &mut self.is_full)
            && first.destination != own.destination
            && first.publication != own.publication
        {
            found.push((Clash::Stale, later(&own, first, &mut self.is_unordered)));
        }
        let entry = (creation.is_sampled(), own.clone());
        if let Some((sampled, first)) = first(&mut self.sampled, trace, &entry, &mut self.is_full)
            && *sampled != creation.is_sampled()
        {
            found.push((
                Clash::SampledChanged,
                later(&own, first, &mut self.is_unordered),
            ));
        }
        if let Some(identity) = &seen.facts.identity {
            let entry = (trace, own.clone());
            let earlier = first(
                &mut self.traces,
                identity.clone(),
                &entry,
                &mut self.is_full,
            );
            if let Some((other, first)) = earlier
                && *other != trace
                && first.destination != own.destination
            {
                found.push((Clash::Restarted, later(&own, first, &mut self.is_unordered)));
            }
        }
        found.retain(|(clash, spot)| {
            self.blamed.len() >= MOST
                || self
                    .blamed
                    .insert((*clash, Arc::clone(&spot.destination), spot.place))
        });
        found
    }

    /// Whether there were more than it could keep.
    pub(crate) const fn is_full(&self) -> bool {
        self.is_full
    }

    /// Whether one was blamed of two that have no time, or the same.
    pub(crate) const fn is_unordered(&self) -> bool {
        self.is_unordered
    }
}

/// The one that was there before.
fn first<'a, K: Eq + Hash, V: Clone>(
    all: &'a mut HashMap<K, V>,
    key: K,
    value: &V,
    is_full: &mut bool,
) -> Option<&'a V> {
    let has_room = all.len() < MOST;
    match all.entry(key) {
        Entry::Occupied(there) => Some(there.into_mut()),
        Entry::Vacant(room) if has_room => {
            room.insert(value.clone());
            None
        }
        Entry::Vacant(_) => {
            *is_full = true;
            None
        }
    }
}

/// Where that is not known, the one that was read later.
fn later(own: &Spot, first: &Spot, is_unordered: &mut bool) -> Spot {
    let times = own.when.zip(first.when);
    if times.is_some_and(|(own, first)| own.is_before(first)) {
        return first.clone();
    }
    *is_unordered |= !times.is_some_and(|(own, first)| first.is_before(own));
    own.clone()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::seen::testing::seen;

    #[test]
    fn the_later_of_two_is_to_blame_and_it_is_said_where_that_is_not_known() {
        let at = |second| UNIX_EPOCH + Duration::from_secs(second);
        let [one, two] = [1, 2].map(|second| Some(at(second)));
        for (first, second, is_live, to_blame, is_unordered) in [
            (one, two, false, "second", false),
            (two, one, false, "first", false),
            (one, one, false, "second", true),
            (one, None, false, "second", true),
            (None, None, false, "second", true),
            (None, None, true, "second", false),
        ] {
            let mut compared = Compared::default();
            for (name, time, now) in [("first", first, at(8)), ("second", second, at(9))] {
                let mut seen = seen(name, 7, 7, time);
                (seen.is_live, seen.now) = (is_live, now);
                let found = compared.look_at(&seen).into_iter();
                let found: Vec<_> = found
                    .map(|(clash, spot)| (clash, spot.destination.to_string()))
                    .collect();
                let expected = (name == "second").then(|| (Clash::Stale, to_blame.to_owned()));
                assert_eq!(found, Vec::from_iter(expected), "{first:?} {second:?}");
            }
            assert_eq!(
                compared.is_unordered(),
                is_unordered,
                "{first:?} {second:?}"
            );
        }
    }
}
