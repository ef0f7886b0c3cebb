//! Where a scene plays: telemetry that records, and what was recorded as the judge reads it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::logs::AnyValue;
use opentelemetry::trace::{SpanContext, SpanId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{InMemoryLogExporter, SdkLogRecord, SdkLoggerProvider};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, Metric, MetricData, ScopeMetrics};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use opentelemetry_sdk::trace::{
    InMemorySpanExporter, SdkTracerProvider, Span as Started, SpanData, SpanProcessor,
};
use otel_messaging::Telemetry;

use crate::model::{Attributes, Event, Facts, Id, Instrument, Link, Log, Point, Scene, Span};

/// A broker and a wrapped client of it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Which of the clients it is.
    pub(crate) name: &'static str,
    pub(crate) system: &'static str,
    pub(crate) server: Option<(String, i64)>,
    /// The id that its clients are given.
    pub(crate) client: &'static str,
    /// Exceptions are log records there, and events of spans elsewhere.
    pub(crate) has_logger: bool,
}

impl Place {
    /// What is known of any scene here.
    pub(crate) fn facts(&self) -> Facts {
        Facts {
            are_known: true,
            system: self.system,
            server: self.server.clone(),
            client: self.client,
            has_logger: self.has_logger,
            is_ordinary: true,
            ..Facts::default()
        }
    }
}

#[derive(Debug)]
pub(crate) struct Stage {
    place: Place,
    spans: InMemorySpanExporter,
    tracers: SdkTracerProvider,
    started: Beginnings,
    metrics: InMemoryMetricExporter,
    meters: SdkMeterProvider,
    logs: InMemoryLogExporter,
    /// Where exceptions are log records.
    loggers: Option<SdkLoggerProvider>,
}

impl Stage {
    pub(crate) fn at(place: &Place) -> Self {
        let spans = InMemorySpanExporter::default();
        let started = Beginnings::default();
        let tracers = SdkTracerProvider::builder()
            .with_span_processor(started.clone())
            .with_simple_exporter(spans.clone());
        let metrics = InMemoryMetricExporter::default();
        let meters = SdkMeterProvider::builder().with_periodic_exporter(metrics.clone());
        let logs = InMemoryLogExporter::default();
        Self {
            place: place.clone(),
            tracers: tracers.build(),
            spans,
            started,
            metrics,
            meters: meters.build(),
            loggers: place.has_logger.then(|| {
                let loggers = SdkLoggerProvider::builder();
                loggers.with_simple_exporter(logs.clone()).build()
            }),
            logs,
        }
    }

    pub(crate) fn telemetry(&self) -> Telemetry {
        let telemetry = Telemetry::new()
            .tracer_provider(self.tracers.clone())
            .meter_provider(self.meters.clone());
        match &self.loggers {
            Some(loggers) => telemetry.logger_provider(loggers.clone()),
            None => telemetry,
        }
    }

    /// For spans of the application.
    pub(crate) fn tracers(&self) -> &SdkTracerProvider {
        &self.tracers
    }

    /// Whether anything was recorded of a metric.
    pub(crate) fn has_measured(&self, metric: &str) -> bool {
        self.metrics.reset();
        self.meters.force_flush().expect("metrics are exported");
        let exported = self.metrics.get_finished_metrics().expect("no panic");
        let scopes = exported.iter().flat_map(|one| one.scope_metrics());
        scopes.flat_map(points).any(|point| point.metric == metric)
    }

    pub(crate) fn facts(&self) -> Facts {
        self.place.facts()
    }

    /// What was recorded so far. Spans of the test itself are not judged.
    pub(crate) fn scene(self, name: &str, facts: Facts) -> Scene {
        let spans = self.spans.get_finished_spans().expect("no panic");
        let spans = spans.into_iter();
        let spans = spans.filter(|span| span.instrumentation_scope.name() == "otel-messaging");
        self.meters.force_flush().expect("metrics are exported");
        let logs = self.logs.get_emitted_logs().expect("no panic");
        let exported = self.metrics.get_finished_metrics().expect("no panic");
        let latest = exported.last();
        let scopes = latest.into_iter().flat_map(|latest| latest.scope_metrics());
        Scene {
            name: format!("{}: {name}", self.place.name),
            spans: spans.map(|data| span(data, &self.started)).collect(),
            points: scopes.flat_map(points).collect(),
            logs: logs.into_iter().map(|log| logged(&log.record)).collect(),
            facts,
        }
    }
}

