//! The metrics of a recorder, as they stand.

use std::collections::BTreeMap;

use opentelemetry::KeyValue;
use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, Metric, MetricData, ResourceMetrics, ScopeMetrics,
};

use super::Recorder;

/// The values of a histogram with one set of attributes, from [`Recorder::histogram`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Histogram {
    /// Attributes, sorted by key.
    pub attributes: Vec<KeyValue>,
    /// Number of recorded values.
    pub count: u64,
    /// Sum of the values.
    pub sum: f64,
    /// Upper bounds of the buckets, without the last one, which is infinity.
    pub bounds: Vec<f64>,
}

/// Metrics. Attributes are sorted by key, and the sets of one metric by their attributes. Equal
/// sets of a metric in several instrumentation scopes are one.
impl Recorder {
    /// Names of the metrics with recorded values, sorted.
    ///
    /// ```
    /// use otel_messaging::testing::Recorder;
    /// use opentelemetry::metrics::MeterProvider;
    ///
    /// let recorder = Recorder::new();
    ///
    /// recorder.meter_provider().meter("shop").u64_counter("orders").build().add(2, &[]);
    ///
    /// assert_eq!(recorder.metrics(), ["orders"]);
    /// ```
    ///
    /// # Panics
    ///
    /// If a thread panicked while it recorded.
    #[must_use]
    pub fn metrics(&self) -> Vec<String> {
        let latest = self.latest();
        let recorded = in_all_scopes(latest.as_ref()).filter(|metric| !is_empty(metric.data()));
        let mut names: Vec<_> = recorded.map(|metric| metric.name().to_owned()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Unit of the metric of this name. `None` if nothing is recorded.
    ///
    /// # Panics
    ///
    /// If a thread panicked while it recorded.
    #[must_use]
    pub fn unit(&self, name: &str) -> Option<String> {
        let latest = self.latest();
        in_all_scopes(latest.as_ref())
            .find(|metric| metric.name() == name && !is_empty(metric.data()))
            .map(|metric| metric.unit().to_owned())
    }

    /// Sum of the `u64` counter of this name for each set of attributes. Empty if it was never
    /// incremented.
    ///
    /// # Panics
    ///
    /// If the metric of this name is not a `u64` counter.
    #[must_use]
    #[track_caller]
    pub fn counter(&self, name: &str) -> Vec<(Vec<KeyValue>, u64)> {
        let mut sums = BTreeMap::new();
        self.read(name, "u64 counter", |data| {
            let AggregatedMetrics::U64(MetricData::Sum(sum)) = data else {
                return false;
            };
            for point in sum.data_points() {
                let attributes = sorted(point.attributes());
                sums.entry(format!("{attributes:?}"))
                    .or_insert((attributes, 0))
                    .1 += point.value();
            }
            true
        });
        sums.into_values().collect()
    }

    /// Sum of the `u64` counter of this name over all sets of attributes. 0 if it was never
    /// incremented.
    ///
    /// # Panics
    ///
    /// If the metric of this name is not a `u64` counter.
    #[must_use]
    #[track_caller]
    pub fn counter_total(&self, name: &str) -> u64 {
        self.counter(name).iter().map(|(_, sum)| sum).sum()
    }

    /// Values of the `f64` histogram of this name for each set of attributes. Empty if there are
    /// none.
    ///
    /// ```
    /// use otel_messaging::testing::Recorder;
    /// use opentelemetry::metrics::MeterProvider;
    ///
    /// let recorder = Recorder::new();
    ///
    /// let meter = recorder.meter_provider().meter("shop");
    /// let duration = meter.f64_histogram("duration").with_boundaries(vec![1.0, 10.0]).build();
    /// duration.record(0.5, &[]);
    /// duration.record(2.5, &[]);
    ///
    /// let [histogram] = &recorder.histogram("duration")[..] else { panic!("one attribute set") };
    /// assert_eq!((histogram.count, histogram.sum), (2, 3.0));
    /// assert_eq!(histogram.bounds, [1.0, 10.0]);
    /// ```
    ///
    /// # Panics
    ///
    /// If the metric of this name is not an `f64` histogram.
    #[must_use]
    #[track_caller]
    pub fn histogram(&self, name: &str) -> Vec<Histogram> {
        let mut histograms = BTreeMap::new();
        self.read(name, "f64 histogram", |data| {
            let AggregatedMetrics::F64(MetricData::Histogram(histogram)) = data else {
                return false;
            };
            for point in histogram.data_points() {
                let (attributes, bounds) =
                    (sorted(point.attributes()), Vec::from_iter(point.bounds()));
                let found = histograms
                    .entry(format!("{attributes:?} {bounds:?}"))
                    .or_insert(Histogram {
                        attributes,
                        count: 0,
                        sum: 0.0,
                        bounds,
                    });
                found.count += point.count();
                found.sum += point.sum();
            }
            true
        });
        histograms.into_values().collect()
    }

    /// Last value of the `u64` gauge of this name for each set of attributes. Empty if there is
    /// none.
    ///
    /// # Panics
    ///
    /// If the metric of this name is not a `u64` gauge.
    #[must_use]
    #[track_caller]
    pub fn gauge(&self, name: &str) -> Vec<(Vec<KeyValue>, u64)> {
        let mut values = BTreeMap::new();
        self.read(name, "u64 gauge", |data| {
            let AggregatedMetrics::U64(MetricData::Gauge(gauge)) = data else {
                return false;
            };
            for point in gauge.data_points() {
                let attributes = sorted(point.attributes());
                values.insert(format!("{attributes:?}"), (attributes, point.value()));
            }
            true
        });
        values.into_values().collect()
    }

    /// Shows the data of the metric of this name in each scope; `read` says whether it is `kind`.
    #[track_caller]
    fn read(&self, name: &str, kind: &str, mut read: impl FnMut(&AggregatedMetrics) -> bool) {
        let latest = self.latest();
        for metric in in_all_scopes(latest.as_ref()).filter(|metric| metric.name() == name) {
            assert!(read(metric.data()), "metric {name:?} is no {kind}");
        }
    }

    /// Values are cumulative, so the latest export holds them all.
    fn latest(&self) -> Option<ResourceMetrics> {
        // Fails only after a shutdown of the provider, which has itself exported the last values.
        let _ = self.meter_provider.force_flush();
        self.metrics
            .get_finished_metrics()
            .expect("no thread panics while it records a metric")
            .pop()
    }
}

fn in_all_scopes(latest: Option<&ResourceMetrics>) -> impl Iterator<Item = &Metric> {
    latest
        .into_iter()
        .flat_map(ResourceMetrics::scope_metrics)
        .flat_map(ScopeMetrics::metrics)
}

fn is_empty(data: &AggregatedMetrics) -> bool {
    fn of<T>(data: &MetricData<T>) -> bool {
        match data {
            MetricData::Gauge(gauge) => gauge.data_points().next().is_none(),
            MetricData::Sum(sum) => sum.data_points().next().is_none(),
            MetricData::Histogram(histogram) => histogram.data_points().next().is_none(),
            MetricData::ExponentialHistogram(histogram) => histogram.data_points().next().is_none(),
        }
    }
    match data {
        AggregatedMetrics::F64(data) => of(data),
        AggregatedMetrics::U64(data) => of(data),
        AggregatedMetrics::I64(data) => of(data),
    }
}

fn sorted<'a>(attributes: impl Iterator<Item = &'a KeyValue>) -> Vec<KeyValue> {
    let mut attributes: Vec<_> = attributes.cloned().collect();
    attributes.sort_by(|a, b| a.key.cmp(&b.key));
    attributes
}

#[cfg(test)]
mod tests {
    use opentelemetry::metrics::{Meter, MeterProvider};

