//! Sending many messages under one call.

use std::borrow::Cow;
use std::sync::Arc;

use opentelemetry::trace::{Link, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};

use super::carried::{CarriedContext, strip};
use crate::engine::attributes::captured;
use crate::engine::client::Client;
use crate::engine::destination::Destination;
use crate::engine::operation::Operation;
use crate::engine::parent::ParentAndLinks;
use crate::engine::propagation::Problem;
use crate::engine::propagation::{Headers, HeadersMut};
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
    running: Option<StartedOperation>,
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

/// A message that is to be sent with others.
pub(crate) struct Outgoing<H> {
    pub(crate) destination: Arc<Destination>,
    pub(crate) partition: Option<i32>,
    pub(crate) headers: H,
}

/// What a client knows of its messages, by their index.
pub(crate) trait OutgoingDetails<H> {
    /// How many bytes may be added to the headers, once stale ones are gone.
    fn room(&self, index: usize, headers: &H) -> usize;
    /// What only this system says of the message.
    fn attributes(&self, index: usize, rule: &Rule) -> Vec<KeyValue>;
}

impl SendingBatch {
    /// Starts the operation and gives each message its context.
    ///
    /// Each message has a create span, whose context it carries, and the send span links to all; or
    /// without create spans each carries that of the send span. A context that is to be kept stays.
    ///
    /// Spec: messaging-spans § Producer spans, 1.44.0.
    pub(crate) fn start<H: Headers + HeadersMut>(
        client: &Arc<Client>,
        operation_name: &'static str,
        ambient: Context,
        messages: &mut [Outgoing<H>],
        details: &impl OutgoingDetails<H>,
    ) -> Self {
        if messages.is_empty() {
            return Self::default();
        }
        let destinations = messages.iter().map(|message| &message.destination);
        let destination = client.common_destination(destinations);
        let operation = Operation {
            client,
            operation_type: OperationType::Send,
            operation_name,
            destination: destination.as_ref(),
            partition: None,
            batch: Some(messages.len()),
        };
        let is_off = |one: &Outgoing<H>| one.destination.rule.recorded() == Record::Off;
        if ambient.is_telemetry_suppressed() {
            return Self::default();
        }
        if messages.iter().all(is_off) {
            for message in messages {
                let operation = creation_of(client, &message.destination, message.partition);
                strip(&operation, &ambient, &mut message.headers);
            }
            return Self::default();
        }

        let mut links = Vec::new();
        let mut created = Vec::with_capacity(messages.len());
        for (index, message) in messages.iter_mut().enumerate() {
            let message = (index, message);
            created.push(create(client, &ambient, message, details, &mut links));
        }
        let takes_ours = |context: &Creation| matches!(context, Creation::Send(_));
        let operation = Operation {
            operation_type: match created.iter().any(takes_ours) {
                true => OperationType::Send,
                false => OperationType::SendExisting,
            },
            ..operation
        };
        let parent_and_links = ParentAndLinks {
            parent: ambient.clone(),
            links,
            beside: None,
        };
        let running = StartedOperation::start(&operation, parent_and_links);
        let sent = messages.iter_mut().zip(created).enumerate();
        let sent = sent.map(|(index, (message, creation))| {
            let operation = Operation {
                destination: Some(&message.destination),
                partition: message.partition,
                batch: None,
                ..operation
            };
            SentMessage {
                is_larger: match creation {
                    Creation::Send(carried) => {
                        let context = running.context();
                        let both = carried.with_baggage(context, &ambient);
                        let context = both.as_ref().unwrap_or(context);
                        let left = carried.headers(&ambient);
                        let room = |headers: &H| details.room(index, headers);
                        let headers = &mut message.headers;
                        let injected = carried.inject(&operation, context, left, headers, room);
                        injected.has_written
                    }
                    Creation::Elsewhere { is_larger } => is_larger,
                },
                destination: Arc::clone(&message.destination),
                partition: message.partition,
                is_pending: false,
            }
        });
        let messages = sent.collect();
        Self {
            running: Some(running),
            messages,
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
        if let Some(running) = &mut self.running
            && !running.has_failed()
        {
            running.fail(error_type, "");
        }
    }

    /// A message was refused for its size. If it carries a context of ours, that is counted as a
    /// problem.
    pub(crate) fn refused_for_size(&self, index: usize) {
        let message = self.messages.get(index);
        if let (Some(running), Some(message)) = (&self.running, message)
            && message.is_larger
        {
            let operation = Operation {
                destination: Some(&message.destination),
                partition: message.partition,
                batch: None,
                ..running.operation()
            };
            let telemetry = &running.client().telemetry;
            telemetry.report([Problem::RefusedForSize], &operation);
        }
    }

    /// Sets attributes of the send span, which are built only if it is recorded.
    pub(crate) fn record<I>(&self, attributes: impl FnOnce() -> I)
    where
        I: IntoIterator<Item = KeyValue>,
    {
        if let Some(running) = &self.running {
            running.record(attributes);
        }
    }

    fn count(&mut self, index: usize, error: Option<KeyValue>) {
        let (Some(running), Some(message)) = (&self.running, self.messages.get_mut(index)) else {
            return;
        };
        message.is_pending = false;
        let operation = Operation {
            destination: Some(&message.destination),
            partition: message.partition,
            batch: None,
            ..running.operation()
        };
        if message.destination.rule.recorded() != Record::Off {
            let telemetry = &running.client().telemetry;
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

/// The operation of creating a message.
fn creation_of<'a>(
    client: &'a Arc<Client>,
    destination: &'a Arc<Destination>,
    partition: Option<i32>,
) -> Operation<'a> {
    Operation {
        client,
        operation_type: OperationType::Create,
        operation_name: "create",
        destination: Some(destination),
        partition,
        batch: None,
    }
}

/// Gives a message its context before the batch is sent, where it gets one then.
fn create<H: Headers + HeadersMut>(
    client: &Arc<Client>,
    ambient: &Context,
    (index, message): (usize, &mut Outgoing<H>),
    details: &impl OutgoingDetails<H>,
    links: &mut Vec<Link>,
) -> Creation {
    let operation = creation_of(client, &message.destination, message.partition);
    let telemetry = &client.telemetry;
    let rule = operation.rule();
    let headers = &mut message.headers;
    if rule.recorded() == Record::Off {
        strip(&operation, ambient, headers);
        return Creation::Elsewhere { is_larger: false };
    }
    let room = |headers: &H| details.room(index, headers);
    let carried = CarriedContext::read(telemetry, rule, ambient, headers);
    let is_kept = telemetry.keeps_existing_context() && carried.can_be_kept();
    // The one span that there is then can be in one trace only, and where none is active in none of
    // those that the messages carry.
    let goes_on = !operation.has_span() && active_span(ambient).is_none() && carried.continues();
    if is_kept || goes_on {
        links.extend(carried.links(ambient));
        let injected = if is_kept {
            carried.keep(&operation, headers, room)
        } else {
            let left = carried.headers(ambient);
            carried.inject(&operation, &carried.parent(ambient), left, headers, room)
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
    created.record(|| {
        let captured = captured(&*headers, rule, telemetry);
        details.attributes(index, rule).into_iter().chain(captured)
    });
    let context = created.context();
    links.push(Link::with_context(context.span().span_context().clone()));
    let left = carried.headers(ambient);
    let injected = carried.inject(&operation, context, left, headers, room);
    Creation::Elsewhere {
        is_larger: injected.has_written,
    }
}
