//! Giving the messages of a batch their context.

use std::borrow::Cow;
use std::sync::Arc;

use opentelemetry::trace::{Link, SpanContext, TraceContextExt as _};

use super::carried::{CarriedContext, strip};
use super::contexts::Current;
use super::outgoing::Outgoing;
use crate::engine::client::Client;
use crate::engine::destination::Destination;
use crate::engine::operation::Operation;
use crate::engine::shown_baggage::ShownBaggage;
use crate::engine::span::StartedOperation;
use crate::policy::Record;
use crate::semconv::operation_type::OperationType;
use crate::telemetry::context::active_span;

/// What is known of a message when it is created.
pub(super) struct Created {
    pub(super) creation: Creation,
    /// What the send span links to for it.
    pub(super) links: Vec<Link>,
    pub(super) recorded: Record,
    /// What is seen of the baggage that it is sent with.
    pub(super) baggage: Option<Arc<ShownBaggage>>,
}

/// Where the context of a message comes from.
pub(super) enum Creation {
    /// From the send span.
    Send(CarriedContext),
    /// From a span of its own, from before, or from nowhere.
    Elsewhere {
        /// It was written into the message, which is larger now.
        is_larger: bool,
        /// The span of its own, if that is recorded.
        created: Option<StartedOperation>,
    },
}

impl Creation {
    /// Gives a message the context of the send span, where it has none yet. Says whether a context was
    /// written into it, and what its own span is.
    pub(super) fn sent(
        self,
        started: &StartedOperation,
        current: Current<'_>,
        message: &mut impl Outgoing,
    ) -> (bool, Option<StartedOperation>) {
        match self {
            Self::Elsewhere { is_larger, created } => (is_larger, created),
            Self::Send(carried) => {
                let destination = Arc::clone(message.destination());
                let operation = Operation {
                    destination: Some(&destination),
                    partition: message.partition(),
                    batch: None,
                    ..started.operation()
                };
                let ambient = current.context;
                let of_span = match started.span_context() {
                    _ if !current.is_own => Cow::Borrowed(started.context()),
                    // Of what is current at the call, the message has nothing but the span.
                    Some(span) => Cow::Owned(ambient.with_remote_span_context(span)),
                    None => Cow::Borrowed(ambient),
                };
                let both = carried.with_baggage(&of_span, ambient);
                let context = both.as_ref().unwrap_or(&of_span);
                let left = carried.headers(ambient);
                let injected = carried.inject(&operation, context, left, message);
                (injected.has_written, None)
            }
        }
    }
}

/// The operation of creating a message.
pub(super) struct Creating<'a> {
    client: &'a Arc<Client>,
    destination: Arc<Destination>,
    partition: Option<i32>,
}

impl<'a> Creating<'a> {
    pub(super) fn new(client: &'a Arc<Client>, message: &impl Outgoing) -> Self {
        Self {
            client,
            destination: Arc::clone(message.destination()),
            partition: message.partition(),
        }
    }

    fn operation(&self) -> Operation<'_> {
        Operation {
            client: self.client,
            operation_type: OperationType::Create,
            operation_name: "create",
            destination: Some(&self.destination),
            partition: self.partition,
            batch: None,
            baggage: None,
        }
    }

    /// Leaves the message alone, but for what must not go out again.
    pub(super) fn strip(&self, current: Current<'_>, message: &mut impl Outgoing) {
        if !current.context.is_telemetry_suppressed() {
            strip(&self.operation(), current.context, message);
        }
    }

    /// Gives a message its context before the batch is sent, where it gets one then, and the send
    /// span its links.
    pub(super) fn create(&self, current: Current<'_>, message: &mut impl Outgoing) -> Created {
        let operation = self.operation();
        let telemetry = &self.client.telemetry;
        let rule = operation.rule();
        let recorded = current.recorded(rule);
        if recorded == Record::Off {
            self.strip(current, message);
            let creation = Creation::Elsewhere {
                is_larger: false,
                created: None,
            };
            return Created {
                creation,
                links: Vec::new(),
                recorded,
                baggage: None,
            };
        }
        let ambient = current.context;
        let carried = CarriedContext::read(telemetry, rule, ambient, message.headers());
        let is_kept = telemetry.keeps_existing_context && carried.can_be_kept();
        let baggage = carried.shown_baggage(self.client, rule, ambient, is_kept);
        let created = |creation, links| Created {
            creation,
            links,
            recorded,
            baggage: baggage.clone(),
        };
        let active = active_span(ambient);
        // The one span that there is then can be in one trace only: in none of those that were given
        // for messages, and where none is active in none of those that they carry.
        let goes_on = !operation.has_span()
            && match &active {
                Some(_) => current.is_own,
                // Without any span of ours, an empty context that was given stays empty.
                None => carried.continues() || (current.is_own && recorded != Record::Full),
            };
        if is_kept || goes_on {
            let injected = if is_kept {
                carried.keep(&operation, message)
            } else {
                let left = carried.headers(ambient);
                carried.inject(&operation, &carried.parent(ambient), left, message)
            };
            let creation = Creation::Elsewhere {
                is_larger: injected.has_written,
                created: None,
            };
            let mut links = carried.links(ambient);
            if let Some(own) = active.filter(|_| current.is_own && !is_kept) {
                // What the message carries now, unless it has done so before.
                if !links.iter().any(|link| is_one(&link.span_context, &own)) {
                    links.insert(0, Link::with_context(own));
                }
            }
            return created(creation, links);
        }
        if !operation.has_span() {
            let links = carried.links(ambient);
            return created(Creation::Send(carried), links);
        }
        let parent_and_links = carried.parent_and_links(ambient);
        let operation = Operation {
            baggage: baggage.as_ref(),
            ..operation
        };
        let mut started = StartedOperation::start(&operation, parent_and_links, |set| {
            message.own_attributes(telemetry, set);
        });
        let context = started.context();
        let link = Link::with_context(context.span().span_context().clone());
        let left = carried.headers(ambient);
        let injected = carried.inject(&operation, context, left, message);
        started.end_now();
        let creation = Creation::Elsewhere {
            is_larger: injected.has_written,
            created: started.is_recording().then_some(started),
        };
        created(creation, vec![link])
    }
}

fn is_one(context: &SpanContext, other: &SpanContext) -> bool {
    (context.trace_id(), context.span_id()) == (other.trace_id(), other.span_id())
}