    use super::*;

    fn meter(recorder: &Recorder, scope: &'static str) -> Meter {
        recorder.meter_provider().meter(scope)
    }

    fn kafka() -> [KeyValue; 2] {
        [
            KeyValue::new("system", "kafka"),
            KeyValue::new("destination", "orders"),
        ]
    }

    fn sorted_kafka() -> Vec<KeyValue> {
        let [system, destination] = kafka();
        vec![destination, system]
    }

    fn nats() -> [KeyValue; 1] {
        [KeyValue::new("system", "nats")]
    }

    #[test]
    fn a_counter_sums_per_attribute_set_over_all_scopes_and_reads() {
        let recorder = Recorder::new();
        let count = |scope, attributes: &[KeyValue]| {
            let counter = meter(&recorder, scope).u64_counter("sent").build();
            counter.add(1, attributes);
        };

        count("a", &kafka());
        count("a", &nats());
        let first = recorder.counter_total("sent");
        count("a", &kafka());
        count("b", &kafka());

        assert_eq!(first, 2);
        assert_eq!(
            recorder.counter("sent"),
            [(sorted_kafka(), 3), (nats().to_vec(), 1)]
        );
    }

    #[test]
    fn a_histogram_counts_and_sums_per_attribute_set_and_bounds() {
        let recorder = Recorder::new();
        let record = |scope, bounds: &[f64], value, attributes: &[KeyValue]| {
            let meter = meter(&recorder, scope);
            let histogram = meter
                .f64_histogram("duration")
                .with_boundaries(bounds.to_vec());
            histogram.build().record(value, attributes);
        };

        record("a", &[1.0, 2.0], 0.5, &kafka());
        record("a", &[1.0, 2.0], 4.0, &nats());
        record("b", &[1.0, 2.0], 1.0, &kafka());
        record("c", &[8.0], 2.0, &nats());

        let held = |attributes, count, sum, bounds: &[f64]| Histogram {
            attributes,
            count,
            sum,
            bounds: bounds.to_vec(),
        };
        assert_eq!(
            recorder.histogram("duration"),
            [
                held(sorted_kafka(), 2, 1.5, &[1.0, 2.0]),
                held(nats().to_vec(), 1, 4.0, &[1.0, 2.0]),
                held(nats().to_vec(), 1, 2.0, &[8.0]),
            ]
        );
    }

