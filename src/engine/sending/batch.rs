//! Sending many messages under one call.

use std::borrow::Cow;
use std::sync::Arc;

use opentelemetry::trace::{Link, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};

use super::carried::{CarriedContext, strip};
use super::outgoing::Outgoing;
use crate::engine::client::Client;
use crate::engine::destination::Destination;
use crate::engine::operation::Operation;
use crate::engine::parent::ParentAndLinks;
use crate::engine::propagation::Problem;
use crate::engine::span::StartedOperation;
use crate::policy::{Record, Rule};
use crate::semconv::attributes::of_error;
use crate::semconv::operation_type::OperationType;
use crate::telemetry::context::active_span;

/// Messages on their way, from hand-over to what the broker says of each. Dropped, the span ends;
/// of messages that were handed to the client and of which nobody knows more, it says nothing.
#[derive(Debug, Default)]
pub(crate) struct SendingBatch {
    /// None where telemetry has nothing to do with the messages; then none of them is known either.
    started: Option<StartedOperation>,
    messages: Vec<SentMessage>,
}

/// One message of a batch.
#[derive(Debug)]
struct SentMessage {
    destination: Arc<Destination>,
    partition: Option<i32>,
    /// It is larger than it was given.
    is_larger: bool,
    /// It is with the client, and not counted yet.
    is_pending: bool,
}

impl SendingBatch {
    /// Starts the operation and gives each message its context.
    ///
    /// Each message has a create span, whose context it carries, and the send span links to all; or
    /// without create spans each carries that of the send span. A context that is to be kept stays.
    ///
    /// Spec: messaging-spans § Producer spans, 1.45.0.
    pub(crate) fn start<M: Outgoing>(
        client: &Arc<Client>,
        operation_name: &'static str,
        ambient: Context,
        messages: &mut [M],
    ) -> Self {
        if messages.is_empty() || ambient.is_telemetry_suppressed() {
            return Self::default();
        }
        let is_off = |one: &M| one.destination().rule.recorded() == Record::Off;
        if messages.iter().all(is_off) {
            for message in messages {
                Creating::new(client, message).strip(&ambient, message);
            }
            return Self::default();
        }
        let mut links = Vec::new();
        let created: Vec<_> = messages
            .iter_mut()
            .map(|message| Creating::new(client, message).create(&ambient, message, &mut links))
            .collect();
        let takes_ours = |context: &Creation| matches!(context, Creation::Send(_));
        let destinations = messages.iter().map(Outgoing::destination);
        let destination = client.common_destination(destinations);
        let operation = Operation {
            client,
            operation_type: match created.iter().any(takes_ours) {
                true => OperationType::Send,
                false => OperationType::SendExisting,
            },
            operation_name,
            destination: destination.as_ref(),
            partition: None,
            batch: Some(messages.len()),
        };
        let parent_and_links = ParentAndLinks {
            parent: ambient.clone(),
            links,
            beside: None,
        };
        let started = StartedOperation::start(&operation, parent_and_links);
        let sent = messages.iter_mut().zip(created);
        let sent = sent.map(|(message, creation)| creation.sent(&started, &ambient, message));
        Self {
            messages: sent.collect(),
            started: Some(started),
        }
    }

    /// A message was handed to the client.
    pub(crate) fn handed_over(&mut self, index: usize) {
        if let Some(message) = self.messages.get_mut(index) {
            message.is_pending = true;
        }
    }

    /// The broker took a message.
    pub(crate) fn delivered(&mut self, index: usize, partition: Option<i32>) {
        if let Some(message) = self.messages.get_mut(index) {
            message.partition = partition.or(message.partition);
        }
        self.count(index, None);
    }

    /// A message failed, and with it the operation.
    pub(crate) fn failed(&mut self, index: usize, error_type: Cow<'static, str>) {
        self.count(index, Some(of_error(error_type.clone())));
        if let Some(started) = &mut self.started
            && !started.has_failed()
        {
            started.fail(error_type, || "");
        }
    }

    /// A message was refused for its size. If it carries a context of ours, that is counted as a
    /// problem.
    pub(crate) fn refused_for_size(&self, index: usize) {
        let message = self.messages.get(index);
        if let (Some(started), Some(message)) = (&self.started, message)
            && message.is_larger
        {
            let operation = Operation {
                destination: Some(&message.destination),
                partition: message.partition,
                batch: None,
                ..started.operation()
            };
            let telemetry = &started.client().telemetry;
            telemetry.report([Problem::RefusedForSize], &operation);
        }
    }

