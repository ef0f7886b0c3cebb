//! Spans, as files and Jaeger have them: what was done with messages, beside what the messages say.

pub(crate) mod jaeger;
mod otlp;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanId, TraceId};

pub(crate) use self::otlp::documents;

/// Spans that are kept.
const MOST: usize = 100_000;

/// Bytes of one object of JSON, be it a line of a file or the answer of a server.
pub(crate) const MOST_BYTES: u64 = 64 << 20;

/// Trace and span.
pub(crate) type Id = (TraceId, SpanId);

/// A span, as far as it is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) id: Id,
    pub(crate) parent: Option<SpanId>,
    pub(crate) links: Vec<Id>,
    pub(crate) service: Arc<str>,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) start: SystemTime,
    pub(crate) duration: Duration,
    pub(crate) is_error: bool,
    pub(crate) facts: SpanFacts,
}

/// What a span says of the message that it is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SpanFacts {
    pub(crate) operation: Option<String>,
    pub(crate) destination: Option<String>,
    pub(crate) partition: Option<String>,
    pub(crate) offset: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Internal,
    Server,
    Client,
    Producer,
    Consumer,
}

impl Kind {
    /// By its name in either format, or by its number in OTLP.
    fn of(text: &str) -> Self {
        let text = text.strip_prefix("SPAN_KIND_").unwrap_or(text);
        match text.to_ascii_lowercase().as_str() {
            "server" | "2" => Self::Server,
            "client" | "3" => Self::Client,
            "producer" | "4" => Self::Producer,
            "consumer" | "5" => Self::Consumer,
            _ => Self::Internal,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }
}

impl SpanFacts {
    /// Takes what an attribute says, in the names of this release of the conventions and of those before.
    fn look_at(&mut self, key: &str, value: impl FnOnce() -> Option<String>) {
        let fact = match key {
            "messaging.operation.type" | "messaging.operation" => &mut self.operation,
            "messaging.destination.name" | "messaging.destination" => &mut self.destination,
            "messaging.destination.partition.id" | "messaging.kafka.partition" => {
                &mut self.partition
            }
            "messaging.kafka.offset" | "messaging.kafka.message.offset" => &mut self.offset,
            _ => return,
        };
        *fact = fact.take().or_else(value);
    }
}

impl Span {
    /// Whether it takes a message: is below the message, and not below who sent it.
    pub(crate) fn is_taking(&self) -> bool {
        let operation = self.facts.operation.as_deref();
        self.kind == Kind::Consumer || matches!(operation, Some("process" | "receive" | "deliver"))
    }
}

/// Spans of some traces, and those elsewhere that are linked to them.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    pub(crate) traces: HashSet<TraceId>,
    known: HashSet<Id>,
    pub(crate) all: Vec<Span>,
    /// There were more.
    pub(crate) is_full: bool,
}

impl Spans {
    pub(crate) fn of(traces: HashSet<TraceId>) -> Self {
        Self {
            traces,
            ..Self::default()
        }
    }

    fn wants(&self, id: Id, links: &[Id]) -> bool {
        let mut traces = std::iter::once(&id).chain(links).map(|(trace, _)| trace);
        traces.any(|trace| self.traces.contains(trace))
    }

    /// Exporters may send a span twice.
    fn add(&mut self, span: Span) {
        if self.all.len() >= MOST {
            self.is_full = true;
        } else if self.known.insert(span.id) {
            self.all.push(span);
        }
    }
}

fn time(nanoseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanoseconds)
}

/// An id as hexadecimal digits; leading zeros may be missing.
fn trace_id(text: &str) -> Option<TraceId> {
    let id = TraceId::from_hex(text).ok();
    id.filter(|id| *id != TraceId::INVALID)
}

fn span_id(text: &str) -> Option<SpanId> {
    let id = SpanId::from_hex(text).ok();
    id.filter(|id| *id != SpanId::INVALID)
}