    #[test]
    fn a_gauge_has_the_last_value_of_each_attribute_set() {
        let recorder = Recorder::new();
        let gauge = meter(&recorder, "a").u64_gauge("lag").build();

        gauge.record(3, &kafka());
        gauge.record(7, &nats());
        gauge.record(1, &kafka());

        assert_eq!(
            recorder.gauge("lag"),
            [(sorted_kafka(), 1), (nats().to_vec(), 7)]
        );
    }

    #[test]
    fn metrics_that_were_recorded_have_a_name_and_a_unit() {
        let recorder = Recorder::new();
        let meter = meter(&recorder, "a");

        meter
            .u64_counter("sent")
            .with_unit("{message}")
            .build()
            .add(1, &[]);
        meter
            .f64_histogram("duration")
            .with_unit("s")
            .build()
            .record(1.0, &[]);
        let _unused = meter.u64_gauge("lag").with_unit("{message}").build();

        assert_eq!(recorder.metrics(), ["duration", "sent"]);
        assert_eq!(recorder.unit("sent").as_deref(), Some("{message}"));
        assert_eq!(recorder.unit("duration").as_deref(), Some("s"));
        assert_eq!(recorder.unit("lag"), None);
    }

    #[test]
    fn a_metric_never_recorded_is_empty() {
        let recorder = Recorder::new();

        let _unused = meter(&recorder, "a").u64_counter("sent").build();

        assert_eq!(recorder.counter("sent"), []);
        assert_eq!(recorder.counter_total("other"), 0);
        assert_eq!(recorder.histogram("other"), []);
        assert_eq!(recorder.gauge("other"), []);
        assert_eq!(recorder.metrics(), [""; 0]);
    }

    #[test]
    fn a_counter_is_read_after_the_shutdown_of_its_provider() {
        let recorder = Recorder::new();
        meter(&recorder, "a")
            .u64_counter("sent")
            .build()
            .add(3, &[]);

        let shutdown = recorder.meter_provider().shutdown();

        assert!(shutdown.is_ok());
        assert_eq!(recorder.counter_total("sent"), 3);
    }

    #[test]
    #[should_panic(expected = r#"metric "duration" is no u64 counter"#)]
    fn a_histogram_is_not_read_as_a_counter() {
        let recorder = Recorder::new();
        let histogram = meter(&recorder, "a").f64_histogram("duration").build();
        histogram.record(0.5, &[]);

        let _ = recorder.counter("duration");
    }

    #[test]
    #[should_panic(expected = r#"metric "sent" is no f64 histogram"#)]
    fn a_counter_is_not_read_as_a_histogram() {
        let recorder = Recorder::new();
        meter(&recorder, "a")
            .u64_counter("sent")
            .build()
            .add(3, &[]);

        let _ = recorder.histogram("sent");
    }
}