    /// Sets attributes of the send span, which are built only if it is recorded.
    pub(crate) fn record<I>(&self, attributes: impl FnOnce() -> I)
    where
        I: IntoIterator<Item = KeyValue>,
    {
        if let Some(started) = &self.started {
            started.record(attributes);
        }
    }

    /// The same, of attributes that depend on the rule.
    pub(crate) fn record_by_rule<I>(&self, attributes: impl FnOnce(&Rule) -> I)
    where
        I: IntoIterator<Item = KeyValue>,
    {
        if let Some(started) = &self.started {
            started.record_by_rule(attributes);
        }
    }

    fn count(&mut self, index: usize, error: Option<KeyValue>) {
        let (Some(started), Some(message)) = (&self.started, self.messages.get_mut(index)) else {
            return;
        };
        message.is_pending = false;
        let operation = Operation {
            destination: Some(&message.destination),
            partition: message.partition,
            batch: None,
            ..started.operation()
        };
        if message.destination.rule.recorded() != Record::Off {
            let telemetry = &started.client().telemetry;
            telemetry.measure(|instruments| instruments.sent(&operation, error));
        }
    }
}

impl Drop for SendingBatch {
    fn drop(&mut self) {
        for index in 0..self.messages.len() {
            if self
                .messages
                .get(index)
                .is_some_and(|message| message.is_pending)
            {
                self.count(index, None);
            }
        }
    }
}

/// Where the context of a message comes from.
enum Creation {
    /// From the send span.
    Send(CarriedContext),
    /// From a span of its own, from before, or from nowhere.
    Elsewhere {
        /// It was written into the message, which is larger now.
        is_larger: bool,
    },
}

impl Creation {
    /// Gives a message the context of the send span, where it has none yet.
    fn sent(
        self,
        started: &StartedOperation,
        ambient: &Context,
        message: &mut impl Outgoing,
    ) -> SentMessage {
        let destination = Arc::clone(message.destination());
        let partition = message.partition();
        let is_larger = match self {
            Self::Elsewhere { is_larger } => is_larger,
            Self::Send(carried) => {
                let operation = Operation {
                    destination: Some(&destination),
                    partition,
                    batch: None,
                    ..started.operation()
                };
                let context = started.context();
                let both = carried.with_baggage(context, ambient);
                let context = both.as_ref().unwrap_or(context);
                let left = carried.headers(ambient);
                let injected = carried.inject(&operation, context, left, message);
                injected.has_written
            }
        };
        SentMessage {
            destination,
            partition,
            is_larger,
            is_pending: false,
        }
    }
}

/// The operation of creating a message.
struct Creating<'a> {
    client: &'a Arc<Client>,
    destination: Arc<Destination>,
    partition: Option<i32>,
}

impl<'a> Creating<'a> {
    fn new(client: &'a Arc<Client>, message: &impl Outgoing) -> Self {
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
    fn strip(&self, ambient: &Context, message: &mut impl Outgoing) {
        strip(&self.operation(), ambient, message);
    }

    /// Gives a message its context before the batch is sent, where it gets one then.
    fn create(
        &self,
        ambient: &Context,
        message: &mut impl Outgoing,
        links: &mut Vec<Link>,
    ) -> Creation {
        let operation = self.operation();
        let telemetry = &self.client.telemetry;
        let rule = operation.rule();
        if rule.recorded() == Record::Off {
            self.strip(ambient, message);
            return Creation::Elsewhere { is_larger: false };
        }
        let carried = CarriedContext::read(telemetry, rule, ambient, message.headers());
        let is_kept = telemetry.keeps_existing_context() && carried.can_be_kept();
        // The one span that there is then can be in one trace only, and where none is active in none
        // of those that the messages carry.
        let goes_on =
            !operation.has_span() && active_span(ambient).is_none() && carried.continues();
        if is_kept || goes_on {
            links.extend(carried.links(ambient));
            let injected = if is_kept {
                carried.keep(&operation, message)
            } else {
                let left = carried.headers(ambient);
                carried.inject(&operation, &carried.parent(ambient), left, message)
            };
            return Creation::Elsewhere {
                is_larger: injected.has_written,
            };
        }
        if !operation.has_span() {
            links.extend(carried.links(ambient));
            return Creation::Send(carried);
        }
        let created = StartedOperation::start(&operation, carried.parent_and_links(ambient));
        created.record(|| message.own_attributes(telemetry));
        let context = created.context();
        links.push(Link::with_context(context.span().span_context().clone()));
        let left = carried.headers(ambient);
        let injected = carried.inject(&operation, context, left, message);
        Creation::Elsewhere {
            is_larger: injected.has_written,
        }
    }
}
