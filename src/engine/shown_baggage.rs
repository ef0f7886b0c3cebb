//! [`ShownBaggage`]: members of baggage that are attributes of spans and of metrics.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use opentelemetry::baggage::Baggage;
use opentelemetry::{Key, KeyValue, StringValue};

use super::few::{Few, Generations};
use crate::policy::Rule;
use crate::semconv::attributes::is_taken;
use crate::semconv::text::{is_tidy, text};

/// Most members that a span has as attributes. With as many headers as may be captured, and all that
/// is said of a message, that is not more than the default limit of the SDK.
const MAX_ON_SPANS: usize = 32;

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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::engine::few::GENERATION;

    fn baggage(members: &[(&str, &str)]) -> Baggage {
        let members = members.iter();
        let members =
            members.map(|(name, value)| KeyValue::new((*name).to_owned(), (*value).to_owned()));
        members.collect()
    }

    fn shown(
        rule: &Rule,
        members: &[(&str, &str)],
        few: &FewCombinations,
    ) -> [Vec<(String, String)>; 2] {
        let shown = ShownBaggage::of(rule, &baggage(members), |name| name != "secret", few, || ());
        let texts = |attributes: &[KeyValue]| {
            let texts = attributes
                .iter()
                .map(|one| (one.key.to_string(), one.value.to_string()));
            texts.collect()
        };
        shown.map_or_else(Default::default, |shown| {
            [texts(&shown.on_spans), texts(&shown.on_metrics)]
        })
    }

    fn all() -> Rule {
        Rule::of("orders")
            .baggage_on_spans(["*"])
            .baggage_on_metrics(["*"])
    }

    fn texts(members: &[(&str, &str)]) -> Vec<(String, String)> {
        let members = members.iter();
        members
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn members_are_seen_where_they_are_named_in_the_order_of_their_names() {
        let rule = Rule::of("orders")
            .baggage_on_spans(["tenant", "co*", "secret"])
            .baggage_on_metrics(["cohort"]);
        let few = FewCombinations::at_most(9);
        let members = [
            ("tenant", "blue"),
            ("cohort", "b"),
            ("secret", "1"),
            ("user", "7"),
        ];

        let expected = [
            texts(&[("cohort", "b"), ("tenant", "blue")]),
            texts(&[("cohort", "b")]),
        ];
        assert_eq!(shown(&rule, &members, &few), expected);
        assert_eq!(shown(&rule, &[("user", "7")], &few), [vec![], vec![]]);
        assert_eq!(shown(&Rule::of("orders"), &members, &few), [vec![], vec![]]);
    }

    #[test]
    fn what_is_hostile_is_short_and_acts_on_nothing_and_overrides_nothing() {
        let [long, longer] = [300, 7000].map(|bytes| "k".repeat(bytes));
        let members = [
            ("messaging.system.name", "evil"),
            ("server.address", "evil"),
            ("error.type", "evil"),
            ("error", "evil"),
            ("otel.status_code", "OK"),
            ("service.name", "evil"),
            ("", "nobody"),
            ("a\nb", "1"),
            (&*long, "1"),
            ("errors", "7"),
            ("forged", "\u{1b}[2J\r\n"),
            ("long", &*longer),
        ];
        let cut = [&*"k".repeat(253), "…"].concat();

        let expected = texts(&[
            ("errors", "7"),
            ("forged", "\\u{1b}[2J\\r\\n"),
            ("long", &cut),
        ]);
        let few = FewCombinations::at_most(9);
        assert_eq!(shown(&all(), &members, &few), [expected.clone(), expected]);
    }

    #[test]
    fn a_span_has_so_many_members_and_metrics_have_fewer() {
        let names: Vec<_> = (0..100).map(|number| format!("m{number:03}")).collect();
        let members: Vec<_> = names.iter().map(|name| (&**name, "1")).collect();

        let few = FewCombinations::at_most(9);
        let [on_spans, on_metrics] = shown(&all(), &members, &few);

        assert_eq!(on_spans, texts(members.get(..32).unwrap_or_default()));
        assert_eq!(on_metrics, texts(members.get(..8).unwrap_or_default()));
    }

    #[test]
    fn combinations_without_number_are_few_but_for_those_that_stay_in_use() {
        const MAX: usize = 100;
        let few = FewCombinations::at_most(MAX);
        let mut told = 0;
        let mut met = HashSet::new();
        let mut is_hot = false;
        for number in 0..20_000 {
            let tenant = number.to_string();
            let mut get = |tenant: &str| {
                let attributes = vec![KeyValue::new("tenant", tenant.to_owned())];
                let got = few.get(attributes, || told += 1);
                if !got.is_empty() {
                    met.insert(name(&got));
                }
                !got.is_empty()
            };
            get(&tenant);
            if number >= MAX && number % 100 == 0 {
                is_hot = get("hot");
            }
        }

        assert!(is_hot);
        assert_eq!(met.len(), MAX + 1);
        assert_eq!(told, 1);
        let known = few.known.read().unwrap_or_else(PoisonError::into_inner);
        assert!(known.combinations.len() <= 2 * GENERATION);
    }

    #[test]
    fn metrics_of_a_batch_have_what_all_its_messages_have() {
        let few = FewCombinations::at_most(9);
        let of = |members: &[(&str, &str)]| {
            ShownBaggage::of(&all(), &baggage(members), |_| true, &few, || ())
        };
        let blue = || of(&[("tenant", "blue"), ("cohort", "b")]);
        let red = || of(&[("tenant", "red"), ("cohort", "b")]);
        let cohort = [KeyValue::new("cohort", "b")];
        let rows = [
            (vec![], vec![]),
            (vec![None], vec![]),
            (vec![blue(), red()], cohort.to_vec()),
            (vec![red(), None], vec![]),
            (vec![None, red()], vec![]),
            (vec![of(&[("cohort", "b")]), red(), blue()], cohort.to_vec()),
            (vec![of(&[("cohort", "a")]), red()], vec![]),
        ];

        for (messages, expected) in rows {
            let in_common = ShownBaggage::of_all(messages.iter().map(Option::as_ref), &few, || ());
            let in_common = in_common.map(|all| all.on_metrics.to_vec());
            assert_eq!(in_common.unwrap_or_default(), expected, "{messages:?}");
        }
    }
}
