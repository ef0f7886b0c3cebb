//! [`Refused`]: what a message was not allowed to bring in, remembered while it is handled, so that
//! it does not go out again with the headers that a handler forwards.

use std::collections::HashMap;
use std::iter;
use std::sync::Arc;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceId};

use crate::engine::destination::Destination;
use crate::engine::propagation::{Carried, CarriedHeaders, Named};
use crate::policy::Incoming;
use crate::telemetry::Telemetry;

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
    /// Headers beside those of W3C by which they may have brought in a context.
    fields: Vec<String>,
    /// What was remembered around this, of a batch around its messages for instance; `others` and `listed` have
    /// it already.
    outer: Option<Arc<Self>>,
}

/// What is in a context, where many messages of a batch share it.
#[derive(Debug)]
struct Remembered(Arc<Refused>);

impl Refused {
    /// Nothing yet, of messages that are read with these settings.
    pub(crate) fn nothing(telemetry: &Telemetry) -> Self {
        Self {
            fields: telemetry.fallbacks().fields().to_vec(),
            ..Self::default()
        }
    }

    /// What is remembered in a context.
    pub(crate) fn remembered_in(context: &Context) -> Option<&Self> {
        let remembered: &Remembered = context.get()?;
        Some(&remembered.0)
    }

    /// Whether a message from `source` that is handled in `ambient` has to be remembered.
    pub(crate) fn is_needed(ambient: &Context, source: &Destination) -> bool {
        source.rule.may_refuse() || Self::remembered_in(ambient).is_some()
    }

    /// Remembers what was refused of a message from `source`.
    pub(crate) fn add(&mut self, named: &Named, incoming: Incoming, source: &Arc<Destination>) {
        let identities = named.contexts().map(identity);
        self.contexts.extend(identities.map(|one| (one, incoming)));
        self.others = stricter(self.others, incoming);
        if source.rule.restricts_accepted_baggage() {
            self.list(source);
        }
    }

    /// One destination is enough of those that accept the same: there are as many as the policy has lists.
    fn list(&mut self, source: &Arc<Destination>) {
        let accepts_the_same = |other: &Arc<Destination>| other.rule.accepts_as(&source.rule);
        if !self.listed.iter().any(accepts_the_same) {
            self.listed.push(Arc::clone(source));
        }
    }

    /// `context` with what is remembered here, beside what is remembered there.
    pub(crate) fn put_into(mut self, context: Context) -> Context {
        match context.get::<Remembered>() {
            Some(Remembered(outer)) => {
                self.others = stricter(self.others, outer.others);
                for source in &outer.listed {
                    self.list(source);
                }
                self.outer = Some(Arc::clone(outer));
            }
            None if !self.restricts_baggage() => return context,
            None => {}
        }
        context.with_value(Remembered(Arc::new(self)))
    }

    /// Remembers in `context` what is remembered in `around`, where nothing is of its own.
    pub(crate) fn remember_from(around: &Context, context: &mut Context) {
        let Some(Remembered(refused)) = around.get() else {
            return;
        };
        if Self::remembered_in(context).is_none() {
            *context = context.with_value(Remembered(Arc::clone(refused)));
        }
    }

    /// How far a context is trusted that a message carries which is sent now, and all that it carries
    /// beside.
    pub(crate) fn incoming(&self, creation: Option<&SpanContext>) -> Incoming {
        let known = creation.and_then(|creation| self.of_identity(identity(creation)));
        known.unwrap_or(self.others)
    }

    fn of_identity(&self, identity: (TraceId, SpanId)) -> Option<Incoming> {
        let mut refused = self;
        loop {
            if let Some(incoming) = refused.contexts.get(&identity) {
                return Some(*incoming);
            }
            refused = refused.outer.as_ref()?;
        }
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

    /// Headers beside those of W3C by which a context may have come.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &str> {
        let all = iter::successors(Some(self), |refused| refused.outer.as_deref());
        all.flat_map(|refused| &refused.fields).map(String::as_str)
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
