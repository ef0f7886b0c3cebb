//! Sending many messages under one call.

use std::borrow::Cow;
use std::sync::Arc;

use opentelemetry::trace::{Link, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};

use super::inject;
use crate::diagnosis::Problem;
use crate::envelope::{Client, Destination, Envelope};
use crate::link::Relation;
use crate::policy::{Record, Rule};
use crate::propagation::{Headers, HeadersMut};
use crate::semconv::attributes::{captured, of_error};
use crate::semconv::operation::Operation;
use crate::span::Running;

/// Messages on their way, from hand-over to what the broker says of each. Dropped, the span ends;
/// of messages that were handed to the client and of which nobody knows more, it says nothing.
#[derive(Debug, Default)]
pub(crate) struct SendingBatch {
    /// None where telemetry has nothing to do with the messages; then none of them is known either.
    running: Option<Running>,
    messages: Vec<Sent>,
}

/// One message of a batch.
#[derive(Debug)]
struct Sent {
    destination: Arc<Destination>,
    partition: Option<i32>,
    has_our_context: bool,
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
pub(crate) trait Details<H> {
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
        details: &impl Details<H>,
    ) -> Self {
        if messages.is_empty() {
            return Self::default();
        }
        let destinations = messages.iter().map(|message| &message.destination);
        let destination = client.common_destination(destinations);
        let envelope = Envelope {
            client,
            operation: Operation::Send,
            operation_name,
            destination: destination.as_ref(),
            partition: None,
            batch: Some(messages.len()),
        };
        let is_off = |one: &Outgoing<H>| one.destination.rule.recorded() == Record::Off;
        if ambient.is_telemetry_suppressed() || messages.iter().all(is_off) {
            return Self::default();
        }

        let mut links = Vec::new();
        let mut fates = Vec::with_capacity(messages.len());
        for (index, message) in messages.iter_mut().enumerate() {
            fates.push(create(
                client,
                &ambient,
                (index, message),
                details,
                &mut links,
            ));
        }
        let envelope = Envelope {
            operation: match fates.contains(&Fate::Bare) {
                true => Operation::Send,
                false => Operation::SendExisting,
            },
            ..envelope
        };
        let relation = Relation {
            parent: ambient,
            links,
        };
        let running = Running::start(&envelope, relation);
        let sent = messages.iter_mut().zip(fates).enumerate();
        let sent = sent.map(|(index, (message, fate))| {
            let envelope = Envelope {
                destination: Some(&message.destination),
                partition: message.partition,
                batch: None,
                ..envelope
            };
            let room = |headers: &H| details.room(index, headers);
            Sent {
                has_our_context: match fate {
                    Fate::Bare => inject(&envelope, running.context(), &mut message.headers, room),
                    Fate::Created(is_ours) => is_ours,
                    Fate::Untouched => false,
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
            && message.has_our_context
        {
            let envelope = Envelope {
                destination: Some(&message.destination),
                partition: message.partition,
                batch: None,
                ..running.envelope()
            };
            let telemetry = &running.client().telemetry;
            telemetry.report([Problem::RefusedForSize], &envelope);
        }
    }

    /// Takes out of the headers of a message what was written into them.
    pub(crate) fn take_back(&self, index: usize, headers: &mut impl HeadersMut) {
        let message = self.messages.get(index);
        if let Some(running) = &self.running
            && message.is_some_and(|message| message.has_our_context)
        {
            let telemetry = &running.client().telemetry;
            telemetry.propagation().remove(headers);
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
        let envelope = Envelope {
            destination: Some(&message.destination),
            partition: message.partition,
            batch: None,
            ..running.envelope()
        };
        if message.destination.rule.recorded() != Record::Off {
            let instruments = running.client().telemetry.instruments();
            instruments.sent(&envelope, error);
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
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// From the send span.
    Bare,
    /// From a span of its own, if that one has an identity.
    Created(bool),
    /// From before, or from nowhere.
    Untouched,
}

/// Gives a message its context before the batch is sent, where it gets one then.
fn create<H: Headers + HeadersMut>(
    client: &Arc<Client>,
    ambient: &Context,
    (index, message): (usize, &mut Outgoing<H>),
    details: &impl Details<H>,
    links: &mut Vec<Link>,
) -> Fate {
    let envelope = Envelope {
        client,
        operation: Operation::Create,
        operation_name: "create",
        destination: Some(&message.destination),
        partition: message.partition,
        batch: None,
    };
    let rule = envelope.rule();
    if rule.recorded() == Record::Off {
        return Fate::Untouched;
    }
    let telemetry = &client.telemetry;
    let carried = telemetry
        .propagation()
        .extract(&Context::new(), Some(&message.headers), |_| false);
    let is_kept = telemetry.keeps_existing_context() && carried.creation.is_some();
    if is_kept || !envelope.has_span() {
        links.extend(Relation::sending(Context::new(), carried).links);
        return if is_kept { Fate::Untouched } else { Fate::Bare };
    }
    let created = Running::start(&envelope, Relation::sending(ambient.clone(), carried));
    created.record(|| {
        let captured = captured(&message.headers, rule, telemetry);
        details.attributes(index, rule).into_iter().chain(captured)
    });
    links.push(Link::with_context(
        created.context().span().span_context().clone(),
    ));
    Fate::Created(inject(
        &envelope,
        created.context(),
        &mut message.headers,
        |headers| details.room(index, headers),
    ))
}
