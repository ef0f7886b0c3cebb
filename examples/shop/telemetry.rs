//! What each service sets up once: spans, metrics and log records, in batches over OTLP/HTTP.
//!
//! The sampler is the one of `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`, unset `parentbased_always_on`; queue and
//! batches are as `OTEL_BSP_*` says, metrics are exported as often as `OTEL_METRIC_EXPORT_INTERVAL` says. All of these are
//! read by the SDK, `OTEL_EXPORTER_OTLP_*` by the exporters.

use std::io;

use anyhow::Result;
use examples::telemetry::endpoint;
use opentelemetry::{KeyValue, global};
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::{LogExporter, MetricExporter, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::SdkTracerProvider;
use otel_messaging::Telemetry;
use otel_messaging::policy::{Policy, Rule};
use otel_messaging::w3c::Propagator;
use tracing::{Level, subscriber, warn};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use uuid::Uuid;

use crate::arguments::{Arguments, Role};
use crate::counts::{Counter, Counts};
use crate::report::Reports;
use crate::span::ToParent;

/// The providers of a service.
#[derive(Debug)]
pub(crate) struct Providers {
    tracers: SdkTracerProvider,
    meters: SdkMeterProvider,
    loggers: SdkLoggerProvider,
    counter: Counter,
}

impl Providers {
    /// Sets up the one that looks for the global providers too, and `tracing`.
    pub(crate) fn new(role: Role, arguments: &Arguments, reports: Reports) -> Result<Self> {
        let resource = resource(role);
        let counter = Counter::default();

        let mut tracers = SdkTracerProvider::builder()
            .with_resource(resource.clone())
            .with_span_processor(counter.clone());
        if endpoint("TRACES").is_some() {
            let exporter = SpanExporter::builder().with_http().build()?;
            tracers = tracers.with_batch_exporter(counter.around(exporter));
        }
        if arguments.tells_spans {
            tracers = tracers.with_batch_exporter(counter.around(ToParent(reports)));
        }
        let mut meters = SdkMeterProvider::builder().with_resource(resource.clone());
        if endpoint("METRICS").is_some() {
            let exporter = MetricExporter::builder().with_http().build()?;
            meters = meters.with_periodic_exporter(exporter);
        }
        let mut loggers = SdkLoggerProvider::builder().with_resource(resource);
        if endpoint("LOGS").is_some() {
            let exporter = LogExporter::builder().with_http().build()?;
            loggers = loggers.with_batch_exporter(exporter);
        }
        let providers = Self {
            tracers: tracers.build(),
            meters: meters.build(),
            loggers: loggers.build(),
            counter,
        };
        // For the requests of axum, whose spans and metrics are not ours.
        global::set_tracer_provider(providers.tracers.clone());
        global::set_meter_provider(providers.meters.clone());
        global::set_text_map_propagator(Propagator::new());
        providers.set_up_log_lines(arguments)?;
        Ok(providers)
    }

    /// Log lines go to the terminal, and to OpenTelemetry with the ids of the span that is current.
    fn set_up_log_lines(&self, arguments: &Arguments) -> Result<()> {
        // The parent tells what becomes of orders.
        let level = match arguments.is_child {
            true => Level::WARN,
            false => Level::INFO,
        };
        let terminal = Targets::new()
            .with_default(Level::WARN)
            .with_target("shop", level);
        let lines = fmt::layer().compact().with_writer(io::stderr);
        // What an exporter logs would be exported, and logged again.
        let exported = Targets::new()
            .with_default(Level::WARN)
            .with_target("shop", Level::INFO)
            .with_target("hyper", LevelFilter::OFF)
            .with_target("opentelemetry", LevelFilter::OFF)
            .with_target("reqwest", LevelFilter::OFF);
        let bridge = OpenTelemetryTracingBridge::new(&self.loggers);
        let subscriber = tracing_subscriber::registry()
            .with(lines.with_filter(terminal))
            .with(bridge.with_filter(exported));
        Ok(subscriber::set_global_default(subscriber)?)
    }

    /// What each wrapped client is given.
    pub(crate) fn telemetry(&self) -> Telemetry {
        let rule = Rule::of("shop.*").time_in_queue(true).lag(true);
        Telemetry::new()
            .tracer_provider(self.tracers.clone())
            .meter_provider(self.meters.clone())
            .logger_provider(self.loggers.clone())
            .policy(Policy::new().rule(rule))
    }

    /// Exports what is left.
    pub(crate) fn shut_down(&self) -> Counts {
        for (signal, result) in [
            ("spans", self.tracers.shutdown()),
            ("metrics", self.meters.shutdown()),
        ] {
            if let Err(error) = result {
                warn!("{signal} are not all exported: {error}");
            }
        }
        if let Err(error) = self.loggers.shutdown() {
            eprintln!("log records are not all exported: {error}");
        }
        self.counter.counts()
    }
}

/// What is known of a service. `OTEL_RESOURCE_ATTRIBUTES` can say more, and where it runs; but not another name for all
/// four.
fn resource(role: Role) -> Resource {
    Resource::builder_empty()
        .with_attribute(KeyValue::new("deployment.environment.name", "development"))
        .with_detectors(&[
            Box::new(TelemetryResourceDetector),
            Box::new(EnvResourceDetector::new()),
        ])
        .with_service_name(role.name())
        .with_attributes([
            KeyValue::new("service.namespace", "shop"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", Uuid::new_v4().to_string()),
        ])
        .build()
}
