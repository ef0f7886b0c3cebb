//! Comparison of a metric with what a test expects.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry::KeyValue;

use super::difference::{Differences, quoted, value_text};
use crate::testing::{ERROR_TYPE, Recorder};

/// What a test expects of a metric, to compare a recorded one with.
///
/// Name, kind and unit are compared, of a histogram its bounds too, and the counts of what was
/// named: of all sets of attributes that have those given to [`of`](Self::of), whatever else they
/// have. So a test does not fail because a new release records more. [`exactly`](Self::exactly)
/// compares all sets with all their attributes.
///
/// An `error.type` that was not named is a difference, as it is of a span: where no set that is named
/// has this attribute, a recorded one that has it and is counted as one of those is none of them. An
/// empty set names whatever there is, failures too.
///
/// Of a histogram the number of values is compared, not the values; [`Recorder::histogram`] has
/// their sum.
///
/// # Examples
///
/// ```
/// use otel_messaging::testing::{ExpectedMetric, Recorder};
/// use opentelemetry::KeyValue;
/// use opentelemetry::metrics::MeterProvider;
///
/// let recorder = Recorder::new();
/// let meter = recorder.meter_provider().meter("shop");
/// let orders = [KeyValue::new("messaging.destination.name", "orders")];
///
/// meter.u64_counter("sent").with_unit("{message}").build().add(2, &orders);
/// let duration = meter.f64_histogram("duration").with_unit("s").with_boundaries(vec![0.1, 1.0]);
/// duration.build().record(0.3, &orders);
///
/// ExpectedMetric::counter("sent", "{message}")
///     .of(orders.clone(), 2)
///     .assert(&recorder);
/// ExpectedMetric::histogram("duration", "s", &[0.1, 1.0])
///     .of(orders, 1)
///     .assert(&recorder);
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is compared before `assert` is called"]
pub struct ExpectedMetric {
    name: String,
    unit: String,
    /// None: a counter.
    bounds: Option<Vec<f64>>,
    counts: Counts,
    is_exact: bool,
}

/// Sets of attributes by their text, each with its count.
type Counts = BTreeMap<String, (Vec<KeyValue>, u64)>;

