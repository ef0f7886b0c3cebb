//! What a program sets up once: where its spans and metrics go, and that the last of them get there.
//!
//! All examples share this file. With the feature `otlp` and `OTEL_EXPORTER_OTLP_ENDPOINT` set, what is recorded
//! goes there over OTLP/HTTP; with `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT`
//! only this signal does, or does so to another place. If that fails, a line says so; the exit code is
//! about the messages. What the examples show is kept in memory besides, which yours has no need of.

#[cfg(feature = "otlp")]
mod otlp;

use std::env;
use std::io::{self, IsTerminal as _};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{
    SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, global};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracer, SdkTracerProvider, SpanData};
use otel_messaging::Telemetry;
use otel_messaging::testing::TraceTree;
use otel_messaging::w3c::Propagator;

/// How long the last export of a program may take: orchestrators kill what does not end.
const TO_END: Duration = Duration::from_secs(5);

/// The providers of one program.
#[derive(Debug)]
pub struct Providers {
    /// The name of the program, as its `service.name`.
    pub service: &'static str,
    tracers: SdkTracerProvider,
    meters: SdkMeterProvider,
    spans: InMemorySpanExporter,
    metrics: InMemoryMetricExporter,
}

impl Providers {
    /// Those of a program of this name.
    ///
    /// # Errors
    ///
    /// An address that is no address.
    pub fn new(service: &'static str) -> Result<Self> {
        let resource = Resource::builder().with_service_name(service).build();
        let (spans, metrics) = (
            InMemorySpanExporter::default(),
            InMemoryMetricExporter::default(),
        );
        let tracers = SdkTracerProvider::builder()
            .with_resource(resource.clone())
            .with_simple_exporter(spans.clone());
        let meters = SdkMeterProvider::builder()
            .with_resource(resource)
            .with_periodic_exporter(metrics.clone());
        #[cfg(feature = "otlp")]
        let (tracers, meters) = (otlp::traces(tracers)?, otlp::metrics(meters)?);
        Ok(Self {
            service,
            tracers: tracers.build(),
            meters: meters.build(),
            spans,
            metrics,
        })
    }

    /// Gives these providers, and the propagator, to instrumentation that looks for the global ones. Without a propagator,
    /// it would read no header and begin a trace of its own.
    pub fn make_global(&self) {
        global::set_tracer_provider(self.tracers.clone());
        global::set_meter_provider(self.meters.clone());
        global::set_text_map_propagator(Propagator::new());
    }

    /// What each wrapped client is given.
    #[must_use]
    pub fn telemetry(&self) -> Telemetry {
        Telemetry::new()
            .tracer_provider(self.tracers.clone())
            .meter_provider(self.meters.clone())
    }

    /// For spans of the application's own, those of `tracing` too.
    #[must_use]
    pub fn tracer(&self) -> SdkTracer {
        self.tracers.tracer(self.service)
    }

    /// Does `work` in a span of the application's own.
    ///
    /// # Errors
    ///
    /// That of the work.
    pub async fn in_span<T, F>(&self, name: &'static str, kind: SpanKind, work: F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let tracer = self.tracer();
        let span = tracer.span_builder(name).with_kind(kind).start(&tracer);
        let context = Context::current_with_span(span);
        // Clients' futures are large: boxed, it is not kept a second time.
        let work = Box::pin(work);
        let result = work.with_context(context.clone()).await;
        if let Err(error) = &result {
            context.span().set_status(Status::error(error.to_string()));
        }
        result
    }

    /// The spans that have ended.
    ///
    /// # Errors
    ///
    /// The exporter in memory fails.
    pub fn spans(&self) -> Result<Vec<SpanData>> {
        Ok(self.spans.get_finished_spans()?)
    }

    /// The metrics as they stand.
    ///
    /// # Errors
    ///
    /// The exporter in memory fails.
    pub fn metrics(&self) -> Result<Option<ResourceMetrics>> {
        // The collector may have failed; what is kept in memory is there all the same.
        let _ = self.meters.force_flush();
        Ok(self.metrics.get_finished_metrics()?.pop())
    }

    /// Exports what is left, and returns how that went for spans and for metrics. It takes five seconds at most, whatever
    /// becomes of the collector: the SDK waits so long for a flush, and so long for the metrics beside it.
    fn shut_down(&self) -> (OTelSdkResult, OTelSdkResult) {
        let started = Instant::now();
        thread::scope(|scope| {
            // Of metrics, a flush would export them all twice. Of spans, only a flush tells how it went.
            let metrics = scope.spawn(|| self.meters.shutdown());
            let spans = self.tracers.force_flush();
            let left = TO_END.saturating_sub(started.elapsed());
            let _ = self.tracers.shutdown_with_timeout(left);
            let panicked = |_| Err(OTelSdkError::InternalFailure("it panicked".to_owned()));
            (spans, metrics.join().unwrap_or_else(panicked))
        })
    }
}

/// The traces of several programs.
///
/// # Errors
///
/// The exporter in memory fails.
pub fn tree(programs: &[&Providers]) -> Result<TraceTree> {
    let mut tree = TraceTree::new().color(wants_color());
    for program in programs {
        tree = tree.service(program.service, program.spans()?);
    }
    Ok(tree)
}

/// Whether the output is a terminal whose user has nothing against colours.
#[must_use]
pub fn wants_color() -> bool {
    io::stdout().is_terminal() && variable("NO_COLOR").is_none()
}

/// The last thing that programs do: their clients have sent what they had to send.
pub fn shut_down(programs: &[&Providers]) {
    // At the same time, so that a collector that hangs is waited for once.
    let results: Vec<_> = thread::scope(|scope| {
        let mut threads = Vec::new();
        for program in programs {
            threads.push(scope.spawn(|| program.shut_down()));
        }
        let results = threads.into_iter().map(|thread| thread.join());
        results.filter_map(Result::ok).collect()
    });
    let (spans, metrics): (Vec<_>, Vec<_>) = results.into_iter().unzip();
    tell("Spans", endpoint("TRACES"), spans);
    tell("Metrics", endpoint("METRICS"), metrics);
}

fn tell(signal: &str, endpoint: Option<String>, results: Vec<OTelSdkResult>) {
    let failed = results.into_iter().find_map(Result::err);
    match (endpoint, failed) {
        (None, _) => {}
        #[cfg(not(feature = "otlp"))]
        (Some(name), _) => println!(
            "{signal} not exported to the address in {name}: run it with `--features otlp`."
        ),
        #[cfg(feature = "otlp")]
        (Some(name), None) => println!("{signal} exported to the address in {name}."),
        #[cfg(feature = "otlp")]
        (Some(name), Some(error)) => {
            println!("{signal} not exported to the address in {name} (OTLP/HTTP): {error}.");
        }
    }
}

/// The variable that says where a signal goes (`TRACES`, `METRICS` or `LOGS`); its value may hold a password.
#[must_use]
pub fn endpoint(signal: &str) -> Option<String> {
    let of_signal = format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT");
    let mut names = [of_signal, "OTEL_EXPORTER_OTLP_ENDPOINT".to_owned()].into_iter();
    names.find(|name| variable(name).is_some())
}

/// A variable of the environment. An empty one counts as unset, as with OpenTelemetry's own.
#[must_use]
pub fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
