//! What was captured, in a form that can be broken on purpose, and what is known of it from elsewhere.

use std::time::{Duration, SystemTime};

use opentelemetry::Value;
use opentelemetry::trace::{SpanId, SpanKind, Status, TraceId};

/// Identity of a span.
pub(crate) type Id = (TraceId, SpanId);

/// All that one use of the public API leaves.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) name: String,
    pub(crate) spans: Vec<Span>,
    pub(crate) points: Vec<Point>,
    pub(crate) logs: Vec<Log>,
    pub(crate) facts: Facts,
}

#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) name: String,
    pub(crate) kind: SpanKind,
    pub(crate) id: Id,
    /// Of the span that it is a child of; invalid for a root.
    pub(crate) parent: SpanId,
    pub(crate) start: SystemTime,
    pub(crate) end: SystemTime,
    pub(crate) attributes: Attributes,
    /// What samplers saw.
    pub(crate) at_start: Attributes,
    pub(crate) links: Vec<Link>,
    pub(crate) links_at_start: usize,
    pub(crate) events: Vec<Event>,
    pub(crate) status: Status,
    pub(crate) schema: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) to: Id,
    pub(crate) attributes: Attributes,
}

#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) attributes: Attributes,
}

/// A log record that is an event.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(crate) name: String,
    pub(crate) severity: i32,
    /// That was current.
    pub(crate) span: Id,
    pub(crate) attributes: Attributes,
}

/// What one metric has under one set of attributes.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) metric: String,
    pub(crate) unit: String,
    pub(crate) instrument: Instrument,
    pub(crate) bounds: Vec<f64>,
    pub(crate) attributes: Attributes,
    /// How many values a histogram has.
    pub(crate) count: u64,
    pub(crate) sum: f64,
    pub(crate) schema: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instrument {
    /// A sum of integers that never falls.
    Counter,
    /// Of floating-point numbers.
    Histogram,
    Gauge,
    Other,
}

/// In the order in which they were recorded, doubles included.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Attributes(pub(crate) Vec<(String, Value)>);

impl Attributes {
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        let found = self.0.iter().find(|(own, _)| own == key);
        found.map(|(_, value)| value)
    }

    pub(crate) fn text(&self, key: &str) -> Option<String> {
        self.get(key).map(Value::to_string)
    }

    pub(crate) fn int(&self, key: &str) -> Option<i64> {
        match self.get(key) {
            Some(Value::I64(number)) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn is_true(&self, key: &str) -> bool {
        self.get(key) == Some(&Value::Bool(true))
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    pub(crate) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.remove(key);
        self.0.push((key.to_owned(), value.into()));
    }

    pub(crate) fn remove(&mut self, key: &str) {
        self.0.retain(|(own, _)| own != key);
    }
}

impl Span {
    /// The operation's type; none for a span that is no operation.
    pub(crate) fn operation(&self) -> Option<String> {
        self.attributes.text("messaging.operation.type")
    }

    pub(crate) fn is(&self, operation: &str) -> bool {
        self.operation().is_some_and(|own| own == operation)
    }

    pub(crate) fn batch(&self) -> Option<i64> {
        self.attributes.int("messaging.batch.message_count")
    }

    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.status, Status::Error { .. })
    }

    /// What it says of its failure.
    pub(crate) fn description(&self) -> Option<&str> {
        match &self.status {
            Status::Error { description } => Some(description),
            _ => None,
        }
    }

    pub(crate) fn links_to(&self, id: Id) -> bool {
        self.links.iter().any(|link| link.to == id)
    }

    pub(crate) fn duration(&self) -> Duration {
        self.end.duration_since(self.start).unwrap_or_default()
    }
}

impl Scene {
    /// Spans of this type of operation.
    pub(crate) fn of(&self, operation: &str) -> impl Iterator<Item = &Span> {
        self.spans.iter().filter(move |span| span.is(operation))
    }

