//! Sending many messages under one call.

use std::borrow::Cow;
use std::mem;
use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::trace::Link;

use super::contexts::Contexts;
use super::creating::{Created, Creating, Creation};
use super::outgoing::Outgoing;
use crate::engine::client::Client;
use crate::engine::destination::Destination;
use crate::engine::in_common::{InCommon, MessageLinks, Place, common_partition};
use crate::engine::operation::Operation;
use crate::engine::parent::ParentAndLinks;
use crate::engine::propagation::Problem;
use crate::engine::shown_baggage::ShownBaggage;
use crate::engine::span::StartedOperation;
use crate::policy::{Record, Rule};
use crate::semconv::attributes::of_error;
use crate::semconv::exception::ErrorDetails;
use crate::semconv::operation_type::OperationType;

/// Messages on their way to the client, and from there to what the broker says of each. Dropped, the
/// span ends; of messages that the client has taken and of which nobody knows more, it says nothing.
///
/// A message counts as sent as one that is sent alone does.
#[derive(Debug, Default)]
pub(crate) struct SendingBatch {
    messages: Vec<SentMessage>,
    /// None where telemetry has nothing to do with the messages; then none of them is known either.
    started: Option<StartedOperation>,
    /// What the broker has said of messages so far.
    in_common: InCommon,
}

/// One message of a batch.
#[derive(Debug)]
struct SentMessage {
    destination: Arc<Destination>,
    partition: Option<i32>,
    recorded: Record,
    baggage: Option<Arc<ShownBaggage>>,
    /// It is larger than it was given.
    is_larger: bool,
    /// The client has taken it, and it is not counted yet.
    is_pending: bool,
    /// Its create span, which waits to say what becomes of it: links are given when a span starts, and
    /// without a span of its own there is nothing that could.
    created: Option<StartedOperation>,
}

impl SendingBatch {
    /// Starts the operation and gives each message its context.
    ///
    /// Each message has a create span, whose context it carries, and the send span links to all; or
    /// without create spans each carries that of the send span, or the one that was given for it. A
    /// context that is to be kept stays. What is current for them is let go before the broker answers.
    /// What all messages say of themselves is on the send span, what differs on the links.
    ///
    /// Spec: [messaging-spans § Producer spans].
    ///
    /// [messaging-spans § Producer spans]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-spans.md#producer-spans
    pub(crate) fn start<M: Outgoing>(
        client: &Arc<Client>,
        operation_name: &'static str,
        contexts: Contexts,
        messages: &mut [M],
    ) -> Self {
        if messages.is_empty() || contexts.ambient.is_telemetry_suppressed() {
            return Self::default();
        }
        let is_off = |(index, message): (usize, &M)| {
            let rule = &message.destination().rule;
            contexts.of(index).recorded(rule) == Record::Off
        };
        if messages.iter().enumerate().all(is_off) {
            for (index, message) in messages.iter_mut().enumerate() {
                Creating::new(client, message).strip(contexts.of(index), message);
            }
            return Self::default();
        }
        let created = messages.iter_mut().enumerate().map(|(index, message)| {
            Creating::new(client, message).create(contexts.of(index), message)
        });
        let mut created: Vec<_> = created.collect();
        let takes_ours = |one: &Created| matches!(one.creation, Creation::Send(_));
        let destinations = messages.iter().map(Outgoing::destination);
        let without = |left_out| {
            let messages = messages.iter();
            messages.map(move |message| message.destination_without(left_out))
        };
        let destination = client.common_destination(destinations, without);
        let shown = created.iter().map(|one| one.baggage.as_ref());
        let baggage = client.shown_baggage_of_all(shown);
        let operation = Operation {
            client,
            operation_type: match created.iter().any(takes_ours) {
                true => OperationType::Send,
                false => OperationType::SendExisting,
            },
            operation_name,
            destination: destination.as_ref(),
            partition: common_partition(
                messages
                    .iter()
                    .map(|message| (message.destination(), message.partition())),
            ),
            batch: Some(messages.len()),
            baggage: baggage.as_ref(),
        };
        let (links, in_common) = parted(&operation, messages, &mut created);
        let parent_and_links = ParentAndLinks::inside(contexts.ambient.clone(), links);
        let mut started = StartedOperation::start(&operation, parent_and_links, |set| {
            let in_common = in_common.unwrap_or_else(|| of_all(&operation, messages, &created));
            in_common.into_iter().for_each(set);
        });
        let sent = messages.iter_mut().zip(created).enumerate();
        let sent = sent.map(|(index, (message, one))| {
            let (recorded, baggage) = (one.recorded, one.baggage);
            let (is_larger, created) = one.creation.sent(&started, contexts.of(index), message);
            SentMessage {
                recorded,
                baggage,
                destination: Arc::clone(message.destination()),
                partition: message.partition(),
                is_larger,
                is_pending: false,
                created,
            }
        });
        let messages = sent.collect();
        started.lets_go();
        Self {
            messages,
            started: Some(started),
            in_common: InCommon::default(),
        }
    }

    /// The client has taken a message.
    pub(crate) fn handed_over(&mut self, index: usize) {
        if let Some(message) = self.messages.get_mut(index) {
            message.is_pending = true;
        }
    }

