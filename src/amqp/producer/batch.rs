//! Publishing many messages under one call.

use std::mem;
use std::pin::pin;

use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use lapin::{BasicProperties, Confirmation};
use opentelemetry::Context;

use super::returned::{Address, give_back};
use super::{OutgoingMessage, Producer};
use crate::amqp::attributes::{
    answer, confirmed_as, error_type, is_for_size, is_returned_for_size,
};
use crate::engine::ambient::{ambient, current};
use crate::engine::sending::Contexts;
use crate::engine::sending::batch::SendingBatch;
use crate::semconv::exception::ErrorDetails;

/// A message for [`Producer::publish_batch`], in the types of the client.
#[derive(Clone, Debug)]
pub struct Publish<'a> {
    exchange: ShortString,
    routing_key: ShortString,
    options: BasicPublishOptions,
    payload: &'a [u8],
    properties: BasicProperties,
}

impl<'a> Publish<'a> {
    /// A message for an exchange, which is empty for the default one, and a routing key.
    pub fn new(
        exchange: impl Into<ShortString>,
        routing_key: impl Into<ShortString>,
        payload: &'a [u8],
    ) -> Self {
        Self {
            exchange: exchange.into(),
            routing_key: routing_key.into(),
            options: BasicPublishOptions::default(),
            payload,
            properties: BasicProperties::default(),
        }
    }

    /// Sets the options. Unset: neither mandatory nor immediate.
    #[must_use]
    pub const fn options(mut self, options: BasicPublishOptions) -> Self {
        self.options = options;
        self
    }

    /// Sets the properties and with them the headers. Unset: none.
    #[must_use]
    pub fn properties(mut self, properties: BasicProperties) -> Self {
        self.properties = properties;
        self
    }

    fn address(&self) -> Address {
        let can_return = self.options.mandatory || self.options.immediate;
        can_return.then(|| (self.exchange.clone(), self.routing_key.clone()))
    }
}

impl Producer {
    /// Publishes messages in their order, waits for the confirms, and returns the result of each,
    /// in the same order.
    ///
    /// Each message has a `create {destination}` span, whose context it carries. One `publish
    /// {destination}` span of kind CLIENT links to all of these and ends with the last confirm, or
    /// on a channel without confirms when all are written. With
    /// [`create_spans`](crate::policy::Rule::create_spans) off, the send span is of kind PRODUCER
    /// and all messages carry its context.
    ///
    /// All messages are created in what is current; to give each a context of its own, use
    /// [`publish_batch_with_contexts`](Self::publish_batch_with_contexts).
    ///
    /// Attributes that all messages share are on the send span, those that differ are on its links.
    /// The [`CONFIRMATION`](crate::amqp::attributes::CONFIRMATION) of a message, or its error, is on
    /// its create span.
    ///
    /// If a message is refused or returned, those after it are still published. The client returns
    /// a returned message with the next confirm, of whichever message. Here it is the result of a
    /// message to the same exchange and routing key, if there is one.
    ///
    /// ```
    /// use otel_messaging::amqp;
    ///
    /// async fn publish(producer: &amqp::Producer, orders: &[String]) -> anyhow::Result<()> {
    ///     let messages = orders.iter().map(|order| amqp::Publish::new("", "orders", order.as_bytes()));
    ///     for result in producer.publish_batch(messages).await {
    ///         anyhow::ensure!(result?.is_ack(), "the broker refused an order");
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// For each message the error of [`Channel::basic_publish`](lapin::Channel::basic_publish) or
    /// of its confirm.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop messages that the client has taken;
    /// [`Channel::wait_for_confirms`](lapin::Channel::wait_for_confirms) waits for them. Those
    /// after them are not published. The confirms that were taken by then are recorded.
    pub fn publish_batch<'a>(
        &self,
        messages: impl IntoIterator<Item = Publish<'a>>,
    ) -> impl Future<Output = Vec<lapin::Result<Confirmation>>> {
        let messages = messages.into_iter().collect();
        self.publish_together(current(), messages, None)
    }

    /// Publishes messages as [`publish_batch`](Self::publish_batch) does, each created in a context
    /// of its own, for a service that forwards in batches: trace, tracestate and baggage of each
    /// origin go on.
    ///
    /// The create span of a message is a child of the span in its context, and the message carries
    /// the baggage of that context and none of what is current at the call: all is as for
    /// [`basic_publish`](Self::basic_publish) in that context, and an empty context is an empty one.
    /// The `publish {destination}` span is a child of what is current at the call. With
    /// [`create_spans`](crate::policy::Rule::create_spans) off, a message carries the context that
    /// is given with it, to which the send span links; with one that has no span, it carries the
    /// context of the send span.
    ///
    /// ```
    /// use lapin::message::Delivery;
    /// use otel_messaging::{Batch, amqp};
    ///
    /// async fn forward(producer: &amqp::Producer, orders: &Batch<Delivery>) -> anyhow::Result<()> {
    ///     orders
    ///         .process(async |orders| -> anyhow::Result<()> {
    ///             let bills = orders.iter().map(|order| {
    ///                 let bill = amqp::Publish::new("", "bills", &order.data);
    ///                 (order.creation_context().clone(), bill)
    ///             });
    ///             for result in producer.publish_batch_with_contexts(bills).await {
    ///                 anyhow::ensure!(result?.is_ack(), "the broker refused a bill");
    ///             }
    ///             Ok(())
    ///         })
    ///         .await
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`publish_batch`](Self::publish_batch).
    ///
    /// # Cancel safety
    ///
    /// As for [`publish_batch`](Self::publish_batch).
    pub fn publish_batch_with_contexts<'a>(
        &self,
        messages: impl IntoIterator<Item = (Context, Publish<'a>)>,
    ) -> impl Future<Output = Vec<lapin::Result<Confirmation>>> {
        let (contexts, messages) = messages.into_iter().unzip();
        self.publish_together(current(), messages, Some(contexts))
    }

    async fn publish_together(
        &self,
        called: Context,
        mut messages: Vec<Publish<'_>>,
        own: Option<Vec<Context>>,
    ) -> Vec<lapin::Result<Confirmation>> {
        let contexts = Contexts::new(ambient(called), own);
        let mut sending = self.start_batch(contexts, &mut messages);
        let addresses: Vec<_> = messages.iter().map(Publish::address).collect();
        let mut written = Vec::with_capacity(messages.len());
        let has_confirms = self.channel.status().confirm();
        for (index, message) in messages.into_iter().enumerate() {
            if self.takes_messages() {
                sending.handed_over(index);
            }
            let publishing = pin!(self.channel.basic_publish(
                message.exchange,
                message.routing_key,
                message.options,
                message.payload,
                message.properties,
            ));
            let confirm = self.in_turn(has_confirms, publishing).await;
            written.push(counted(&mut sending, index, confirm));
        }
        let mut confirms = Confirms {
            sending,
            addresses,
            results: Vec::with_capacity(written.len()),
        };
        for (index, confirm) in written.into_iter().enumerate() {
            let result = match confirm {
                Ok(confirm) => counted(&mut confirms.sending, index, confirm.await),
                Err(error) => Err(error),
            };
            confirms.results.push(result);
        }
        confirms.count();
        mem::take(&mut confirms.results)
    }

    /// Starts the spans and gives each message its context.
    fn start_batch(&self, contexts: Contexts, messages: &mut [Publish<'_>]) -> SendingBatch {
        let outgoing = messages.iter().map(|message| {
            let address = (&message.exchange, &message.routing_key);
            OutgoingMessage::new(self, address, message.payload, &message.properties)
        });
        let mut outgoing: Vec<_> = outgoing.collect();
        let sending = SendingBatch::start(&self.client, "publish", contexts, &mut outgoing);
        let changed = outgoing.into_iter().map(|one| one.headers.changed());
        let changed: Vec<_> = changed.collect();
        for (message, changed) in messages.iter_mut().zip(changed) {
            if let Some(headers) = changed {
                message.properties = mem::take(&mut message.properties).with_headers(headers);
            }
        }
        sending
    }
}

