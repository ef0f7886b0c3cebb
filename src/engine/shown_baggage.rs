//! [`ShownBaggage`]: members of baggage that are attributes of spans and of metrics.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use opentelemetry::baggage::Baggage;
use opentelemetry::{Key, KeyValue, StringValue};

use super::few::{Few, Generations};
use crate::policy::Rule;
use crate::semconv::attributes::is_taken;
use crate::semconv::text::{is_tidy, text};

/// Most members that a span has as attributes.
const MAX_ON_SPANS: usize = 64;

/// Most members that metrics have.
const MAX_ON_METRICS: usize = 8;

/// Members of the baggage of a message, or of all messages of a batch, as far as its rule wants them
/// to be seen.
#[derive(Clone, Debug)]
pub(crate) struct ShownBaggage {
    pub(crate) on_spans: Vec<KeyValue>,
    /// None where there are too many others.
    pub(crate) on_metrics: Arc<[KeyValue]>,
}

impl ShownBaggage {
    /// What a rule wants to be seen of this baggage, as far as it `passes`: nothing, most often.
    pub(super) fn of(
        rule: &Rule,
        baggage: &Baggage,
        passes: impl Fn(&str) -> bool,
        few: &FewCombinations,
        limited: impl FnOnce(),
    ) -> Option<Arc<Self>> {
        let is_usable =
            |name: &str| !name.is_empty() && is_tidy(name) && !is_taken(name) && passes(name);
        let members = baggage.iter().map(|(name, (value, _))| (name, value));
        let mut members: Vec<_> = members
            .filter(|(name, _)| is_usable(name.as_str()))
            .collect();
        members.sort_unstable_by_key(|(name, _)| *name);
        let on_spans = attributes(&members, MAX_ON_SPANS, |name| rule.has_on_spans(name));
        let on_metrics = attributes(&members, MAX_ON_METRICS, |name| rule.has_on_metrics(name));
        let is_nothing = on_spans.is_empty() && on_metrics.is_empty();
        (!is_nothing).then(|| {
            Arc::new(Self {
                on_spans,
                on_metrics: few.get(on_metrics, limited),
            })
        })
    }

    /// What the metrics of a batch have: what is the same for all of its messages. Spans tell the
    /// messages apart.
    pub(super) fn of_all<'a>(
        mut all: impl Iterator<Item = Option<&'a Arc<Self>>>,
        few: &FewCombinations,
        limited: impl FnOnce(),
    ) -> Option<Arc<Self>> {
        let first = all.next()??;
        let mut in_common = first.on_metrics.to_vec();
        for other in all {
            let other = other.map_or(&[] as &[_], |other| &*other.on_metrics);
            in_common.retain(|one| other.contains(one));
        }
        (!in_common.is_empty()).then(|| {
            Arc::new(Self {
                on_spans: Vec::new(),
                on_metrics: few.get(in_common, limited),
            })
        })
    }
}

fn attributes(
    members: &[(&Key, &StringValue)],
    most: usize,
    is_wanted: impl Fn(&str) -> bool,
) -> Vec<KeyValue> {
    let wanted = members.iter().filter(|(name, _)| is_wanted(name.as_str()));
    let attributes =
        wanted.map(|(name, value)| KeyValue::new((*name).clone(), text(value.as_str())));
    attributes.take(most).collect()
}

/// The combinations of values that metrics may have, each of which is a series of its own: so many,
/// and of those met later the ones that stay in use.
#[derive(Debug)]
pub(super) struct FewCombinations {
    max: usize,
    is_told: AtomicBool,
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    few: Few,
    combinations: Generations<Arc<[KeyValue]>>,
}

impl FewCombinations {
    pub(super) fn at_most(max: usize) -> Self {
        Self {
            max,
            is_told: AtomicBool::new(false),
            known: RwLock::default(),
        }
    }

    /// These attributes, or none if they are one combination too many; the first time that is `limited`.
    fn get(&self, attributes: Vec<KeyValue>, limited: impl FnOnce()) -> Arc<[KeyValue]> {
        if attributes.is_empty() {
            return attributes.into();
        }
        let name = name(&attributes);
        // What is behind the lock is whole at any time, so that a panic elsewhere does no harm.
        let known = self.known.read();
        let known = known.unwrap_or_else(PoisonError::into_inner);
        if let Some(remembered) = known.combinations.get(&name) {
            return Arc::clone(remembered);
        }
        drop(known);

        let known = self.known.write();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        let is_kept = known.combinations.take_old(&name);
        let is_one = known
            .few
            .lets(&StringValue::from(name.clone()), self.max, is_kept);
        let attributes: Arc<[KeyValue]> = match is_one {
            true => attributes.into(),
            false => Arc::default(),
        };
        known.combinations.remember(&name, Arc::clone(&attributes));
        drop(known);
        if !is_one && !self.is_told.swap(true, Ordering::Relaxed) {
            limited();
        }
        attributes
    }
}

/// A name for these attributes that no others have: neither names nor values have control characters.
fn name(attributes: &[KeyValue]) -> String {
    let mut name = String::new();
    for KeyValue { key, value, .. } in attributes {
        name.extend([key.as_str(), "\0", &value.as_str(), "\0"]);
    }
    name
}
