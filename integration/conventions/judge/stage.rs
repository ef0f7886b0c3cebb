//! Where a scene plays: telemetry that records, and what was recorded as the judge reads it.

use opentelemetry::KeyValue;
use opentelemetry::trace::SpanContext;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, Metric, MetricData, ScopeMetrics};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use opentelemetry_sdk::trace::SpanData;
use otel_messaging::Telemetry;
use otel_messaging::testing::Recorder;

use crate::model::{Attributes, Event, Facts, Id, Instrument, Link, Point, Scene, Span};

/// A broker and a wrapped client of it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Which of the clients it is.
    pub(crate) name: &'static str,
    pub(crate) system: &'static str,
    pub(crate) server: Option<(String, i64)>,
}

impl Place {
    /// What is known of any scene here.
    pub(crate) fn facts(&self) -> Facts {
        Facts {
            system: self.system,
            server: self.server.clone(),
            is_ordinary: true,
            ..Facts::default()
        }
    }
}

#[derive(Debug)]
pub(crate) struct Stage {
    place: Place,
    recorder: Recorder,
    metrics: InMemoryMetricExporter,
    meters: SdkMeterProvider,
}

impl Stage {
    pub(crate) fn at(place: &Place) -> Self {
        let metrics = InMemoryMetricExporter::default();
        let meters = SdkMeterProvider::builder().with_periodic_exporter(metrics.clone());
        Self {
            place: place.clone(),
            recorder: Recorder::new(),
            metrics,
            meters: meters.build(),
        }
    }

    pub(crate) fn telemetry(&self) -> Telemetry {
        self.recorder
            .telemetry()
            .meter_provider(self.meters.clone())
    }

    pub(crate) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    pub(crate) fn facts(&self) -> Facts {
        self.place.facts()
    }

    /// What was recorded so far. Spans of the test itself are not judged.
    pub(crate) fn scene(self, name: &str, facts: Facts) -> Scene {
        let spans = self.recorder.spans().into_iter();
        let spans = spans.filter(|span| span.instrumentation_scope.name() == "otel-messaging");
        self.meters.force_flush().expect("metrics are exported");
        let exported = self.metrics.get_finished_metrics().expect("no panic");
        let latest = exported.last();
        let scopes = latest.into_iter().flat_map(|latest| latest.scope_metrics());
        Scene {
            name: format!("{}: {name}", self.place.name),
            spans: spans.map(span).collect(),
            points: scopes.flat_map(points).collect(),
            facts,
        }
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

fn span(data: SpanData) -> Span {
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
        links: links.collect(),
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
