//! What no message says alone: whether its context is that of another one.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::trace::{SpanId, TraceId};

use crate::seen::{Place, Publication, Seen};

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
    time: Option<SystemTime>,
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
}

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
            time: seen.time,
        };
        let (trace, span) = (creation.trace_id(), creation.span_id());
        // A dead letter is the message itself.
        if seen.facts.died_in.is_none()
            && let Some(first) = first(&mut self.spans, (trace, span), &own, &mut self.is_full)
            && first.destination != own.destination
            && first.publication != own.publication
        {
            found.push((Clash::Stale, later(&own, first)));
        }
        let entry = (creation.is_sampled(), own.clone());
        if let Some((sampled, first)) = first(&mut self.sampled, trace, &entry, &mut self.is_full)
            && *sampled != creation.is_sampled()
        {
            found.push((Clash::SampledChanged, later(&own, first)));
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
                found.push((Clash::Restarted, later(&own, first)));
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

fn later(own: &Spot, first: &Spot) -> Spot {
    match (own.time, first.time) {
        (Some(own_time), Some(time)) if own_time < time => first.clone(),
        _ => own.clone(),
    }
}
