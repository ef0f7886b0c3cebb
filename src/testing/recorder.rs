//! In-memory recording of spans and metrics.

use std::collections::BTreeMap;

use opentelemetry::KeyValue;
use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, MetricData, ResourceMetrics, ScopeMetrics,
};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use opentelemetry_sdk::trace::{
    InMemorySpanExporter, Sampler, SdkTracerProvider, ShouldSample, SpanData,
};

use crate::Telemetry;

/// Tracer and meter provider that keep what they record in memory.
///
/// Clones share what is recorded. Shutting down the tracer provider forgets its spans.
///
/// # Examples
///
/// ```
/// use otel_messaging::testing::Recorder;
/// use opentelemetry::metrics::MeterProvider;
/// use opentelemetry::trace::{Tracer, TracerProvider};
///
/// let recorder = Recorder::new();
///
/// recorder.tracer_provider().tracer("shop").in_span("send orders", |_| ());
/// recorder.meter_provider().meter("shop").u64_counter("orders").build().add(2, &[]);
///
/// assert_eq!(recorder.span("send orders").name, "send orders");
/// assert_eq!(recorder.counter_total("orders"), 2);
/// ```
#[derive(Clone, Debug)]
pub struct Recorder {
    spans: InMemorySpanExporter,
    metrics: InMemoryMetricExporter,
    tracer_provider: SdkTracerProvider,
    meter_provider: SdkMeterProvider,
}

impl Recorder {
    /// Records every span whose parent, if it has one, is sampled.
    ///
    /// That is the SDK's default sampler, here whatever `OTEL_TRACES_SAMPLER` says.
    #[must_use]
    pub fn new() -> Self {
        Self::with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
    }

    /// Records the spans that `sampler` samples.
    #[must_use]
    pub fn with_sampler(sampler: impl ShouldSample + 'static) -> Self {
        let spans = InMemorySpanExporter::default();
        let metrics = InMemoryMetricExporter::default();
        Self {
            tracer_provider: SdkTracerProvider::builder()
                .with_simple_exporter(spans.clone())
                .with_sampler(sampler)
                .build(),
            meter_provider: SdkMeterProvider::builder()
                .with_periodic_exporter(metrics.clone())
                .build(),
            spans,
            metrics,
        }
    }

    /// Telemetry that records here, for the code under test.
    #[must_use]
    pub fn telemetry(&self) -> Telemetry {
        Telemetry::new()
            .tracer_provider(self.tracer_provider.clone())
            .meter_provider(self.meter_provider.clone())
    }

    /// Tracer provider that records here, for spans of the test itself.
    #[must_use]
    pub fn tracer_provider(&self) -> &SdkTracerProvider {
        &self.tracer_provider
    }

    /// Meter provider that records here, for metrics of the test itself.
    #[must_use]
    pub fn meter_provider(&self) -> &SdkMeterProvider {
        &self.meter_provider
    }

    /// Finished spans, in the order in which they ended.
    ///
    /// # Panics
    ///
    /// When a recording thread panicked in the middle of recording.
    #[must_use]
    pub fn spans(&self) -> Vec<SpanData> {
        self.spans
            .get_finished_spans()
            .expect("no thread panics while it records a span")
    }

    /// The one finished span of this name.
    ///
    /// # Panics
    ///
    /// When no finished span or more than one has this name.
    #[must_use]
    #[track_caller]
    pub fn span(&self, name: &str) -> SpanData {
        let spans = self.spans();
        let mut named = spans.iter().filter(|span| span.name == name);
        match (named.next(), named.count()) {
            (Some(span), 0) => span.clone(),
            (first, more) => panic!(
                "expected one finished span {name:?}, found {}; recorded: {:?}",
                usize::from(first.is_some()) + more,
                spans.iter().map(|span| &span.name).collect::<Vec<_>>(),
            ),
        }
    }

    /// Sum for each attribute set of the `u64` counter of this name. Never counted: empty.
    ///
    /// Attributes are sorted by key and the sets by their attributes.
    ///
    /// # Panics
    ///
    /// When the metric of this name is not a `u64` counter.
    #[must_use]
    #[track_caller]
    pub fn counter(&self, name: &str) -> Vec<(Vec<KeyValue>, u64)> {
        // Fails only after a shutdown of the provider, which has itself exported the last sums.
        let _ = self.meter_provider.force_flush();
        let exports = self
            .metrics
            .get_finished_metrics()
            .expect("no thread panics while it records a metric");

        let mut sums = BTreeMap::new();
        // Sums are cumulative, so the latest export holds them all.
        let latest = exports.last().into_iter();
        for metric in latest
            .flat_map(ResourceMetrics::scope_metrics)
            .flat_map(ScopeMetrics::metrics)
            .filter(|metric| metric.name() == name)
        {
            let AggregatedMetrics::U64(MetricData::Sum(sum)) = metric.data() else {
                panic!("metric {name:?} is not a u64 counter");
            };
            for point in sum.data_points() {
                let mut attributes: Vec<_> = point.attributes().cloned().collect();
                attributes.sort_by(|a, b| a.key.cmp(&b.key));
                sums.entry(format!("{attributes:?}"))
                    .or_insert((attributes, 0))
                    .1 += point.value();
            }
        }
        sums.into_values().collect()
    }

