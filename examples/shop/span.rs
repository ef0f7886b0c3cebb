//! Spans that a service tells the program that has started it, which draws some of them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::InstrumentationScope;
use opentelemetry::trace::{
    Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter, SpanLinks};
use serde::{Deserialize, Serialize};

use crate::report::{Report, Reports};

/// What is drawn of a span.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Span {
    id: Id,
    parent: String,
    name: String,
    kind: Kind,
    /// Microseconds since 1970.
    start: u64,
    end: u64,
    error: Option<String>,
    links: Vec<Id>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Id {
    trace: String,
    span: String,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
enum Kind {
    Client,
    Consumer,
    Internal,
    Producer,
    Server,
}

impl Span {
    pub(crate) fn is_in(&self, trace: &str) -> bool {
        self.id.trace == trace
    }

    pub(crate) fn links_to(&self, trace: &str) -> bool {
        self.links.iter().any(|link| link.trace == trace)
    }

    /// Leaves out links to where nothing is drawn of.
    pub(crate) fn keep_links_to(&mut self, trace: &str) {
        self.links.retain(|link| link.trace == trace);
    }
}

impl From<SpanData> for Span {
    fn from(span: SpanData) -> Self {
        let links = span.links.links.iter();
        Self {
            id: Id::from(&span.span_context),
            parent: span.parent_span_id.to_string(),
            name: span.name.into_owned(),
            kind: match span.span_kind {
                SpanKind::Client => Kind::Client,
                SpanKind::Consumer => Kind::Consumer,
                SpanKind::Internal => Kind::Internal,
                SpanKind::Producer => Kind::Producer,
                SpanKind::Server => Kind::Server,
            },
            start: micros(span.start_time),
            end: micros(span.end_time),
            error: match span.status {
                Status::Error { description } => Some(description.into_owned()),
                Status::Ok | Status::Unset => None,
            },
            links: links.map(|link| Id::from(&link.span_context)).collect(),
        }
    }
}

impl From<&Span> for SpanData {
    fn from(span: &Span) -> Self {
        let mut links = SpanLinks::default();
        links.links = span
            .links
            .iter()
            .map(Id::context)
            .map(Link::with_context)
            .collect();
        Self {
            span_context: span.id.context(),
            parent_span_id: SpanId::from_hex(&span.parent).unwrap_or(SpanId::INVALID),
            parent_span_is_remote: false,
            span_kind: match span.kind {
                Kind::Client => SpanKind::Client,
                Kind::Consumer => SpanKind::Consumer,
                Kind::Internal => SpanKind::Internal,
                Kind::Producer => SpanKind::Producer,
                Kind::Server => SpanKind::Server,
            },
            name: span.name.clone().into(),
            start_time: time(span.start),
            end_time: time(span.end),
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links,
            status: match &span.error {
                Some(description) => Status::error(description.clone()),
                None => Status::Unset,
            },
            instrumentation_scope: InstrumentationScope::default(),
        }
    }
}

impl From<&SpanContext> for Id {
    fn from(context: &SpanContext) -> Self {
        Self {
            trace: context.trace_id().to_string(),
            span: context.span_id().to_string(),
        }
    }
}

impl Id {
    fn context(&self) -> SpanContext {
        SpanContext::new(
            TraceId::from_hex(&self.trace).unwrap_or(TraceId::INVALID),
            SpanId::from_hex(&self.span).unwrap_or(SpanId::INVALID),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        )
    }
}

fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

fn time(micros: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(micros)
}

/// Exports to the parent.
#[derive(Debug)]
pub(crate) struct ToParent(pub(crate) Reports);

impl SpanExporter for ToParent {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        for span in batch {
            self.0.tell(&Report::Span(span.into()));
        }
        Ok(())
    }
}