    /// The broker said this of a message, before it is known whether it was delivered: its number where
    /// it went, and what else there is.
    pub(crate) fn record_of<I>(
        &mut self,
        index: usize,
        number: Option<KeyValue>,
        attributes: impl FnOnce(&Rule) -> I,
    ) where
        I: IntoIterator<Item = KeyValue>,
    {
        let (Some(started), Some(message)) = (&self.started, self.messages.get(index)) else {
            return;
        };
        if started.is_recording() || message.created.is_some() {
            let rule = &message.destination.rule;
            let wants_spans = message.recorded == Record::Full;
            let own = attributes(rule).into_iter().filter(|_| wants_spans);
            let mut own: Vec<_> = own.collect();
            let mut number = number.filter(|_| wants_spans);
            if self.messages.len() == 1 {
                own.extend(number.take());
            }
            self.in_common.add(&own);
            if let Some(created) = &message.created {
                created.record(|| own.into_iter().chain(number));
            }
        }
    }

    /// The broker took a message.
    pub(crate) fn delivered(&mut self, index: usize, partition: Option<i32>) {
        if let Some(message) = self.messages.get_mut(index) {
            message.partition = partition.or(message.partition);
        }
        self.count(index, None);
    }

    /// A message failed, and with it the operation; of several the first is told.
    pub(crate) fn failed(
        &mut self,
        index: usize,
        error_type: Cow<'static, str>,
        details: impl Fn() -> ErrorDetails,
    ) {
        if let Some(message) = self.messages.get_mut(index)
            && let Some(created) = &mut message.created
        {
            // An error is an exception once, of the operation that it ended.
            created.fail(error_type.clone(), || details().without_exception());
        }
        self.count(index, Some(of_error(error_type.clone())));
        // What a message must not be recorded with, the span of all does not have either.
        let message = self.messages.get(index);
        let is_recorded = message.is_none_or(|message| message.recorded == Record::Full);
        if let Some(started) = &mut self.started
            && !started.has_failed()
        {
            started.fail(error_type, || match is_recorded {
                true => details(),
                false => ErrorDetails::Nothing,
            });
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

    /// Ends a message, and counts it if the client has taken it; either happens once.
    fn count(&mut self, index: usize, error: Option<KeyValue>) {
        let (Some(started), Some(message)) = (&self.started, self.messages.get_mut(index)) else {
            return;
        };
        if let (Some(mut created), Some(partition)) = (message.created.take(), message.partition) {
            created.in_partition(partition);
        }
        if !mem::take(&mut message.is_pending) {
            return;
        }
        let operation = Operation {
            destination: Some(&message.destination),
            partition: message.partition,
            batch: None,
            baggage: message.baggage.as_ref(),
            ..started.operation()
        };
        if message.recorded != Record::Off {
            let telemetry = &started.client().telemetry;
            telemetry.measure(|instruments| instruments.sent(&operation, error));
        }
    }
}

impl Drop for SendingBatch {
    fn drop(&mut self) {
        for index in 0..self.messages.len() {
            self.count(index, None);
        }
        if let Some(started) = &mut self.started {
            let places = self.messages.iter();
            let places = places.map(|message| (&message.destination, message.partition));
            if let Some(partition) = common_partition(places) {
                started.in_partition(partition);
            }
            let in_common = mem::take(&mut self.in_common);
            started.record(|| in_common.attributes_of_all(self.messages.len()));
        }
    }
}

/// Adds what a message says of itself, if a span may say it at all.
fn set_own(
    own: &mut Vec<KeyValue>,
    operation: &Operation<'_>,
    message: &impl Outgoing,
    created: &Created,
) {
    if created.recorded == Record::Full {
        message.own_attributes(&operation.client.telemetry, &mut |one| own.push(one));
        let baggage = created.baggage.iter();
        own.extend(baggage.flat_map(|baggage| &baggage.on_spans).cloned());
    }
}

/// The links of messages, with what differs between these, and what does not. That is not known yet
/// where there are no links, since nobody may want it then.
fn parted(
    operation: &Operation<'_>,
    messages: &[impl Outgoing],
    created: &mut [Created],
) -> (Vec<Link>, Option<Vec<KeyValue>>) {
    if created.iter().all(|one| one.links.is_empty()) {
        return (Vec::new(), None);
    }
    let mut members = MessageLinks::new(operation);
    for (message, created) in messages.iter().zip(created) {
        let place = Place {
            destination: message.destination(),
            partition: message.partition(),
            number: None,
        };
        let links = mem::take(&mut created.links);
        let say = |own: &mut Vec<_>| set_own(own, operation, message, created);
        members.add(place, say, links);
    }
    let (links, in_common) = members.parted();
    (links, Some(in_common))
}

/// What all messages say of themselves.
fn of_all(
    operation: &Operation<'_>,
    messages: &[impl Outgoing],
    created: &[Created],
) -> Vec<KeyValue> {
    let (mut in_common, mut own) = (InCommon::default(), Vec::new());
    for (message, created) in messages.iter().zip(created) {
        own.clear();
        set_own(&mut own, operation, message, created);
        in_common.add(&own);
    }
    in_common.attributes_of_all(messages.len())
}
