//! What a received message carries, and how far it is trusted.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::SpanContext;

use super::sealed::MessageSource as _;
use super::{Message, Received};
use crate::engine::client::Client;
use crate::engine::destination::Destination;
use crate::engine::operation::Operation;
use crate::engine::propagation::Extracted;
use crate::engine::refused::Refused;
use crate::engine::shown_baggage::ShownBaggage;
use crate::policy::{Incoming, Record, Rule};
use crate::semconv::operation_type::OperationType;

/// The context that a message was created in, as far as it is accepted.
#[derive(Clone)]
pub(super) struct Creation {
    pub(super) context: Context,
    /// What is seen of its baggage.
    baggage: Option<Arc<ShownBaggage>>,
}

impl<M: Message> Received<M> {
    pub(super) fn creation(&self) -> &Creation {
        self.creation.get_or_init(|| {
            let (source, destination) = (&self.source, self.destination());
            let rule = &destination.rule;
            let carried = extract(&self.message, source, &Context::new(), rule);
            let incoming = self.incoming(rule);
            let refused = refused(&Context::new(), &carried, incoming, destination);
            let baggage = shown_baggage(source.client(), rule, &carried, incoming);
            let context = match incoming {
                Incoming::Continue | Incoming::LinkOnly => carried.context,
                Incoming::Restart | Incoming::Ignore => Context::new(),
            };
            Creation {
                context: match refused {
                    Some(refused) => refused.put_into(context),
                    None => context,
                },
                baggage,
            }
        })
    }

    /// What is seen of the baggage of the message: nothing, unless its rule wants it.
    pub(crate) fn shown_baggage(&self) -> Option<&Arc<ShownBaggage>> {
        let rule = &self.destination().rule;
        match rule.shows_baggage() && rule.recorded() != Record::Off {
            true => self.creation().baggage.as_ref(),
            false => None,
        }
    }

    /// The contexts that the message names, read once, for who needs nothing else of what it carries.
    pub(super) fn named(&self) -> &[Option<SpanContext>; 2] {
        self.named.get_or_init(|| {
            let rule = &self.destination().rule;
            let carried = extract(&self.message, &self.source, &Context::new(), rule);
            [carried.creation, carried.conflicting]
        })
    }

    /// What the message carries, read onto `base`. What is wrong with it is reported once.
    pub(crate) fn carried(
        &self,
        base: &Context,
        operation: &Operation<'_>,
        rule: &Rule,
    ) -> Extracted {
        let carried = extract(&self.message, &self.source, base, rule);
        self.named
            .get_or_init(|| [carried.creation.clone(), carried.conflicting.clone()]);
        let is_told =
            operation.operation_type == OperationType::Process && rule.recorded() != Record::Off;
        if is_told && !self.is_reported.swap(true, Ordering::Relaxed) {
            let telemetry = &operation.client.telemetry;
            telemetry.report(carried.problems(), operation);
        }
        carried
    }
}

/// What is seen of the baggage that a message carries, read onto no other.
pub(super) fn shown_baggage(
    client: &Client,
    rule: &Rule,
    carried: &Extracted,
    incoming: Incoming,
) -> Option<Arc<ShownBaggage>> {
    match incoming {
        Incoming::Continue | Incoming::LinkOnly => {
            client.shown_baggage(rule, carried.context.baggage(), |_| true)
        }
        Incoming::Restart | Incoming::Ignore => None,
    }
}

/// What must not go out again from the handler of a message.
pub(super) fn refused(
    ambient: &Context,
    carried: &Extracted,
    incoming: Incoming,
    source: &Arc<Destination>,
) -> Option<Refused> {
    Refused::is_needed(ambient, source).then(|| {
        let mut refused = Refused::default();
        refused.add(carried, incoming, source);
        refused
    })
}

pub(super) fn extract<M: Message>(
    message: &M,
    source: &M::Source,
    base: &Context,
    rule: &Rule,
) -> Extracted {
    let telemetry = &source.client().telemetry;
    telemetry.extract(base, message.headers(), |member| rule.accepts(member))
}

pub(super) fn incoming<M: Message>(message: &M, rule: &Rule) -> Incoming {
    let age = || SystemTime::now().duration_since(message.sent_at()?).ok();
    let age = rule.has_max_age().then(age).flatten();
    match rule.chosen_incoming(message.is_redelivered(), age) {
        Incoming::Continue if message.is_stored() => Incoming::LinkOnly,
        incoming => incoming,
    }
}
