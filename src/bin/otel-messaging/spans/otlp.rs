//! Files of OTLP as JSON: one object a line, as the Collector's file exporter writes them, or one object in any form. Also
//! what Jaeger has answered, saved in a file.

use std::cell::Cell;
use std::io::{self, BufReader, Read};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Deserializer;

use super::{Id, Kind, MOST_BYTES, Span, SpanFacts, Spans, jaeger, span_id, time, trace_id};

/// What one line holds.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    resource_spans: Option<Vec<OfResource>>,
    data: Option<Vec<jaeger::Trace>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OfResource {
    resource: Resource,
    scope_spans: Vec<OfScope>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Resource {
    attributes: Vec<Attribute>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OfScope {
    spans: Vec<Told>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    trace_id: String,
    span_id: String,
    parent_span_id: Option<String>,
    #[serde(default)]
    name: String,
    kind: Option<Number>,
    start_time_unix_nano: Number,
    end_time_unix_nano: Option<Number>,
    #[serde(default)]
    attributes: Vec<Attribute>,
    #[serde(default)]
    links: Vec<Link>,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Link {
    trace_id: String,
    span_id: String,
}

#[derive(Debug, Default, Deserialize)]
struct Status {
    code: Option<Number>,
}

#[derive(Debug, Deserialize)]
struct Attribute {
    key: String,
    value: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Value {
    string_value: Option<String>,
    int_value: Option<Number>,
}

/// JSON has numbers of 64 bits as texts, and enumerations as numbers or, from some, as names.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Number {
    Number(i64),
    Text(String),
}

impl Number {
    fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }

    fn nanoseconds(&self) -> Option<u64> {
        self.text().parse().ok()
    }
}

impl Attribute {
    fn text(&self) -> Option<String> {
        let value = self.value.as_ref()?;
        let number = || value.int_value.as_ref().map(Number::text);
        value.string_value.clone().or_else(number)
    }
}

/// Reads spans, and tells whether the last object is cut off: it may just be being written.
pub(crate) fn documents(file: impl Read, spans: &mut Spans) -> Result<bool, String> {
    let left = Rc::new(Cell::new(MOST_BYTES));
    let bounded = Bounded {
        inner: file,
        left: Rc::clone(&left),
    };
    let documents = Deserializer::from_reader(BufReader::new(bounded)).into_iter::<Document>();
    let (mut count, mut has_spans) = (0_u64, false);
    for document in documents {
        let document = match document {
            Ok(document) => document,
            Err(error) if error.is_eof() && has_spans => return Ok(true),
            Err(error) if error.is_io() => return Err(format!("object {}: {error}", count + 1)),
            Err(error) => return Err(format!("no spans as JSON: {error}")),
        };
        left.set(MOST_BYTES);
        count += 1;
        has_spans |= document.resource_spans.is_some() || document.data.is_some();
        for of_resource in document.resource_spans.into_iter().flatten() {
            of_resource
                .add_to(spans)
                .map_err(|error| format!("object {count}: {error}"))?;
        }
        for trace in document.data.into_iter().flatten() {
            trace
                .add_to(spans)
                .map_err(|error| format!("object {count}: {error}"))?;
        }
    }
    match has_spans {
        true => Ok(false),
        false => Err(
            "there are no spans in it: neither resourceSpans of OTLP, nor data of Jaeger"
                .to_owned(),
        ),
    }
}

impl OfResource {
    fn add_to(self, spans: &mut Spans) -> Result<(), String> {
        let service = self.resource.attributes.iter();
        let service = service.filter(|attribute| attribute.key == "service.name");
        let service = service.filter_map(Attribute::text).next();
        let service: Arc<str> = service.unwrap_or_else(|| "unknown".to_owned()).into();
        for told in self.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            told.add_to(&service, spans)?;
        }
        Ok(())
    }
}

impl Told {
    fn add_to(self, service: &Arc<str>, spans: &mut Spans) -> Result<(), String> {
        let id = |trace: &str, span: &str| -> Option<Id> { trace_id(trace).zip(span_id(span)) };
        let own = id(&self.trace_id, &self.span_id);
        let own = own.ok_or_else(|| {
            let [trace, span] = [&self.trace_id, &self.span_id];
            format!("{trace:?} and {span:?} are no ids of a trace and a span")
        })?;
        let links = self.links.iter();
        let links = links.filter_map(|link| id(&link.trace_id, &link.span_id));
        let links: Vec<_> = links.collect();
        if !spans.wants(own, &links) {
            return Ok(());
        }
        let start = self.start_time_unix_nano.nanoseconds();
        let start = start.ok_or_else(|| format!("span {}: no time of its start", self.span_id))?;
        let end = self.end_time_unix_nano.as_ref();
        let end = end.and_then(Number::nanoseconds).unwrap_or(start);
        let mut facts = SpanFacts::default();
        for attribute in &self.attributes {
            facts.look_at(&attribute.key, || attribute.text());
        }
        let code = self.status.code.as_ref().map(Number::text);
        spans.add(Span {
            id: own,
            parent: self.parent_span_id.as_deref().and_then(span_id),
            links,
            service: Arc::clone(service),
            name: self.name,
            kind: Kind::of(&self.kind.map(|kind| kind.text()).unwrap_or_default()),
            start: time(start),
            duration: Duration::from_nanos(end.saturating_sub(start)),
            is_error: matches!(code.as_deref(), Some("2" | "STATUS_CODE_ERROR")),
            facts,
        });
        Ok(())
    }
}

/// Reads no more than is allowed before somebody allows more.
struct Bounded<R> {
    inner: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        let left = self.left.get().checked_sub(length as u64);
        self.left.set(left.ok_or_else(|| {
            io::Error::other(format!("one object has more than {MOST_BYTES} bytes"))
        })?);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::UNIX_EPOCH;

    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const OTHER: &str = "1af7651916cd43dd8448eb211c80319c";

    /// What is read of this text, and whether it was cut off, or why it is not.
    fn read(text: &str) -> Result<(Vec<Span>, bool), String> {
        let mut spans = Spans::of(HashSet::from_iter(trace_id(TRACE)));
        let is_cut_off = documents(text.as_bytes(), &mut spans)?;
        Ok((spans.all, is_cut_off))
    }

    /// A line as the Collector writes it, with these spans of the shop.
    fn line(spans: &str) -> String {
        format!(
            r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"shop"}}}},{{"key":"process.pid","value":{{"intValue":"7"}}}}]}},"scopeSpans":[{{"scope":{{"name":"a"}},"spans":[{spans}]}}]}}]}}"#
        )
    }

    fn span(trace: &str, span: u8, more: &str) -> String {
        format!(
            r#"{{"traceId":"{trace}","spanId":"00000000000000{span:02x}","name":"send orders","startTimeUnixNano":"1000000000","endTimeUnixNano":1500000000{more}}}"#
        )
    }

    fn expected(number: u64) -> Span {
        Span {
            id: (
                TraceId::from_hex(TRACE).unwrap_or(TraceId::INVALID),
                SpanId::from(number),
            ),
            parent: None,
            links: Vec::new(),
            service: "shop".into(),
            name: "send orders".to_owned(),
            kind: Kind::Internal,
            start: UNIX_EPOCH + Duration::from_secs(1),
            duration: Duration::from_millis(500),
            is_error: false,
            facts: SpanFacts::default(),
        }
    }

    use opentelemetry::trace::{SpanId, TraceId};

    #[test]
    fn spans_of_the_trace_and_those_linked_to_it_are_read_line_by_line() {
        let more = r#","parentSpanId":"0000000000000009","kind":4,"status":{"code":2},"attributes":[
            {"key":"messaging.destination.name","value":{"stringValue":"orders"}},
            {"key":"messaging.destination.partition.id","value":{"stringValue":"0"}},
            {"key":"messaging.kafka.offset","value":{"intValue":"12"}},
            {"key":"messaging.operation.type","value":{"stringValue":"send"}},
            {"key":"tags","value":{"arrayValue":{"values":[{"stringValue":"a"}]}}}]"#;
        let linked = format!(
            r#","kind":"SPAN_KIND_CONSUMER","links":[{{"traceId":"{TRACE}","spanId":"0000000000000001"}}]"#
        );
        let first = line(&format!("{},{}", span(TRACE, 1, more), span(OTHER, 2, "")));
        let second = line(&span(OTHER, 3, &linked));
        // Sent again.
        let text = format!("{first}\n\n{{\"resourceLogs\":[]}}\n{second}\n{first}\n");

        let sent = Span {
            parent: Some(SpanId::from(9)),
            kind: Kind::Producer,
            is_error: true,
            facts: SpanFacts {
                operation: Some("send".to_owned()),
                destination: Some("orders".to_owned()),
                partition: Some("0".to_owned()),
                offset: Some("12".to_owned()),
            },
            ..expected(1)
        };
        let other = TraceId::from_hex(OTHER).unwrap_or(TraceId::INVALID);
        let received = Span {
            id: (other, SpanId::from(3)),
            kind: Kind::Consumer,
            links: vec![sent.id],
            ..expected(3)
        };
        assert_eq!(read(&text), Ok((vec![sent, received], false)));
    }

    #[test]
    fn one_object_over_many_lines_is_read_too() {
        let text = line(&span(TRACE, 1, "")).replace(',', ",\n  ");

        assert_eq!(read(&text), Ok((vec![expected(1)], false)));
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_line() {
        let good = line(&span(TRACE, 1, ""));
        let refused = |text: &str| read(text).err().unwrap_or_default();

        let error = refused(&format!("{good}\n{good}\n{{\"resourceSpans\": 7}}\n"));
        assert!(error.contains("at line 3 column"), "{error}");
        let error = refused(&format!("{good}\nnone of this\n{good}"));
        assert!(error.contains("at line 2 column"), "{error}");
        let error = refused(&line(&span("xyz", 1, "")));
        assert!(error.starts_with("object 1: \"xyz\""), "{error}");
        for text in ["", "{}", "[]", "{\"headers\": []}"] {
            assert!(refused(text).contains("no spans"), "{text}");
        }
    }

    #[test]
    fn of_a_file_that_is_being_written_all_but_the_last_object_is_read() {
        let good = line(&span(TRACE, 1, ""));

        let text = format!("{good}\n{}", &good[..100]);

        assert_eq!(read(&text), Ok((vec![expected(1)], true)));
        assert!(read(&good[..100]).is_err());
    }

    #[test]
    fn an_object_without_end_fills_no_memory() {
        let begin = br#"{"resourceSpans":[],"x":""#.as_slice();
        let endless = begin.chain(io::repeat(b'x'));
        let mut spans = Spans::of(HashSet::new());

        let error = documents(endless, &mut spans).err().unwrap_or_default();

        assert!(error.contains("more than 67108864 bytes"), "{error}");
    }
}
