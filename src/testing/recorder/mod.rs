//! In-memory recording of spans and metrics.

mod metrics;

use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use opentelemetry_sdk::trace::{
    InMemorySpanExporter, Sampler, SdkTracerProvider, ShouldSample, SpanData,
};

pub use self::metrics::Histogram;
use crate::telemetry::Telemetry;

/// A tracer provider and a meter provider that keep in memory what they record.
///
/// Clones share their records. Shutting down the tracer provider clears its spans.
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
    /// A recorder of every span that is a root, or whose parent is sampled.
    ///
    /// That is the SDK's default sampler, whatever the value of `OTEL_TRACES_SAMPLER`.
    #[must_use]
    pub fn new() -> Self {
        Self::with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
    }

    /// A recorder of the spans that `sampler` samples.
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

    /// Finished spans, in the order of their ends.
    ///
    /// # Panics
    ///
    /// If a thread panicked while it recorded.
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
    /// If no finished span has this name, or more than one.
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

    /// Clears the spans recorded so far. Metrics are kept.
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
}
