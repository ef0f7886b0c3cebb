//! One order's trace, of what the services tell of their spans.

use std::collections::BTreeMap;

use examples::telemetry::{endpoint, wants_color};
use opentelemetry_sdk::trace::SpanData;
use otel_messaging::testing::TraceTree;

use crate::arguments::{Arguments, Role};
use crate::span::Span;

/// Whether there is something to be drawn, and nowhere else to look at it.
pub(super) fn is_wanted(arguments: &Arguments) -> bool {
    arguments.load.is_some() && endpoint("TRACES").is_none()
}

/// The trace of the first order that is sampled, and what links to it.
#[derive(Debug, Default)]
pub(super) struct Drawing {
    /// Not known before the order is taken.
    trace: Option<String>,
    spans: BTreeMap<Role, Vec<Span>>,
}

impl Drawing {
    pub(super) const fn is_begun(&self) -> bool {
        self.trace.is_some()
    }

    pub(super) fn begin(&mut self, trace: String) {
        for spans in self.spans.values_mut() {
            spans.retain_mut(|span| is_part(span, &trace));
        }
        self.trace = Some(trace);
    }

    pub(super) fn take(&mut self, role: Role, mut span: Span) {
        let is_part = |trace: &String| is_part(&mut span, trace);
        if self.trace.as_ref().is_none_or(is_part) {
            self.spans.entry(role).or_default().push(span);
        }
    }

    /// The drawing, if there is something in it.
    pub(super) fn tree(&self) -> Option<TraceTree> {
        let mut tree = TraceTree::new().color(wants_color());
        for (role, spans) in &self.spans {
            tree = tree.service(role.name(), spans.iter().map(SpanData::from));
        }
        let is_there = self.trace.is_some() && !self.spans.is_empty();
        is_there.then_some(tree)
    }
}

/// Of a batch that links to the orders of others too, these links are left out.
fn is_part(span: &mut Span, trace: &str) -> bool {
    let is_part = span.is_in(trace) || span.links_to(trace);
    span.keep_links_to(trace);
    is_part
}
