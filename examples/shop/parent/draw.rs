//! One order's trace, of what the services tell of their spans.

use std::collections::HashMap;

use otel_messaging::testing::TraceTree;

use crate::arguments::{Arguments, Role};
use crate::report::Span;

/// Whether there is nowhere else to look at it.
pub(super) fn is_wanted(_arguments: &Arguments) -> bool {
    false
}

#[derive(Debug, Default)]
pub(super) struct Drawing {
    trace: Option<String>,
    spans: HashMap<Role, Vec<Span>>,
}

impl Drawing {
    pub(super) fn of(&mut self, trace: String) {
        self.trace = Some(trace);
    }

    pub(super) fn take(&mut self, role: Role, span: Span) {
        self.spans.entry(role).or_default().push(span);
    }

    pub(super) fn tree(&self) -> String {
        let _ = TraceTree::new();
        String::new()
    }
}
