//! [`NotLetIn`]: what a message was not allowed to bring in, remembered while it is handled, so that
//! it does not go out again with the headers that a handler forwards.

use std::collections::HashMap;
use std::sync::Arc;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceId};

use crate::envelope::Destination;
use crate::policy::Incoming;
use crate::propagation::Extracted;

/// What the messages that are being handled were not allowed to bring in.
#[derive(Clone, Debug, Default)]
pub(crate) struct NotLetIn {
    /// Contexts that are not trusted, each with what becomes of it.
    contexts: HashMap<(TraceId, SpanId), Incoming>,
    /// Whether any message is not trusted, be it one without a context.
    has_untrusted: bool,
    /// Where messages came from whose baggage was let in by a list.
    listed: Vec<Arc<Destination>>,
}

impl NotLetIn {
    /// What is remembered in a context.
    pub(crate) fn of(context: &Context) -> Option<&Self> {
        context.get()
    }

    /// Remembers what was not let in with a message from `destination`.
    pub(crate) fn add(&mut self, carried: &Extracted, trust: Incoming, source: &Arc<Destination>) {
        if matches!(trust, Incoming::Restart | Incoming::Ignore) {
            self.has_untrusted = true;
            let contexts = [&carried.creation, &carried.conflicting];
            let identities = contexts.into_iter().flatten().map(identity);
            self.contexts.extend(identities.map(|one| (one, trust)));
        }
        let is_known = || self.listed.iter().any(|other| Arc::ptr_eq(other, source));
        if source.rule.restricts_accepted_baggage() && !is_known() {
            self.listed.push(Arc::clone(source));
        }
    }

    /// `context` with what is remembered here, beside what is remembered there.
    pub(crate) fn put_into(mut self, context: Context) -> Context {
        if !self.has_untrusted && self.listed.is_empty() {
            return context;
        }
        if let Some(outer) = Self::of(&context) {
            for (identity, trust) in &outer.contexts {
                self.contexts.entry(*identity).or_insert(*trust);
            }
            self.has_untrusted |= outer.has_untrusted;
            self.listed.extend(outer.listed.iter().cloned());
        }
        context.with_value(self)
    }

    /// How far a context is trusted that a message carries which is sent now. Where that is none, all
    /// else that it carries may be from a message that is not trusted.
    pub(crate) fn trust(&self, creation: Option<&SpanContext>) -> Incoming {
        let unnamed = if self.has_untrusted {
            Incoming::Ignore
        } else {
            Incoming::Continue
        };
        creation.map_or(unnamed, |creation| {
            let known = self.contexts.get(&identity(creation));
            known.copied().unwrap_or_default()
        })
    }

    /// Whether baggage passes by a list.
    pub(crate) const fn restricts_baggage(&self) -> bool {
        self.has_untrusted || !self.listed.is_empty()
    }

    /// Whether a member of baggage was let in.
    pub(crate) fn accepts(&self, member: &str) -> bool {
        let mut sources = self.listed.iter();
        sources.all(|source| source.rule.accepts(member))
    }
}

fn identity(context: &SpanContext) -> (TraceId, SpanId) {
    (context.trace_id(), context.span_id())
}
