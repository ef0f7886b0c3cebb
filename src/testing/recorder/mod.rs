//! In-memory recording of spans, metrics and log records.

mod metrics;

use opentelemetry_sdk::logs::{InMemoryLogExporter, SdkLogRecord, SdkLoggerProvider};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use opentelemetry_sdk::trace::{
    InMemorySpanExporter, Sampler, SdkTracerProvider, ShouldSample, SpanData,
};

pub use self::metrics::Histogram;
use crate::telemetry::Telemetry;

/// Providers of tracers, meters and loggers that keep in memory what they record.
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
    logs: InMemoryLogExporter,
    tracer_provider: SdkTracerProvider,
    meter_provider: SdkMeterProvider,
    logger_provider: SdkLoggerProvider,
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
        let logs = InMemoryLogExporter::default();
        Self {
            tracer_provider: SdkTracerProvider::builder()
                .with_simple_exporter(spans.clone())
                .with_sampler(sampler)
                .build(),
            meter_provider: SdkMeterProvider::builder()
                .with_periodic_exporter(metrics.clone())
                .build(),
            logger_provider: SdkLoggerProvider::builder()
                .with_simple_exporter(logs.clone())
                .build(),
            spans,
            metrics,
            logs,
        }
    }

    /// Telemetry that records spans and metrics here, for the code under test. Exceptions are events
    /// of spans; with [`logger_provider`](Self::logger_provider) given to it, they are log records.
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

    /// Logger provider that records here.
    #[must_use]
    pub fn logger_provider(&self) -> &SdkLoggerProvider {
        &self.logger_provider
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

    /// Log records, in the order in which they were emitted.
    ///
    /// # Panics
    ///
    /// When a recording thread panicked in the middle of recording.
    #[must_use]
    pub fn logs(&self) -> Vec<SdkLogRecord> {
        let logs = self.logs.get_emitted_logs();
        let logs = logs.expect("no thread panics while it records a log record");
        logs.into_iter().map(|log| log.record).collect()
    }

    /// The one log record of this event.
    ///
    /// # Panics
    ///
    /// When no log record or more than one has this event name.
    #[must_use]
    #[track_caller]
    pub fn log(&self, event_name: &str) -> SdkLogRecord {
        let logs = self.logs();
        let is_named = |log: &&SdkLogRecord| log.event_name() == Some(event_name);
        let mut named = logs.iter().filter(is_named);
        match (named.next(), named.count()) {
            (Some(log), 0) => log.clone(),
            (first, more) => panic!(
                "expected one log record {event_name:?}, found {}; recorded: {:?}",
                usize::from(first.is_some()) + more,
                logs.iter().map(|log| log.event_name()).collect::<Vec<_>>(),
            ),
        }
    }

    /// Clears the spans and log records recorded so far. Metrics are kept.
    pub fn clear(&self) {
        self.spans.reset();
        self.logs.reset();
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
