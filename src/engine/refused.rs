//! [`Refused`]: what a message was not allowed to bring in, remembered while it is handled, so that
//! it does not go out again with the headers that a handler forwards.

use std::collections::HashMap;
use std::sync::Arc;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceId};

use crate::engine::destination::Destination;
use crate::engine::propagation::{Carried, CarriedHeaders, Extracted};
use crate::policy::Incoming;

/// What the messages that are being handled were not allowed to bring in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refused {
    /// The contexts of these messages, each with what becomes of it.
    contexts: HashMap<(TraceId, SpanId), Incoming>,
    /// What becomes of any other, where a message is not trusted: a stranger may have sent more
    /// contexts than those that count.
    others: Incoming,
    /// Where messages came from whose baggage is accepted by a list.
    listed: Vec<Arc<Destination>>,
}

impl Refused {
    /// What is remembered in a context.
    pub(crate) fn remembered_in(context: &Context) -> Option<&Self> {
        context.get()
    }

    /// Whether a message from `source` that is handled in `ambient` has to be remembered.
    pub(crate) fn is_needed(ambient: &Context, source: &Destination) -> bool {
        source.rule.may_refuse() || Self::remembered_in(ambient).is_some()
    }

    /// Remembers what was refused of a message from `source`.
    pub(crate) fn add(
        &mut self,
        carried: &Extracted,
        incoming: Incoming,
        source: &Arc<Destination>,
    ) {
        let contexts = [&carried.creation, &carried.conflicting];
        let identities = contexts.into_iter().flatten().map(identity);
        self.contexts.extend(identities.map(|one| (one, incoming)));
        self.others = stricter(self.others, incoming);
        let is_known = || self.listed.iter().any(|other| Arc::ptr_eq(other, source));
        if source.rule.restricts_accepted_baggage() && !is_known() {
            self.listed.push(Arc::clone(source));
        }
    }

    /// `context` with what is remembered here, beside what is remembered there.
    pub(crate) fn put_into(mut self, context: Context) -> Context {
        match Self::remembered_in(&context) {
            Some(outer) => {
                for (identity, incoming) in &outer.contexts {
                    self.contexts.entry(*identity).or_insert(*incoming);
                }
                self.others = stricter(self.others, outer.others);
                self.listed.extend(outer.listed.iter().cloned());
            }
            None if !self.restricts_baggage() => return context,
            None => {}
        }
        context.with_value(self)
    }

    /// How far a context is trusted that a message carries which is sent now, and all that it carries
    /// beside.
    pub(crate) fn incoming(&self, creation: Option<&SpanContext>) -> Incoming {
        let known = creation.and_then(|creation| self.contexts.get(&identity(creation)));
        known.copied().unwrap_or(self.others)
    }

    /// What becomes of carried headers of which nobody reads what they say.
    pub(crate) fn headers(&self) -> CarriedHeaders {
        CarriedHeaders {
            trace: match self.others {
                Incoming::Continue => Carried::Replaced,
                _ => Carried::Removed,
            },
            baggage: match self.restricts_baggage() {
                true => Carried::Removed,
                false => Carried::Replaced,
            },
        }
    }

    /// Whether baggage passes by a list, or not at all.
    pub(crate) fn restricts_baggage(&self) -> bool {
        self.others != Incoming::Continue || !self.listed.is_empty()
    }

    /// Whether a member of baggage was accepted.
    pub(crate) fn accepts(&self, member: &str) -> bool {
        let mut sources = self.listed.iter();
        sources.all(|source| source.rule.accepts(member))
    }
}

/// The one that lets less of a stranger's context pass; what is linked to only is trusted.
const fn stricter(one: Incoming, other: Incoming) -> Incoming {
    match (one, other) {
        (Incoming::Ignore, _) | (_, Incoming::Ignore) => Incoming::Ignore,
        (Incoming::Restart, _) | (_, Incoming::Restart) => Incoming::Restart,
        _ => Incoming::Continue,
    }
}

fn identity(context: &SpanContext) -> (TraceId, SpanId) {
    (context.trace_id(), context.span_id())
}
