//! Comparison of a whole span, metric or log record with what a test expects.

mod difference;
mod log;
mod metric;

use std::collections::BTreeMap;

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status};
use opentelemetry::{Key, StringValue, Value};
use opentelemetry_sdk::trace::SpanData;

use self::difference::{
    Differences, event_text, exception_text, ids_text, quoted, span_text, value_text,
};
pub use self::log::ExpectedLog;
pub use self::metric::ExpectedMetric;
use super::ERROR_TYPE;

/// The description of a whole span, to compare a recorded span with.
///
/// Everything else has to be absent: an additional parent, link, attribute, event or error is a
/// difference. Times, the instrumentation scope, the attributes of links, those of events other than
/// `exception.type`, and a description of an error that is not given are not compared.
///
/// # Examples
///
/// ```
/// use otel_messaging::testing::{ExpectedSpan, Recorder};
/// use opentelemetry::KeyValue;
/// use opentelemetry::trace::{Span, SpanKind, Status, Tracer, TracerProvider};
///
/// let recorder = Recorder::new();
/// let tracer = recorder.tracer_provider().tracer("shop");
///
/// let mut span = tracer.span_builder("send orders").with_kind(SpanKind::Producer).start(&tracer);
/// span.set_attribute(KeyValue::new("error.type", "timeout"));
/// span.set_status(Status::error("no broker answered"));
/// span.end();
///
/// ExpectedSpan::new("send orders", SpanKind::Producer)
///     .error("timeout")
///     .assert(&recorder.span("send orders"));
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is compared before `assert` is called"]
pub struct ExpectedSpan {
    name: String,
    kind: SpanKind,
    parent: Option<SpanContext>,
    links: Vec<SpanContext>,
    // `None` stands for any value.
    attributes: BTreeMap<Key, Option<Value>>,
    is_error: bool,
    description: Option<String>,
    events: Vec<String>,
}

impl ExpectedSpan {
    /// A span of this name and kind, without anything else.
    pub fn new(name: impl Into<String>, kind: SpanKind) -> Self {
        Self {
            name: name.into(),
            kind,
            parent: None,
            links: Vec::new(),
            attributes: BTreeMap::new(),
            is_error: false,
            description: None,
            events: Vec::new(),
        }
    }

    /// Replaces the name.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the parent. Unset: the span is a root.
    pub fn child_of(mut self, parent: &SpanContext) -> Self {
        self.parent = Some(parent.clone());
        self
    }

    /// Adds a link, by trace id and span id, in order. Unset: no links.
    pub fn link(mut self, linked: &SpanContext) -> Self {
        self.links.push(linked.clone());
        self
    }

    /// Adds an attribute, or replaces the one of this key. Unset: no attributes.
    pub fn attribute(mut self, key: impl Into<Key>, value: impl Into<Value>) -> Self {
        self.attributes.insert(key.into(), Some(value.into()));
        self
    }

    /// Adds an attribute with any value.
    pub fn any(mut self, key: impl Into<Key>) -> Self {
        self.attributes.insert(key.into(), None);
        self
    }

    /// Sets an error status and this `error.type`. Unset: status unset and no `error.type`.
    pub fn error(mut self, error_type: impl Into<StringValue>) -> Self {
        self.is_error = true;
        self.attribute(ERROR_TYPE, Value::String(error_type.into()))
    }

    /// Description of the error. Unset: it is not compared.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Adds an event, by its name, in order. Unset: no events.
    pub fn event(mut self, name: impl Into<String>) -> Self {
        self.events.push(quoted(&name.into()));
        self
    }

    /// Adds an event of an exception with this `exception.type`, in order. Unset: no events.
    pub fn exception(mut self, exception_type: impl Into<StringValue>) -> Self {
        let exception_type = Value::String(exception_type.into());
        self.events.push(exception_text(&exception_type));
        self
    }

    /// Compares `span` with this description.
    ///
    /// # Panics
    ///
    /// If anything differs, with a line for each difference.
    #[track_caller]
    pub fn assert(&self, span: &SpanData) {
        let differences = self.differences(span);
        assert!(
            differences.is_empty(),
            "span {:?} is not as expected:\n  {}",
            span.name,
            differences.join("\n  "),
        );
    }

