//! What Jaeger has, by its API.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::http;

/// The calls between services that Jaeger counts, by their two names.
pub(crate) fn dependencies(jaeger: &str) -> BTreeMap<(String, String), u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("a clock after 1970").as_millis().to_string();
    let parameters = [("endTs", &*now), ("lookback", "3600000")];
    let answer = http::get(jaeger, "/api/dependencies", &parameters);
    let edge = |found: &Value| {
        let calls = found["callCount"].as_u64().expect("a count");
        ((text(&found["parent"]), text(&found["child"])), calls)
    };
    let found = answer["data"].as_array().expect("dependencies");
    found.iter().map(edge).collect()
}

/// The traces that have a span of this service and name.
pub(crate) fn traces(jaeger: &str, service: &str, operation: &str) -> Vec<Trace> {
    let parameters = [
        ("service", service),
        ("operation", operation),
        ("lookback", "1h"),
        ("limit", "5000"),
    ];
    let answer = http::get(jaeger, "/api/traces", &parameters);
    let found = answer["data"].as_array().expect("traces");
    found.iter().map(Trace::read).collect()
}

/// A trace, its spans in the order in which they were started.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    pub(crate) spans: Vec<Span>,
}

/// A span, with what Jaeger returns of its parent and of its links.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) name: String,
    pub(crate) service: String,
    /// What is known of the service.
    pub(crate) resource: BTreeMap<String, String>,
    pub(crate) tags: BTreeMap<String, String>,
    /// Trace and span.
    pub(crate) id: (String, String),
    pub(crate) references: Vec<Reference>,
    start: u64,
    duration: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Reference {
    pub(crate) kind: String,
    /// Trace and span.
    pub(crate) to: (String, String),
}

impl Trace {
    fn read(found: &Value) -> Self {
        let spans = found["spans"].as_array().expect("spans").iter();
        let mut spans: Vec<_> = spans
            .map(|span| Span::read(span, &found["processes"]))
            .collect();
        spans.sort_by_key(|span| span.start);
        Self { spans }
    }

    /// The first span of this name.
    pub(crate) fn span(&self, name: &str) -> &Span {
        let mut named = self.spans.iter().filter(|span| span.name == name);
        named.next().expect("a span of this name")
    }

    /// From the start of the first to the end of the last, in microseconds.
    pub(crate) fn duration(&self) -> u64 {
        let starts = self.spans.iter().map(|span| span.start);
        let ends = self.spans.iter().map(|span| span.start + span.duration);
        ends.max().unwrap_or_default() - starts.min().unwrap_or_default()
    }

    /// The spans below their parents, each with its service, how Jaeger tells its parent, and what else it is linked to.
    pub(crate) fn drawn(&self) -> String {
        let mut drawn = String::new();
        let roots = self.spans.iter().filter(|span| self.parent(span).is_none());
        for root in roots {
            self.draw(root, 0, &mut drawn);
        }
        drawn
    }

    fn draw(&self, span: &Span, depth: usize, drawn: &mut String) {
        let kind = span.tags["span.kind"].to_uppercase();
        let name = format!("{}{} {kind}", "  ".repeat(depth), span.name);
        let mut line = format!("{name:<43} {:<8} ", span.service);
        if let Some(parent) = self.parent(span) {
            line.push_str(&parent.kind);
            let linked = span.references.iter().filter(|other| other.to != parent.to);
            for linked in linked {
                let named = self.spans.iter().find(|one| one.id == linked.to);
                let named = named.map_or("another trace", |one| &one.name);
                line.push_str(&format!(", {} {named}", linked.kind));
            }
        }
        drawn.push_str(line.trim_end());
        drawn.push('\n');
        let below = |other: &&Span| {
            self.parent(other)
                .is_some_and(|parent| parent.to == span.id)
        };
        for child in self.spans.iter().filter(below) {
            self.draw(child, depth + 1, drawn);
        }
    }

    /// Jaeger takes what is in the same trace for the parent: a reference of either kind, but of this one first.
    fn parent<'a>(&self, span: &'a Span) -> Option<&'a Reference> {
        let within = span.references.iter().filter(|one| one.to.0 == span.id.0);
        within.min_by_key(|reference| reference.kind != "CHILD_OF")
    }
}

impl Span {
    fn read(found: &Value, processes: &Value) -> Self {
        let process = &processes[text(&found["processID"])];
        let reference = |found: &Value| Reference {
            kind: text(&found["refType"]),
            to: (text(&found["traceID"]), text(&found["spanID"])),
        };
        let references = found["references"].as_array().into_iter().flatten();
        Self {
            name: text(&found["operationName"]),
            service: text(&process["serviceName"]),
            resource: tags(&process["tags"]),
            tags: tags(&found["tags"]),
            id: (text(&found["traceID"]), text(&found["spanID"])),
            references: references.map(reference).collect(),
            start: found["startTime"].as_u64().expect("microseconds"),
            duration: found["duration"].as_u64().expect("microseconds"),
        }
    }
}

fn tags(found: &Value) -> BTreeMap<String, String> {
    let found = found.as_array().into_iter().flatten();
    let tag = |found: &Value| {
        let value = &found["value"];
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        (text(&found["key"]), value)
    };
    found.map(tag).collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
