//! Spans that the command is given: read, written again, and read as the same.

#[expect(dead_code, reason = "names that are drawn, and bounds of files")]
#[path = "../../src/bin/otel-messaging/spans/mod.rs"]
mod read;

use std::collections::HashSet;
use std::time::UNIX_EPOCH;

use opentelemetry::trace::TraceId;
use serde_json::{Value, json};

use self::read::{Kind, Span, Spans, documents, jaeger};

/// The trace that is asked for.
const TRACE: u128 = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c;

/// A file of OTLP, or of what Jaeger has answered.
pub fn check(input: &[u8]) {
    let mut spans = asked();
    match documents(input, &mut spans) {
        Ok(_) => written(&spans),
        Err(told) => assert!(
            !told.is_empty() && !told.contains(char::is_control),
            "{told:?}"
        ),
    }

    let mut answered = asked();
    if jaeger::answer(input, &mut answered).is_ok() && !answered.all.is_empty() {
        let is_of_jaeger = |whole: Value| whole.get("resourceSpans").is_none();
        if serde_json::from_slice(input).is_ok_and(is_of_jaeger) {
            assert_eq!(spans.all, answered.all);
        }
    }
}

fn asked() -> Spans {
    Spans::of(HashSet::from([TraceId::from(TRACE)]))
}

/// Each is of the trace, or linked to it, and there once.
fn written(spans: &Spans) {
    let mut ids = HashSet::new();
    for span in &spans.all {
        let links = span.links.iter().map(|(trace, _)| *trace);
        let mut traces = links.chain([span.id.0]);
        assert!(traces.any(|trace| trace == TraceId::from(TRACE)));
        assert!(ids.insert(span.id));
    }

    let told = spans
        .all
        .iter()
        .filter_map(|span| Some((span, line(span)?)));
    let (told, lines): (Vec<_>, Vec<_>) = told.unzip();
    let mut again = asked();
    let file = format!("{{\"resourceSpans\": []}}\n{}", lines.join("\n"));
    assert_eq!(documents(file.as_bytes(), &mut again), Ok(false));
    assert_eq!(again.all.iter().collect::<Vec<_>>(), told);
}

/// As the Collector writes it; nothing if the end is later than it can tell.
fn line(span: &Span) -> Option<String> {
    let start = span.start.duration_since(UNIX_EPOCH).ok()?;
    let nanoseconds = |time: std::time::Duration| u64::try_from(time.as_nanos()).ok();
    let end = nanoseconds(start.checked_add(span.duration)?)?;
    let facts = &span.facts;
    let attributes = [
        ("messaging.operation.type", &facts.operation),
        ("messaging.destination.name", &facts.destination),
        ("messaging.destination.partition.id", &facts.partition),
        ("messaging.kafka.offset", &facts.offset),
    ];
    let attributes = attributes.into_iter().filter_map(|(key, value)| {
        let value = value.as_ref()?;
        Some(json!({"key": key, "value": {"stringValue": value}}))
    });
    let links = span.links.iter();
    let links = links
        .map(|(trace, span)| json!({"traceId": trace.to_string(), "spanId": span.to_string()}));
    let kind = match span.kind {
        Kind::Internal => json!(1),
        Kind::Server => json!("SPAN_KIND_SERVER"),
        Kind::Client => json!("client"),
        Kind::Producer => json!("4"),
        Kind::Consumer => json!(5),
    };
    let code = if span.is_error { 2 } else { 0 };
    let told = json!({
        "traceId": span.id.0.to_string(),
        "spanId": span.id.1.to_string(),
        "parentSpanId": span.parent.map(|parent| parent.to_string()),
        "name": span.name,
        "kind": kind,
        "startTimeUnixNano": nanoseconds(start)?.to_string(),
        "endTimeUnixNano": end.to_string(),
        "attributes": attributes.collect::<Vec<_>>(),
        "links": links.collect::<Vec<_>>(),
        "status": {"code": code},
    });
    let service = json!({"key": "service.name", "value": {"stringValue": &*span.service}});
    let of_resource =
        json!({"resource": {"attributes": [service]}, "scopeSpans": [{"spans": [told]}]});
    Some(json!({"resourceSpans": [of_resource]}).to_string())
}