    fn differences(&self, span: &SpanData) -> Vec<String> {
        let mut differences = Differences(Vec::new());
        differences.compare("name", quoted(&self.name), quoted(&span.name));
        differences.compare(
            "kind",
            format!("{:?}", self.kind),
            format!("{:?}", span.span_kind),
        );
        differences.compare(
            "parent",
            self.parent.as_ref().map(span_text),
            found_parent(span),
        );
        differences.compare_each(
            "link",
            self.links.iter().map(span_text),
            span.links.iter().map(|link| span_text(&link.span_context)),
        );
        differences.compare_attributes(
            self.attributes.iter(),
            span.attributes.iter().map(|one| (&one.key, &one.value)),
            value_text,
        );
        differences.compare(
            "status",
            if self.is_error { ERROR } else { UNSET }.to_owned(),
            found_status(&span.status).to_owned(),
        );
        if let Some(expected) = &self.description {
            let found = match &span.status {
                Status::Error { description } => Some(quoted(description)),
                Status::Unset | Status::Ok => None,
            };
            differences.compare("description", quoted(expected), found);
        }
        differences.compare_each(
            "event",
            self.events.iter().cloned(),
            span.events.iter().map(event_text),
        );
        differences.0
    }
}

fn found_parent(span: &SpanData) -> Option<String> {
    let parent = span.parent_span_id;
    (parent != SpanId::INVALID).then(|| ids_text(span.span_context.trace_id(), parent))
}

fn found_status(status: &Status) -> &'static str {
    match status {
        Status::Unset => UNSET,
        Status::Error { .. } => ERROR,
        Status::Ok => "ok",
    }
}

const UNSET: &str = "unset";
const ERROR: &str = "error";

#[cfg(test)]
mod tests {
    use opentelemetry::KeyValue;
    use opentelemetry::trace::{Event, Link};

    use super::*;
    use crate::testing::sample::{NO_PARENT, OTHER_TRACE, TRACE, context, span};

    fn exception(exception_type: &'static str) -> Event {
        let attribute = KeyValue::new("exception.type", exception_type);
        Event::new("exception", opentelemetry::time::now(), vec![attribute], 0)
    }

    fn plain() -> SpanData {
        SpanData {
            span_kind: SpanKind::Consumer,
            ..span("process orders", (TRACE, 1, NO_PARENT), 0, 1)
        }
    }

    fn full() -> SpanData {
        let mut span = plain();
        span.parent_span_id = SpanId::from(2);
        span.links.links = vec![
            Link::with_context(context(TRACE, 2)),
            Link::with_context(context(OTHER_TRACE, 3)),
        ];
        span.attributes = vec![
            KeyValue::new("messaging.system.name", "kafka"),
            KeyValue::new("error.type", "timeout"),
            KeyValue::new("messaging.batch.message_count", 2),
        ];
        span.events.events = vec![Event::with_name("retry"), exception("Timeout")];
        span.status = Status::error("took 5 s");
        span
    }

    fn expect_plain() -> ExpectedSpan {
        ExpectedSpan::new("process orders", SpanKind::Consumer)
    }

    fn expect_full() -> ExpectedSpan {
        expect_plain()
            .child_of(&context(TRACE, 2))
            .link(&context(TRACE, 2))
            .link(&context(OTHER_TRACE, 3))
            .attribute("messaging.batch.message_count", 2)
            .any("messaging.system.name")
            .error("timeout")
            .description("took 5 s")
            .event("retry")
            .exception("Timeout")
    }

    #[test]
    fn a_span_as_described_passes() {
        expect_plain().assert(&plain());
        expect_full().assert(&full());
    }

    #[test]
    #[should_panic(expected = "span \"process orders\" is not as expected:
  name: expected \"send orders\", found \"process orders\"
  kind: expected Producer, found Consumer")]
    fn the_message_has_a_line_for_each_difference() {
        ExpectedSpan::new("send orders", SpanKind::Producer).assert(&plain());
    }

