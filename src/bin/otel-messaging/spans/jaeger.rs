//! What Jaeger answers.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::{Kind, Span, SpanFacts, Spans, span_id, time, trace_id};

#[derive(Debug, Deserialize)]
struct Answer {
    data: Option<Vec<Trace>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Trace {
    #[serde(default)]
    spans: Vec<Told>,
    #[serde(default)]
    processes: HashMap<String, Process>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Process {
    service_name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    span_id: String,
    operation_name: String,
    #[serde(default)]
    references: Vec<Reference>,
    /// In microseconds.
    start_time: u64,
    duration: u64,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(rename = "processID", default)]
    process: String,
}

#[derive(Debug, Deserialize)]
struct Reference {
    #[serde(rename = "refType")]
    kind: String,
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    span_id: String,
}

#[derive(Debug, Deserialize)]
struct Tag {
    key: String,
    value: Value,
}

impl Tag {
    fn text(&self) -> Option<String> {
        match &self.value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(is_so) => Some(is_so.to_string()),
            _ => None,
        }
    }
}

/// Reads the answer to the question for a trace.
pub(crate) fn answer(answer: impl Read, spans: &mut Spans) -> Result<(), String> {
    let answer: Answer = serde_json::from_reader(answer)
        .map_err(|error| format!("not what its API answers: {error}"))?;
    for trace in answer.data.into_iter().flatten() {
        trace.add_to(spans)?;
    }
    Ok(())
}

impl Trace {
    pub(super) fn add_to(self, spans: &mut Spans) -> Result<(), String> {
        let services = self.processes.into_iter();
        let services = services.map(|(id, process)| (id, process.service_name.into()));
        let services: HashMap<String, Arc<str>> = services.collect();
        for told in self.spans {
            told.add_to(&services, spans)?;
        }
        Ok(())
    }
}

impl Told {
    fn add_to(self, services: &HashMap<String, Arc<str>>, spans: &mut Spans) -> Result<(), String> {
        let own = trace_id(&self.trace_id).zip(span_id(&self.span_id));
        let own = own.ok_or_else(|| {
            let [trace, span] = [&self.trace_id, &self.span_id];
            format!("{trace:?} and {span:?} are no ids of a trace and a span")
        })?;
        let (mut parent, mut links) = (None, Vec::new());
        for reference in &self.references {
            let id = trace_id(&reference.trace_id).zip(span_id(&reference.span_id));
            let Some((trace, span)) = id else { continue };
            match reference.kind == "CHILD_OF" && trace == own.0 && parent.is_none() {
                true => parent = Some(span),
                false => links.push((trace, span)),
            }
        }
        if !spans.wants(own, &links) {
            return Ok(());
        }
        let (mut facts, mut kind, mut is_error) = (SpanFacts::default(), Kind::Internal, false);
        for tag in &self.tags {
            match (tag.key.as_str(), tag.text().as_deref()) {
                ("span.kind", Some(text)) => kind = Kind::of(text),
                ("error", Some("true")) | ("otel.status_code", Some("ERROR")) => is_error = true,
                (key, _) => facts.look_at(key, || tag.text()),
            }
        }
        let service = services.get(&self.process).cloned();
        spans.add(Span {
            id: own,
            parent,
            links,
            service: service.unwrap_or_else(|| "unknown".into()),
            name: self.operation_name,
            kind,
            start: time(self.start_time.saturating_mul(1_000)),
            duration: Duration::from_micros(self.duration),
            is_error,
            facts,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::UNIX_EPOCH;

    use opentelemetry::trace::{SpanId, TraceId};
    use serde_json::json;

    use super::*;

    #[test]
    fn what_jaeger_answers_has_parents_links_and_services() {
        let [own, other] = ["0af7651916cd43dd8448eb211c80319c", "7"];
        let answer = json!({"data": [{"traceID": own, "spans": [{
            "traceID": own, "spanID": "00000000000000a1", "operationName": "process orders",
            "references": [
                {"refType": "FOLLOWS_FROM", "traceID": other, "spanID": "00000000000000b1"},
                {"refType": "CHILD_OF", "traceID": own, "spanID": "00000000000000a0"},
            ],
            "startTime": 1_000_000, "duration": 1_500,
            "tags": [
                {"key": "span.kind", "type": "string", "value": "consumer"},
                {"key": "error", "type": "bool", "value": true},
                {"key": "messaging.kafka.offset", "type": "int64", "value": 12},
            ],
            "processID": "p1",
        }], "processes": {"p1": {"serviceName": "billing", "tags": []}}, "warnings": null}],
        "total": 0, "errors": null});
        let trace = TraceId::from_hex(own).unwrap_or(TraceId::INVALID);
        let mut spans = Spans::of(HashSet::from([trace]));

        let read = super::answer(answer.to_string().as_bytes(), &mut spans);
        assert_eq!(read, Ok(()));

        let expected = Span {
            id: (trace, SpanId::from(0xa1)),
            parent: Some(SpanId::from(0xa0)),
            links: vec![(TraceId::from(7), SpanId::from(0xb1))],
            service: "billing".into(),
            name: "process orders".to_owned(),
            kind: Kind::Consumer,
            start: UNIX_EPOCH + Duration::from_secs(1),
            duration: Duration::from_micros(1_500),
            is_error: true,
            facts: SpanFacts {
                offset: Some("12".to_owned()),
                ..SpanFacts::default()
            },
        };
        assert_eq!(spans.all, [expected]);
    }
}