fn logged(record: &SdkLogRecord) -> Log {
    let context = record.trace_context().expect("a context");
    let attributes = record.attributes_iter().map(|(key, value)| {
        let text = match value {
            AnyValue::String(text) => text.to_string(),
            other => format!("{other:?}"),
        };
        (key.to_string(), text.into())
    });
    Log {
        name: record.event_name().unwrap_or_default().to_owned(),
        severity: record
            .severity_number()
            .map_or(0, |severity| severity as i32),
        span: (context.trace_id, context.span_id),
        attributes: Attributes(attributes.collect()),
    }
}

pub(crate) fn id(context: &SpanContext) -> Id {
    (context.trace_id(), context.span_id())
}

fn attributes<'a>(all: impl IntoIterator<Item = &'a KeyValue>) -> Attributes {
    let all = all.into_iter();
    Attributes(
        all.map(|one| (one.key.to_string(), one.value.clone()))
            .collect(),
    )
}

/// What spans had when they started.
#[derive(Clone, Debug, Default)]
struct Beginnings(Arc<Mutex<HashMap<SpanId, SpanData>>>);

impl Beginnings {
    fn of(&self, span: SpanId) -> SpanData {
        let started = self.0.lock().expect("no panic");
        started.get(&span).expect("it started").clone()
    }
}

impl SpanProcessor for Beginnings {
    fn on_start(&self, span: &mut Started, _: &Context) {
        if let Some(data) = span.exported_data() {
            let mut started = self.0.lock().expect("no panic");
            started.insert(data.span_context.span_id(), data);
        }
    }

    fn on_end(&self, _: SpanData) {}

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

fn span(data: SpanData, started: &Beginnings) -> Span {
    let beginning = started.of(data.span_context.span_id());
    let links = data.links.iter().map(|link| Link {
        to: id(&link.span_context),
        attributes: attributes(&link.attributes),
    });
    let events = data.events.iter().map(|event| Event {
        name: event.name.to_string(),
        attributes: attributes(&event.attributes),
    });
    Span {
        kind: data.span_kind.clone(),
        id: id(&data.span_context),
        parent: data.parent_span_id,
        start: data.start_time,
        end: data.end_time,
        attributes: attributes(&data.attributes),
        at_start: attributes(&beginning.attributes),
        links: links.collect(),
        links_at_start: beginning.links.len(),
        events: events.collect(),
        schema: data
            .instrumentation_scope
            .schema_url()
            .unwrap_or_default()
            .to_owned(),
        status: data.status,
        name: data.name.into_owned(),
    }
}

fn points(scope: &ScopeMetrics) -> Vec<Point> {
    let schema = scope.scope().schema_url().unwrap_or_default();
    scope
        .metrics()
        .flat_map(|metric| points_of(metric, schema))
        .collect()
}

fn points_of(metric: &Metric, schema: &str) -> Vec<Point> {
    let point = |instrument, attributes| Point {
        metric: metric.name().to_owned(),
        unit: metric.unit().to_owned(),
        instrument,
        bounds: Vec::new(),
        attributes,
        count: 0,
        sum: 0.0,
        schema: schema.to_owned(),
    };
    match metric.data() {
        AggregatedMetrics::F64(MetricData::Histogram(data)) => data
            .data_points()
            .map(|one| Point {
                bounds: one.bounds().collect(),
                count: one.count(),
                sum: one.sum(),
                ..point(Instrument::Histogram, attributes(one.attributes()))
            })
            .collect(),
        AggregatedMetrics::U64(MetricData::Sum(data)) => data
            .data_points()
            .map(|one| {
                let instrument = match data.is_monotonic() {
                    true => Instrument::Counter,
                    false => Instrument::Other,
                };
                let small = u32::try_from(one.value()).expect("a small number");
                Point {
                    sum: f64::from(small),
                    ..point(instrument, attributes(one.attributes()))
                }
            })
            .collect(),
        AggregatedMetrics::U64(MetricData::Gauge(data)) => data
            .data_points()
            .map(|one| point(Instrument::Gauge, attributes(one.attributes())))
            .collect(),
        _ => vec![point(Instrument::Other, Attributes::default())],
    }
}
