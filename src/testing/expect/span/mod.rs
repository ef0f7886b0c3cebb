//! Comparison of a span with what a test expects.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status};
use opentelemetry::{Key, StringValue, Value};
use opentelemetry_sdk::trace::SpanData;

use super::difference::{
    Differences, event_text, exception_text, ids_text, quoted, span_text, value_text,
};
use crate::testing::ERROR_TYPE;

/// What a test expects of a span, to compare a recorded span with.
///
/// Name, kind, parent, links and status are compared: a parent, a link or an error that was not
/// named is a difference. Of attributes and events only those that were named are compared, so that
/// a test does not fail because a new release records more. [`exactly`](Self::exactly) compares them
/// all.
///
/// Times, the instrumentation scope, the attributes of links, those of events other than
/// `exception.type`, and a description of an error that is not given are never compared.
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
    is_exact: bool,
}

impl ExpectedSpan {
    /// A root of this name and kind, without links or an error.
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
            is_exact: false,
        }
    }

    /// Sets that attributes and events that are not named are differences. Unset: only those that
    /// are named are compared.
    pub const fn exactly(mut self) -> Self {
        self.is_exact = true;
        self
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

    /// Adds an attribute, or replaces the one of this key.
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

    /// Sets an error status without an `error.type`, as `error!` of `tracing` does.
    pub const fn failed(mut self) -> Self {
        self.is_error = true;
        self
    }

    /// Description of the error. Unset: it is not compared.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Adds an event, by its name, in order. An `exception` may be of any type.
    pub fn event(mut self, name: impl Into<String>) -> Self {
        self.events.push(quoted(&name.into()));
        self
    }

    /// Adds an event of an exception with this `exception.type`, in order.
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
        let attributes = span.attributes.iter().map(|one| (&one.key, &one.value));
        differences.compare_attributes(
            self.attributes.iter(),
            attributes.filter(|(key, _)| self.is_compared(key)),
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
        let (expected, events) = (self.events.iter(), span.events.iter());
        if self.is_exact {
            let events = events.enumerate();
            let events = events.map(|(place, event)| event_text(event, self.events.get(place)));
            differences.compare_each("event", expected.cloned(), events);
        } else {
            differences.compare_among("event", expected, events, |event, expected| {
                event_text(event, Some(expected))
            });
        }
        differences.0
    }

    /// The type of an error that was not named says more than the status.
    fn is_compared(&self, key: &Key) -> bool {
        let is_error_type = key.as_str() == ERROR_TYPE;
        self.is_exact || is_error_type || self.attributes.contains_key(key)
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