impl ExpectedMetric {
    /// A `u64` counter of this name and unit.
    pub fn counter(name: impl Into<String>, unit: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            unit: unit.into(),
            bounds: None,
            counts: BTreeMap::new(),
            is_exact: false,
        }
    }

    /// An `f64` histogram of this name, unit and bucket bounds.
    ///
    /// Those of both durations are `[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0]`.
    /// A test that is not about bounds reads [`Recorder::histogram`].
    pub fn histogram(name: impl Into<String>, unit: impl Into<String>, bounds: &[f64]) -> Self {
        Self {
            bounds: Some(bounds.to_vec()),
            ..Self::counter(name, unit)
        }
    }

    /// Sets that a set of attributes that is not named, or an attribute that a named set does not
    /// have, is a difference. Without any set, nothing is recorded then. Unset: only the counts of
    /// what is named are compared.
    pub const fn exactly(mut self) -> Self {
        self.is_exact = true;
        self
    }

    /// Adds a sum, or a number of values, for these attributes. 0: nothing is recorded for them.
    ///
    /// Called twice for the same attributes: the counts are added.
    pub fn of(mut self, attributes: impl IntoIterator<Item = KeyValue>, count: u64) -> Self {
        add(
            &mut self.counts,
            attributes.into_iter().collect::<Vec<_>>(),
            count,
        );
        self
    }

    /// Compares the metric of `recorder` with this description.
    ///
    /// # Panics
    ///
    /// If anything differs, with a line for each difference, or if the metric is of another kind.
    #[track_caller]
    pub fn assert(&self, recorder: &Recorder) {
        let differences = self.differences(recorder);
        assert!(
            differences.is_empty(),
            "metric {:?} is not as expected:\n  {}",
            self.name,
            differences.join("\n  "),
        );
    }

    #[track_caller]
    fn differences(&self, recorder: &Recorder) -> Vec<String> {
        let mut differences = Differences(Vec::new());
        let is_recorded = match self.counts.is_empty() {
            true => !self.is_exact,
            false => self.counts.values().any(|(_, count)| *count > 0),
        };
        let found_unit = recorder.unit(&self.name);
        if is_recorded || self.is_exact {
            let unit = is_recorded.then(|| quoted(&self.unit));
            differences.compare("unit", unit, found_unit.as_deref().map(quoted));
        }
        let found = self.found(recorder, &mut differences);
        if self.is_exact {
            let sets: BTreeSet<&String> = self.counts.keys().chain(found.keys()).collect();
            for attributes in sets {
                let [expected, found] = [&self.counts, &found]
                    .map(|counts| counts.get(attributes).map(|(_, count)| *count));
                if (expected, found) != (Some(0), None) {
                    let [expected, found] = [expected, found].map(|count| Some(count?.to_string()));
                    differences.compare(&format!("count of {attributes}"), expected, found);
                }
            }
        } else {
            self.compare_named(&found, &mut differences);
        }
        differences.0
    }

    /// What is recorded, and which of its bounds are others than expected.
    #[track_caller]
    fn found(&self, recorder: &Recorder, differences: &mut Differences) -> Counts {
        let mut found = Counts::new();
        let Some(bounds) = &self.bounds else {
            for (attributes, sum) in recorder.counter(&self.name) {
                add(&mut found, attributes, sum);
            }
            return found;
        };
        for histogram in recorder.histogram(&self.name) {
            differences.compare(
                &format!("bounds of {}", text(&histogram.attributes)),
                format!("{bounds:?}"),
                format!("{:?}", histogram.bounds),
            );
            add(&mut found, histogram.attributes, histogram.count);
        }
        found
    }

    /// Compares the counts that were named, and tells what there is where one of them differs.
    fn compare_named(&self, found: &Counts, differences: &mut Differences) {
        let so_far = differences.0.len();
        for (named, (attributes, expected)) in &self.counts {
            let has_them = |other: &[KeyValue]| attributes.iter().all(|one| other.contains(one));
            let counts = found.values().filter(|(other, _)| has_them(other));
            let sum: u64 = counts.map(|(_, count)| count).sum();
            let [expected, sum] =
                [*expected, sum].map(|count| (count > 0).then(|| count.to_string()));
            differences.compare(&format!("count of {named}"), expected, sum);
        }
        for (failed, (_, count)) in found.iter().filter(|(_, (one, _))| self.hides(one)) {
            differences.compare(&format!("count of {failed}"), None, count.to_string());
        }
        if differences.0.len() > so_far {
            let recorded = found.iter();
            let recorded = recorded
                .map(|(attributes, (_, count))| format!("recorded: {count} of {attributes}"));
            differences.0.extend(recorded);
        }
    }

    /// Whether these are the attributes of a failure, of which nobody spoke, among what was named.
    fn hides(&self, found: &[KeyValue]) -> bool {
        let has_error = |one: &[KeyValue]| one.iter().any(|one| one.key.as_str() == ERROR_TYPE);
        let mut named = self.counts.values().map(|(named, _)| named);
        has_error(found)
            && !named.clone().any(|named| has_error(named))
            && named.any(|named| !named.is_empty() && named.iter().all(|one| found.contains(one)))
    }
}

fn add(counts: &mut Counts, attributes: Vec<KeyValue>, count: u64) {
    let named = text(&attributes);
    counts.entry(named).or_insert((attributes, 0)).1 += count;
}

fn text(attributes: &[KeyValue]) -> String {
    let mut attributes: Vec<_> = attributes
        .iter()
        .map(|attribute| format!("{}={}", attribute.key, value_text(&attribute.value)))
        .collect();
    attributes.sort();
    format!("{{{}}}", attributes.join(", "))
}
