//! Giving the messages of a batch their context.

use std::sync::Arc;

use opentelemetry::Context;
use opentelemetry::trace::{Link, TraceContextExt as _};

use super::carried::{CarriedContext, strip};
use super::outgoing::Outgoing;
use crate::engine::client::Client;
use crate::engine::destination::Destination;
use crate::engine::operation::Operation;
use crate::engine::span::StartedOperation;
use crate::policy::Record;
use crate::semconv::operation_type::OperationType;
use crate::telemetry::context::active_span;

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
        ambient: &Context,
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
                let context = started.context();
                let both = carried.with_baggage(context, ambient);
                let context = both.as_ref().unwrap_or(context);
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
        }
    }

    /// Leaves the message alone, but for what must not go out again.
    pub(super) fn strip(&self, ambient: &Context, message: &mut impl Outgoing) {
        strip(&self.operation(), ambient, message);
    }

    /// Gives a message its context before the batch is sent, where it gets one then, and the send
    /// span its links.
    pub(super) fn create(
        &self,
        ambient: &Context,
        message: &mut impl Outgoing,
    ) -> (Creation, Vec<Link>) {
        let operation = self.operation();
        let telemetry = &self.client.telemetry;
        let rule = operation.rule();
        if rule.recorded() == Record::Off {
            self.strip(ambient, message);
            let creation = Creation::Elsewhere {
                is_larger: false,
                created: None,
            };
            return (creation, Vec::new());
        }
        let carried = CarriedContext::read(telemetry, rule, ambient, message.headers());
        let is_kept = telemetry.keeps_existing_context && carried.can_be_kept();
        // The one span that there is then can be in one trace only, and where none is active in none
        // of those that the messages carry.
        let goes_on =
            !operation.has_span() && active_span(ambient).is_none() && carried.continues();
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
            return (creation, carried.links(ambient));
        }
        if !operation.has_span() {
            let links = carried.links(ambient);
            return (Creation::Send(carried), links);
        }
        let parent_and_links = carried.parent_and_links(ambient);
        let mut created = StartedOperation::start(&operation, parent_and_links, |set| {
            message.own_attributes(telemetry, set);
        });
        let context = created.context();
        let link = Link::with_context(context.span().span_context().clone());
        let left = carried.headers(ambient);
        let injected = carried.inject(&operation, context, left, message);
        created.end_now();
        let creation = Creation::Elsewhere {
            is_larger: injected.has_written,
            created: created.is_recording().then_some(created),
        };
        (creation, vec![link])
    }
}
