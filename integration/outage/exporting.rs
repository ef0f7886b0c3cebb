//! A provider that exports as a service does, and what becomes of each of its spans.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::Context;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter as OtlpExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider, Span, SpanData,
    SpanExporter, SpanProcessor,
};
use otel_messaging::Telemetry;
use tokio::task::block_in_place;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context as Layers, SubscriberExt as _};

/// Spans by what has become of them.
#[derive(Debug, Default)]
struct Counts {
    recorded: AtomicUsize,
    exported: AtomicUsize,
    failed: AtomicUsize,
}

/// A provider that exports over OTLP/HTTP.
pub(crate) struct Exporting {
    provider: SdkTracerProvider,
    counts: Arc<Counts>,
}

/// What has become of all spans of a provider, and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) recorded: usize,
    /// The Collector has answered that it took them.
    pub(crate) exported: usize,
    /// The exporter gave up.
    pub(crate) failed: usize,
    /// They did not fit into the queue, as the SDK says when it is shut down.
    pub(crate) dropped: usize,
    pub(crate) result: OTelSdkResult,
    pub(crate) took: Duration,
}

impl Exporting {
    /// Exports to this port, by the SDK's own settings but for the size of the queue.
    pub(crate) fn to(port: u16, queue: Option<usize>) -> Self {
        let counts = Arc::new(Counts::default());
        let endpoint = format!("http://127.0.0.1:{port}/v1/traces");
        let exporter = OtlpExporter::builder().with_http().with_endpoint(endpoint);
        let exporter = Counting {
            exporter: exporter.build().expect("an exporter"),
            counts: Arc::clone(&counts),
        };
        let mut config = BatchConfigBuilder::default();
        if let Some(queue) = queue {
            config = config
                .with_max_queue_size(queue)
                .with_max_export_batch_size(queue / 4);
        }
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(config.build());
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Recorded(Arc::clone(&counts)))
            .with_span_processor(processor.build())
            .build();
        Self { provider, counts }
    }

    pub(crate) fn telemetry(&self) -> Telemetry {
        Telemetry::new().tracer_provider(self.provider.clone())
    }

    /// For spans that are written by hand.
    pub(crate) fn tracer(&self) -> SdkTracer {
        self.provider.tracer("outage")
    }

    /// Shuts it down, as a service does at its end that gives it so much time.
    pub(crate) fn end(self, time: Duration) -> Ended {
        Told::lines().clear();
        let started = Instant::now();
        let result = block_in_place(|| self.provider.shutdown_with_timeout(time));
        let took = started.elapsed();
        let dropped = Told::lines().iter().find_map(|line| {
            let (_, rest) = line.split_once("dropped_span_count=")?;
            rest.split(' ').next()?.parse().ok()
        });
        let count = |of: &AtomicUsize| of.load(Ordering::SeqCst);
        Ended {
            recorded: count(&self.counts.recorded),
            exported: count(&self.counts.exported),
            failed: count(&self.counts.failed),
            dropped: dropped.unwrap_or(0),
            result,
            took,
        }
    }
}

/// Counts what is recorded.
#[derive(Debug)]
struct Recorded(Arc<Counts>);

impl SpanProcessor for Recorded {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, _: SpanData) {
        self.0.recorded.fetch_add(1, Ordering::SeqCst);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Counts what is exported.
#[derive(Debug)]
struct Counting {
    exporter: OtlpExporter,
    counts: Arc<Counts>,
}

impl SpanExporter for Counting {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let exported = self.exporter.export(batch).await;
        let counted = match &exported {
            Ok(()) => &self.counts.exported,
            Err(_) => &self.counts.failed,
        };
        counted.fetch_add(count, Ordering::SeqCst);
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Keeps the warnings of OpenTelemetry, which a service has in its log.
pub(crate) struct Told;

impl Told {
    /// Begins to keep them, for the process as a whole.
    pub(crate) fn listen() {
        // It was done by another test before.
        let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Self));
    }

    /// Those so far: names of the fields and their values.
    pub(crate) fn lines() -> MutexGuard<'static, Vec<String>> {
        static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
        LINES.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Layer<S> for Told {
    fn enabled(&self, metadata: &Metadata<'_>, _: Layers<'_, S>) -> bool {
        metadata.target().starts_with("opentelemetry") && *metadata.level() <= Level::WARN
    }

    fn on_event(&self, event: &Event<'_>, _: Layers<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        Self::lines().push(line.0);
    }
}

#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0 += &format!("{}={value:?} ", field.name());
    }
}
