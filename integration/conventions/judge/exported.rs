//! What the examples export, as a receiver of OTLP gets it. Of what they do nothing is known here, so that those rules
//! are held against it that need to know nothing.

use std::process::Stdio;
use std::time::{Duration, UNIX_EPOCH};

use integration::otlp::Receiver;
use opentelemetry::trace::{SpanId, SpanKind, Status, TraceId};
use opentelemetry::{Array, StringValue, Value};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Sent;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint};
use opentelemetry_proto::tonic::trace::v1::Span as SentSpan;

use crate::model::{Attributes, Event, Facts, Id, Instrument, Link, Point, Scene, Span};

/// Runs an example and takes what it exports.
pub(crate) fn example(name: &str, system: &'static str) -> Scene {
    let (receiver, endpoint) = Receiver::start();
    let status = integration::cargo()
        .args([
            "run",
            "--quiet",
            "--package",
            "examples",
            "--all-features",
            "--example",
            name,
        ])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .stdout(Stdio::null())
        .status();
    assert!(status.expect("a program").success(), "{name} ends well");
    let is_ours = |scope: &Option<InstrumentationScope>| {
        let name = scope.as_ref().map(|scope| scope.name.as_str());
        name == Some("otel-messaging")
    };
    let metrics = receiver.metrics().into_iter();
    let metrics = metrics.filter(|scope| is_ours(&scope.scope));
    let points = metrics.flat_map(|scope| {
        let schema = scope.schema_url;
        let metrics = scope.metrics.into_iter();
        metrics.flat_map(move |metric| points(metric, &schema))
    });
    let spans = receiver.spans().into_iter();
    let spans = spans.filter(|scope| is_ours(&scope.scope));
    let spans = spans.flat_map(|scope| {
        let schema = scope.schema_url;
        let spans = scope.spans.into_iter();
        spans.map(move |sent| span(sent, schema.clone()))
    });
    Scene {
        name: format!("example {name}"),
        spans: spans.collect(),
        points: points.collect(),
        logs: Vec::new(),
        facts: Facts {
            system,
            // Its orders have a subject each.
            has_no_common_name: name == "jetstream_batch",
            ..Facts::default()
        },
    }
}

fn id(trace: &[u8], span: &[u8]) -> Id {
    let trace = trace.try_into().expect("16 bytes");
    let span = span.try_into().expect("8 bytes");
    (TraceId::from_bytes(trace), SpanId::from_bytes(span))
}

fn value(sent: Option<AnyValue>) -> Value {
    let text = |sent: AnyValue| match sent.value {
        Some(Sent::StringValue(text)) => StringValue::from(text),
        other => panic!("no text: {other:?}"),
    };
    match sent.and_then(|sent| sent.value) {
        Some(Sent::StringValue(text)) => text.into(),
        Some(Sent::BoolValue(is)) => is.into(),
        Some(Sent::IntValue(number)) => number.into(),
        Some(Sent::DoubleValue(number)) => number.into(),
        Some(Sent::ArrayValue(array)) => {
            let texts = array.values.into_iter().map(text);
            Value::Array(Array::String(texts.collect()))
        }
        other => panic!("no attribute of ours: {other:?}"),
    }
}

fn attributes(sent: Vec<KeyValue>) -> Attributes {
    let all = sent.into_iter().map(|one| (one.key, value(one.value)));
    Attributes(all.collect())
}

fn points(metric: Metric, schema: &str) -> Vec<Point> {
    let point = |instrument, sent| Point {
        metric: metric.name.clone(),
        unit: metric.unit.clone(),
        instrument,
        bounds: Vec::new(),
        attributes: attributes(sent),
        count: 0,
        sum: 0.0,
        schema: schema.to_owned(),
    };
    let numbers = |instrument, sent: Vec<NumberDataPoint>| {
        let sent = sent.into_iter().map(|one| Point {
            sum: match one.value {
                Some(Number::AsInt(number)) => number as f64,
                Some(Number::AsDouble(number)) => number,
                None => panic!("no number"),
            },
            ..point(instrument, one.attributes)
        });
        sent.collect()
    };
    match metric.data.clone() {
        Some(Data::Sum(sum)) if sum.is_monotonic => numbers(Instrument::Counter, sum.data_points),
        Some(Data::Gauge(gauge)) => numbers(Instrument::Gauge, gauge.data_points),
        Some(Data::Histogram(histogram)) => {
            let sent = histogram.data_points.into_iter().map(|one| Point {
                bounds: one.explicit_bounds,
                count: one.count,
                sum: one.sum.unwrap_or_default(),
                ..point(Instrument::Histogram, one.attributes)
            });
            sent.collect()
        }
        other => panic!("no metric of ours: {other:?}"),
    }
}

fn span(sent: SentSpan, schema: String) -> Span {
    let links = sent.links.into_iter().map(|link| Link {
        to: id(&link.trace_id, &link.span_id),
        attributes: attributes(link.attributes),
    });
    let events = sent.events.into_iter().map(|event| Event {
        name: event.name,
        attributes: attributes(event.attributes),
    });
    let links: Vec<_> = links.collect();
    let attributes = attributes(sent.attributes);
    Span {
        name: sent.name,
        kind: match sent.kind {
            2 => SpanKind::Server,
            3 => SpanKind::Client,
            4 => SpanKind::Producer,
            5 => SpanKind::Consumer,
            _ => SpanKind::Internal,
        },
        id: id(&sent.trace_id, &sent.span_id),
        parent: match sent.parent_span_id.as_slice() {
            [] => SpanId::INVALID,
            parent => id(&sent.trace_id, parent).1,
        },
        start: UNIX_EPOCH + Duration::from_nanos(sent.start_time_unix_nano),
        end: UNIX_EPOCH + Duration::from_nanos(sent.end_time_unix_nano),
        // What was there from the start is not told.
        at_start: attributes.clone(),
        attributes,
        links_at_start: links.len(),
        links,
        events: events.collect(),
        status: match sent.status.map(|status| (status.code, status.message)) {
            Some((2, message)) => Status::error(message),
            Some((1, _)) => Status::Ok,
            _ => Status::Unset,
        },
        schema,
    }
}