    pub(crate) fn operations(&self) -> impl Iterator<Item = &Span> {
        self.spans.iter().filter(|span| span.operation().is_some())
    }

    pub(crate) fn metric(&self, name: &str) -> impl Iterator<Item = &Point> {
        self.points.iter().filter(move |point| point.metric == name)
    }
}

/// What is known of a scene without a look at what was recorded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// All that is below is known; of what another program did, it is not.
    pub(crate) are_known: bool,
    pub(crate) system: &'static str,
    /// The only server, where it is known.
    pub(crate) server: Option<(String, i64)>,
    /// The client's id.
    pub(crate) client: &'static str,
    /// Each operation, in any order.
    pub(crate) done: Vec<Done>,
    /// Messages that the client took.
    pub(crate) sent: u64,
    /// Those of them that the broker did not take.
    pub(crate) refused: u64,
    /// Messages that were delivered to the application.
    pub(crate) consumed: u64,
    /// Contexts in which the received messages were created, those that may be linked to.
    pub(crate) origins: Vec<Id>,
    /// Nothing is out of the ordinary, and the policy asks for nothing that is.
    pub(crate) is_ordinary: bool,
    /// Some operation is about destinations that have no name in common, or about none.
    pub(crate) has_no_common_name: bool,
    /// The destination is one of so many that it is left out of names.
    pub(crate) is_one_too_many: bool,
    /// Exceptions can be log records.
    pub(crate) has_logger: bool,
}

/// An operation as the application knows it.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub(crate) operation: &'static str,
    /// How many messages, if it is an operation on a batch.
    pub(crate) batch: Option<i64>,
    pub(crate) end: End,
    /// By the policy.
    pub(crate) has_span: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Success,
    /// With this text of the exception; a dropped handler has none.
    Failure(Option<String>),
}

impl End {
    pub(crate) fn failure(text: impl ToString) -> Self {
        Self::Failure(Some(text.to_string()))
    }
}

impl Facts {
    pub(crate) fn did(mut self, operation: &'static str, batch: Option<i64>, end: End) -> Self {
        self.done.push(Done {
            operation,
            batch,
            end,
            has_span: true,
        });
        self
    }

    pub(crate) fn measured_only(mut self, operation: &'static str) -> Self {
        self = self.did(operation, None, End::Success);
        if let Some(last) = self.done.last_mut() {
            last.has_span = false;
        }
        self
    }

    /// A single message was sent.
    pub(crate) fn sent(mut self) -> Self {
        self.sent += 1;
        self.did("send", None, End::Success)
    }

    /// A single message was handed over and refused.
    pub(crate) fn refused(mut self, end: End) -> Self {
        self.sent += 1;
        self.refused += 1;
        self.did("send", None, end)
    }

    /// The client refused a single message, which so was never sent.
    pub(crate) fn not_taken(self, end: End) -> Self {
        self.did("send", None, end)
    }

    /// So many messages were sent under one call, each with a create span.
    pub(crate) fn sent_batch(mut self, messages: u32) -> Self {
        self.sent += u64::from(messages);
        let created = (0..messages).fold(self, |facts, _| facts.did("create", None, End::Success));
        created.did("send", Some(i64::from(messages)), End::Success)
    }

    /// A message was delivered that was created there.
    pub(crate) fn received(mut self, origin: Id) -> Self {
        self.consumed += 1;
        self.origins
            .extend(Some(origin).filter(|(trace, _)| *trace != TraceId::INVALID));
        self
    }

    pub(crate) fn processed(self, end: End) -> Self {
        self.did("process", None, end)
    }

    pub(crate) fn settled(self) -> Self {
        self.did("settle", None, End::Success)
    }

    pub(crate) fn unusual(mut self) -> Self {
        self.is_ordinary = false;
        self
    }

    pub(crate) fn without_a_common_name(mut self) -> Self {
        self.has_no_common_name = true;
        self
    }
}