    #[test]
    fn whatever_was_not_described_is_a_difference() {
        assert_eq!(
            expect_plain().differences(&full()),
            [
                "parent: expected none, found span 0000000000000002 in trace 4bf92f3577b34da6a3ce929d0e0e4736",
                "link 1: expected none, found span 0000000000000002 in trace 4bf92f3577b34da6a3ce929d0e0e4736",
                "link 2: expected none, found span 0000000000000003 in trace 3fa94be1ce929d0e0e473600f067aa0b",
                "attribute error.type: expected none, found \"timeout\"",
                "attribute messaging.batch.message_count: expected none, found 2",
                "attribute messaging.system.name: expected none, found \"kafka\"",
                "status: expected unset, found error",
                "event 1: expected none, found \"retry\"",
                "event 2: expected none, found exception of type \"Timeout\"",
            ]
        );
    }

    #[test]
    fn whatever_is_missing_is_a_difference() {
        assert_eq!(
            expect_full().differences(&plain()),
            [
                "parent: expected span 0000000000000002 in trace 4bf92f3577b34da6a3ce929d0e0e4736, found none",
                "link 1: expected span 0000000000000002 in trace 4bf92f3577b34da6a3ce929d0e0e4736, found none",
                "link 2: expected span 0000000000000003 in trace 3fa94be1ce929d0e0e473600f067aa0b, found none",
                "attribute error.type: expected \"timeout\", found none",
                "attribute messaging.batch.message_count: expected 2, found none",
                "attribute messaging.system.name: expected one value, whatever it is, found none",
                "status: expected error, found unset",
                "description: expected \"took 5 s\", found none",
                "event 1: expected \"retry\", found none",
                "event 2: expected exception of type \"Timeout\", found none",
            ]
        );
    }

    #[test]
    fn a_parent_of_the_same_span_id_in_another_trace_is_a_difference() {
        let mut span = plain();
        span.parent_span_id = SpanId::from(2);

        let differences = expect_plain()
            .child_of(&context(OTHER_TRACE, 2))
            .differences(&span);

        assert_eq!(
            differences,
            [
                "parent: expected span 0000000000000002 in trace 3fa94be1ce929d0e0e473600f067aa0b, \
              found span 0000000000000002 in trace 4bf92f3577b34da6a3ce929d0e0e4736"
            ]
        );
    }

    #[test]
    fn links_in_another_order_are_a_difference() {
        let mut span = plain();
        span.links.links = vec![
            Link::with_context(context(TRACE, 3)),
            Link::with_context(context(TRACE, 2)),
        ];

        let expected = expect_plain()
            .link(&context(TRACE, 2))
            .link(&context(TRACE, 3));

        assert_eq!(expected.differences(&span).len(), 2);
    }

    #[test]
    fn a_key_that_the_span_has_twice_is_a_difference() {
        let mut span = plain();
        span.attributes = vec![
            KeyValue::new("a", 1),
            KeyValue::new("a", 1),
            KeyValue::new("b", 1),
            KeyValue::new("b", 2),
        ];

        let differences = expect_plain().attribute("a", 1).any("b").differences(&span);

        assert_eq!(
            differences,
            [
                "attribute a: expected 1, found 1 and 1",
                "attribute b: expected one value, whatever it is, found 1 and 2",
            ]
        );
    }

    #[test]
    fn the_later_expected_value_of_a_key_counts() {
        let mut span = plain();
        span.attributes = vec![KeyValue::new("a", 2)];

        expect_plain()
            .attribute("a", 1)
            .attribute("a", 2)
            .assert(&span);
    }

    #[test]
    fn another_error_type_and_an_ok_status_are_differences() {
        let mut span = full();
        span.status = Status::Ok;

        assert_eq!(
            expect_full()
                .error("refused")
                .description("no")
                .differences(&span),
            [
                "attribute error.type: expected \"refused\", found \"timeout\"",
                "status: expected error, found ok",
                "description: expected \"no\", found none",
            ]
        );
    }
}