/// What the broker says of messages. Dropped, what it has said of some is counted; the confirms of the
/// others are not asked for, since the client keeps them for whoever waits for all.
struct Confirms {
    sending: SendingBatch,
    /// One for each message.
    addresses: Vec<Address>,
    /// In the order of the messages, as far as they are known.
    results: Vec<lapin::Result<Confirmation>>,
}

impl Confirms {
    /// Gives what was returned to its own message, and counts the messages of which the broker has said
    /// something.
    fn count(&mut self) {
        let known = self.results.len();
        // What was returned may be one of these.
        let unknown = self.addresses.iter().skip(known);
        self.results
            .extend(unknown.map(|_| Ok(Confirmation::Ack(None))));
        give_back(&mut self.results, &self.addresses);
        for (index, result) in self.results.iter().enumerate() {
            if index < known || !matches!(result, Ok(Confirmation::Ack(None))) {
                count_confirmed(&mut self.sending, index, result);
            }
        }
    }
}

impl Drop for Confirms {
    fn drop(&mut self) {
        if !self.results.is_empty() {
            self.count();
        }
    }
}

/// Counts a message if it failed.
fn counted<T>(
    sending: &mut SendingBatch,
    index: usize,
    result: lapin::Result<T>,
) -> lapin::Result<T> {
    if let Err(error) = &result {
        if is_for_size(error) {
            sending.refused_for_size(index);
        }
        sending.failed(index, error_type(error).into(), || {
            ErrorDetails::from_error(error)
        });
    }
    result
}

/// Counts a message if the broker has said something of it.
fn count_confirmed(sending: &mut SendingBatch, index: usize, result: &lapin::Result<Confirmation>) {
    let Ok(confirmation) = result else {
        return;
    };
    if is_returned_for_size(confirmation) {
        sending.refused_for_size(index);
    }
    let (said, error) = answer(confirmation);
    sending.record_of(index, None, |rule| confirmed_as(rule, said));
    match error {
        Some(error_type) => sending.failed(index, error_type.into(), || ErrorDetails::Nothing),
        None => sending.delivered(index, None),
    }
}
