//! Comparison of a whole metric with what a test expects.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry::KeyValue;

use super::difference::{Differences, quoted, value_text};
use crate::testing::Recorder;

/// The description of a whole metric, to compare a recorded metric with.
///
/// Everything else has to be absent: an additional set of attributes, or an additional attribute in
/// a set, is a difference. Of a histogram the number of values is compared, not the values;
/// [`Recorder::histogram`] has their sum.
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
    counts: BTreeMap<String, u64>,
}

impl ExpectedMetric {
    /// A `u64` counter of this name and unit, without values.
    pub fn counter(name: impl Into<String>, unit: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            unit: unit.into(),
            bounds: None,
            counts: BTreeMap::new(),
        }
    }

    /// An `f64` histogram of this name, unit and bucket bounds, without values.
    pub fn histogram(name: impl Into<String>, unit: impl Into<String>, bounds: &[f64]) -> Self {
        Self {
            bounds: Some(bounds.to_vec()),
            ..Self::counter(name, unit)
        }
    }

    /// Adds a sum, or a number of values, for exactly these attributes.
    ///
    /// Called twice for the same attributes: the counts are added. Unset: nothing is recorded.
    pub fn of(mut self, attributes: impl IntoIterator<Item = KeyValue>, count: u64) -> Self {
        let attributes: Vec<_> = attributes.into_iter().collect();
        *self.counts.entry(text(&attributes)).or_default() += count;
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
        let unit = (!self.counts.is_empty()).then(|| quoted(&self.unit));
        let found_unit = recorder.unit(&self.name);
        differences.compare("unit", unit, found_unit.as_deref().map(quoted));

        let mut found: BTreeMap<String, u64> = BTreeMap::new();
        match &self.bounds {
            None => found.extend(
                recorder
                    .counter(&self.name)
                    .iter()
                    .map(|(attributes, sum)| (text(attributes), *sum)),
            ),
            Some(bounds) => {
                for histogram in recorder.histogram(&self.name) {
                    let attributes = text(&histogram.attributes);
                    differences.compare(
                        &format!("bounds of {attributes}"),
                        format!("{bounds:?}"),
                        format!("{:?}", histogram.bounds),
                    );
                    *found.entry(attributes).or_default() += histogram.count;
                }
            }
        }
        let sets: BTreeSet<&String> = self.counts.keys().chain(found.keys()).collect();
        for attributes in sets {
            let [expected, found] =
                [&self.counts, &found].map(|counts| counts.get(attributes).map(u64::to_string));
            differences.compare(&format!("count of {attributes}"), expected, found);
        }
        differences.0
    }
}

fn text(attributes: &[KeyValue]) -> String {
    let mut attributes: Vec<_> = attributes
        .iter()
        .map(|attribute| format!("{}={}", attribute.key, value_text(&attribute.value)))
        .collect();
    attributes.sort();
    format!("{{{}}}", attributes.join(", "))
}

#[cfg(test)]
mod tests {
    use opentelemetry::metrics::MeterProvider as _;

    use super::*;

    fn orders() -> [KeyValue; 2] {
        [KeyValue::new("to", "orders"), KeyValue::new("port", 9092)]
    }

    fn payments() -> [KeyValue; 1] {
        [KeyValue::new("to", "payments")]
    }

    fn recorder() -> Recorder {
        let recorder = Recorder::new();
        let meter = recorder.meter_provider().meter("test");
        let sent = meter.u64_counter("sent").with_unit("{message}").build();
        sent.add(3, &orders());
        sent.add(1, &payments());
        let duration = meter.f64_histogram("duration").with_unit("s");
        let duration = duration.with_boundaries(vec![0.5, 1.0]).build();
        duration.record(0.1, &orders());
        duration.record(0.2, &orders());
        recorder
    }

    #[test]
    fn a_metric_as_described_passes_whatever_the_order_of_attributes() {
        let [to, port] = orders();
        ExpectedMetric::counter("sent", "{message}")
            .of(payments(), 1)
            .of([port.clone(), to.clone()], 2)
            .of([to, port], 1)
            .assert(&recorder());
        ExpectedMetric::histogram("duration", "s", &[0.5, 1.0])
            .of(orders(), 2)
            .assert(&recorder());
        ExpectedMetric::counter("lost", "{message}").assert(&recorder());
    }

    #[test]
    #[should_panic(expected = "metric \"sent\" is not as expected:
  unit: expected \"{order}\", found \"{message}\"
  count of {port=9092, to=\"orders\"}: expected 3, found none")]
    fn the_message_has_a_line_for_each_difference() {
        let recorder = Recorder::new();
        let meter = recorder.meter_provider().meter("test");
        let sent = meter.u64_counter("sent").with_unit("{message}").build();
        sent.add(1, &payments());

        ExpectedMetric::counter("sent", "{order}")
            .of(orders(), 3)
            .of(payments(), 1)
            .assert(&recorder);
    }

    #[test]
    fn whatever_was_not_described_is_a_difference() {
        assert_eq!(
            ExpectedMetric::counter("sent", "{message}").differences(&recorder()),
            [
                r#"unit: expected none, found "{message}""#,
                r#"count of {port=9092, to="orders"}: expected none, found 3"#,
                r#"count of {to="payments"}: expected none, found 1"#,
            ]
        );
    }

    #[test]
    fn whatever_is_missing_is_a_difference() {
        assert_eq!(
            ExpectedMetric::histogram("latency", "s", &[])
                .of(payments(), 1)
                .differences(&recorder()),
            [
                r#"unit: expected "s", found none"#,
                r#"count of {to="payments"}: expected 1, found none"#,
            ]
        );
    }

    #[test]
    fn other_bounds_and_attributes_of_another_type_are_differences() {
        let [to, _] = orders();
        assert_eq!(
            ExpectedMetric::histogram("duration", "s", &[0.5])
                .of([to, KeyValue::new("port", "9092")], 2)
                .differences(&recorder()),
            [
                r#"bounds of {port=9092, to="orders"}: expected [0.5], found [0.5, 1.0]"#,
                r#"count of {port="9092", to="orders"}: expected 2, found none"#,
                r#"count of {port=9092, to="orders"}: expected none, found 2"#,
            ]
        );
    }

    #[test]
    #[should_panic(expected = r#"metric "duration" is no u64 counter"#)]
    fn a_metric_of_another_kind_fails() {
        ExpectedMetric::counter("duration", "s").assert(&recorder());
    }
}