    /// Sum over all attribute sets of the `u64` counter of this name. Never counted: 0.
    ///
    /// # Panics
    ///
    /// When the metric of this name is not a `u64` counter.
    #[must_use]
    #[track_caller]
    pub fn counter_total(&self, name: &str) -> u64 {
        self.counter(name).iter().map(|(_, sum)| sum).sum()
    }

    /// Forgets the spans recorded so far. Counters keep counting.
    pub fn clear(&self) {
        self.spans.reset();
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::metrics::MeterProvider;
    use opentelemetry::trace::{Tracer, TracerProvider};

    use super::*;

    fn record(recorder: &Recorder, name: &'static str) {
        recorder
            .tracer_provider()
            .tracer("test")
            .in_span(name, |_| ());
    }

    fn names(recorder: &Recorder) -> Vec<String> {
        let spans = recorder.spans().into_iter();
        spans.map(|span| span.name.into_owned()).collect()
    }

    #[test]
    fn spans_come_in_the_order_of_ending() {
        let recorder = Recorder::new();

        let tracer = recorder.tracer_provider().tracer("test");
        tracer.in_span("outer", |_| tracer.in_span("inner", |_| ()));

        assert_eq!(names(&recorder), ["inner", "outer"]);
    }

    #[test]
    fn a_clone_records_to_the_same_place_until_cleared() {
        let recorder = Recorder::default();

        let clone = recorder.clone();
        record(&clone, "send");
        let before = names(&recorder);
        clone.clear();

        assert_eq!(before, ["send"]);
        assert!(recorder.spans().is_empty());
    }

    #[test]
    fn a_sampler_decides_what_is_recorded() {
        let recorder = Recorder::with_sampler(Sampler::AlwaysOff);

        record(&recorder, "send");

        assert!(recorder.spans().is_empty());
    }

    #[test]
    fn the_only_span_of_a_name_is_found() {
        let recorder = Recorder::new();

        record(&recorder, "send");
        record(&recorder, "process");

        assert_eq!(recorder.span("process").name, "process");
    }

    #[test]
    #[should_panic(
        expected = r#"expected one finished span "settle", found 0; recorded: ["send", "send"]"#
    )]
    fn a_missing_span_fails_with_the_names_recorded() {
        let recorder = Recorder::new();
        record(&recorder, "send");
        record(&recorder, "send");

        let _ = recorder.span("settle");
    }

    #[test]
    #[should_panic(expected = r#"expected one finished span "send", found 2"#)]
    fn two_spans_of_a_name_fail() {
        let recorder = Recorder::new();
        record(&recorder, "send");
        record(&recorder, "send");

        let _ = recorder.span("send");
    }

    #[test]
    fn a_counter_sums_per_attribute_set_over_all_scopes_and_reads() {
        let recorder = Recorder::new();
        let kafka = [
            KeyValue::new("system", "kafka"),
            KeyValue::new("destination", "orders"),
        ];
        let nats = [KeyValue::new("system", "nats")];
        let count = |scope, attributes: &[KeyValue]| {
            let meter = recorder.meter_provider().meter(scope);
            meter.u64_counter("sent").build().add(1, attributes);
        };

        count("a", &kafka);
        count("a", &nats);
        let first = recorder.counter_total("sent");
        count("a", &kafka);
        count("b", &kafka);

        assert_eq!(first, 2);
        let [system, destination] = kafka;
        assert_eq!(
            recorder.counter("sent"),
            [(vec![destination, system], 3), (nats.to_vec(), 1),]
        );
    }

    #[test]
    fn a_counter_never_counted_is_empty() {
        let recorder = Recorder::new();

        let _unused = recorder
            .meter_provider()
            .meter("a")
            .u64_counter("sent")
            .build();

        assert_eq!(recorder.counter("sent"), []);
        assert_eq!(recorder.counter_total("other"), 0);
    }

    #[test]
    fn a_counter_is_read_after_the_shutdown_of_its_provider() {
        let recorder = Recorder::new();
        let meter = recorder.meter_provider().meter("a");
        meter.u64_counter("sent").build().add(3, &[]);

        let shutdown = recorder.meter_provider().shutdown();

        assert!(shutdown.is_ok());
        assert_eq!(recorder.counter_total("sent"), 3);
    }

    #[test]
    #[should_panic(expected = r#"metric "duration" is not a u64 counter"#)]
    fn a_histogram_is_not_read_as_a_counter() {
        let recorder = Recorder::new();
        let meter = recorder.meter_provider().meter("a");
        meter.f64_histogram("duration").build().record(0.5, &[]);

        let _ = recorder.counter("duration");
    }
}
