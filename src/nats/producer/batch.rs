//! Sending many messages under one call.

use async_nats::ToSubject;
use async_nats::client::PublishError;
use async_nats::client::traits::Publisher as _;
use async_nats::jetstream::context::PublishError as JetStreamError;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::publish::PublishAck;
use async_nats::message::OutboundMessage;
use opentelemetry::Context;

use super::acks::{Acks, fail};
use super::{OutgoingMessage, PUBLISH, Producer, jetstream};
use crate::engine::ambient::{ambient, current};
use crate::engine::sending::Contexts;
use crate::engine::sending::batch::SendingBatch;
use crate::nats::attributes::{ClientInfo, of_publish};

impl Producer {
    /// Publishes messages in their order, and returns the result of each, in the same order. The
    /// delivery is not confirmed.
    ///
    /// Each message has a `create {subject}` span, whose context it carries. One `publish
    /// {subject}` span of kind CLIENT links to all of these and ends when the client has taken the
    /// last message. With [`create_spans`](crate::policy::Rule::create_spans) off, the send span is
    /// of kind PRODUCER and all messages carry its context.
    ///
    /// All messages are created in what is current; to give each a context of its own, use
    /// [`publish_batch_with_contexts`](Self::publish_batch_with_contexts).
    ///
    /// Attributes that all messages share are on the send span, those that differ are on its links.
    /// The error of a message is on its create span.
    ///
    /// If a message is refused, those after it are still published.
    ///
    /// # Errors
    ///
    /// For each message the error of [`Client::publish`](async_nats::Client::publish).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop messages that the client has taken; those after them are
    /// not sent.
    pub fn publish_batch(
        &self,
        messages: impl IntoIterator<Item = OutboundMessage>,
    ) -> impl Future<Output = Vec<Result<(), PublishError>>> {
        let messages = messages.into_iter().collect();
        self.publish_together(current(), messages, None)
    }

    /// Publishes messages as [`publish_batch`](Self::publish_batch) does, each created in a context
    /// of its own, for a service that forwards in batches: trace, tracestate and baggage of each
    /// origin go on.
    ///
    /// The create span of a message is a child of the span in its context, and the message carries
    /// the baggage of that context and none of what is current at the call: all is as for
    /// [`publish`](Self::publish) in that context, and an empty context is an empty one. The
    /// `publish {subject}` span is a child of what is current at the call. With
    /// [`create_spans`](crate::policy::Rule::create_spans) off, a message carries the context that
    /// is given with it, to which the send span links; with one that has no span, it carries the
    /// context of the send span.
    ///
    /// ```
    /// use async_nats::message::OutboundMessage;
    /// use otel_messaging::{Batch, nats};
    ///
    /// async fn forward(producer: &nats::Producer, orders: &Batch<async_nats::Message>) -> anyhow::Result<()> {
    ///     orders
    ///         .process(async |orders| -> anyhow::Result<()> {
    ///             let bills = orders.iter().map(|order| {
    ///                 let bill = OutboundMessage {
    ///                     subject: "bills".into(),
    ///                     reply: None,
    ///                     payload: order.payload.clone(),
    ///                     headers: None,
    ///                 };
    ///                 (order.creation_context().clone(), bill)
    ///             });
    ///             for result in producer.publish_batch_with_contexts(bills).await {
    ///                 result?;
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
    pub fn publish_batch_with_contexts(
        &self,
        messages: impl IntoIterator<Item = (Context, OutboundMessage)>,
    ) -> impl Future<Output = Vec<Result<(), PublishError>>> {
        let (contexts, messages) = messages.into_iter().unzip();
        self.publish_together(current(), messages, Some(contexts))
    }

    async fn publish_together(
        &self,
        called: Context,
        mut messages: Vec<OutboundMessage>,
        own: Option<Vec<Context>>,
    ) -> Vec<Result<(), PublishError>> {
        let contexts = Contexts::new(ambient(called), own);
        let mut sending = start(&self.info, contexts, &mut messages);
        let mut results = Vec::with_capacity(messages.len());
        for (index, message) in messages.into_iter().enumerate() {
            let result = self.client.publish_message(message).await;
            match &result {
                Ok(()) => {
                    sending.handed_over(index);
                    sending.delivered(index, None);
                }
                Err(error) => fail(&mut sending, index, of_publish(error).into(), error),
            }
            results.push(result);
        }
        results
    }
}

impl jetstream::Producer {
    /// Publishes messages in their order, and returns the acknowledgement of each, in the same
    /// order.
    ///
    /// Each message has a `create {subject}` span, whose context it carries. One `publish
    /// {subject}` span of kind CLIENT links to all of these and ends with the last acknowledgement.
    /// With [`create_spans`](crate::policy::Rule::create_spans) off, the send span is of kind
    /// PRODUCER and all messages carry its context.
    ///
    /// All messages are created in what is current; to give each a context of its own, use
    /// [`publish_batch_with_contexts`](Self::publish_batch_with_contexts).
    ///
    /// Attributes that all messages share are on the send span, those that differ are on its links.
    /// Stream and sequence of a message, or its error, are on its create span.
    ///
    /// If a message fails, those after it are still published. At most as many messages are in
    /// flight as the context allows; further ones wait for acknowledgements, even if the context is
    /// set to refuse them
    /// ([`backpressure_on_inflight`](async_nats::jetstream::context::ContextBuilder::backpressure_on_inflight)). None fails
    /// with [`MaxAckPending`](async_nats::jetstream::context::PublishErrorKind::MaxAckPending): a message that was refused for it
    /// is tried again with each acknowledgement, and every 10 milliseconds, because other tasks can
    /// have the room.
    ///
    /// ```
    /// use async_nats::jetstream::message::PublishMessage;
    /// use otel_messaging::nats::jetstream::Producer;
    ///
    /// async fn send(producer: &Producer, orders: Vec<(u64, String)>) -> anyhow::Result<()> {
    ///     let messages = orders.into_iter().map(|(number, order)| {
    ///         let message = PublishMessage::build().payload(order.into());
    ///         (format!("orders.{number}"), message.message_id(number.to_string()))
    ///     });
    ///     for result in producer.publish_batch(messages).await {
    ///         let ack = result?;
    ///         println!("{} in {}", ack.sequence, ack.stream);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// For each message the error of [`Context::send_publish`](async_nats::jetstream::context::Context::send_publish) or of
    /// its acknowledgement.
    ///
    /// The context's [timeout](async_nats::jetstream::context::ContextBuilder::timeout) is for the wait from one
    /// acknowledgement, or message handed over, to the next: a stream may be slow with a batch of many. When none
    /// comes in that time, as in an outage, all that are awaited have
    /// [timed out](async_nats::jetstream::context::PublishErrorKind::TimedOut), and so has each further message that finds
    /// no room at once, until there is an acknowledgement again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop messages that the client has taken; those after them are
    /// not sent.
    pub fn publish_batch<S: ToSubject>(
        &self,
        messages: impl IntoIterator<Item = (S, PublishMessage)>,
    ) -> impl Future<Output = Vec<Result<PublishAck, JetStreamError>>> {
        let messages = messages.into_iter();
        let messages = messages.map(|(subject, message)| outbound(subject, message));
        self.publish_together(current(), messages.collect(), None)
    }

    /// Publishes messages as [`publish_batch`](Self::publish_batch) does, each created in a context
    /// of its own, for a service that forwards in batches: trace, tracestate and baggage of each
    /// origin go on.
    ///
    /// All is as for [`nats::Producer`](Producer::publish_batch_with_contexts).
    ///
    /// ```
    /// use async_nats::jetstream;
    /// use async_nats::jetstream::message::PublishMessage;
    /// use otel_messaging::Batch;
    /// use otel_messaging::nats::jetstream::Producer;
    ///
    /// async fn forward(producer: &Producer, orders: &Batch<jetstream::Message>) -> anyhow::Result<()> {
    ///     orders
    ///         .process(async |orders| -> anyhow::Result<()> {
    ///             let bills = orders.iter().map(|order| {
    ///                 let bill = PublishMessage::build().payload(order.payload.clone());
    ///                 (order.creation_context().clone(), ("bills", bill))
    ///             });
    ///             for result in producer.publish_batch_with_contexts(bills).await {
    ///                 result?;
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
    pub fn publish_batch_with_contexts<S: ToSubject>(
        &self,
        messages: impl IntoIterator<Item = (Context, (S, PublishMessage))>,
    ) -> impl Future<Output = Vec<Result<PublishAck, JetStreamError>>> {
        let messages = messages.into_iter();
        let messages =
            messages.map(|(context, (subject, message))| (context, outbound(subject, message)));
        let (contexts, messages) = messages.unzip();
        self.publish_together(current(), messages, Some(contexts))
    }

    async fn publish_together(
        &self,
        called: Context,
        mut messages: Vec<OutboundMessage>,
        own: Option<Vec<Context>>,
    ) -> Vec<Result<PublishAck, JetStreamError>> {
        let contexts = Contexts::new(ambient(called), own);
        let sending = start(&self.core.info, contexts, &mut messages);
        Acks::of_published(&self.client, messages, sending).await
    }
}

/// A message in the form that both clients can give their headers.
fn outbound(subject: impl ToSubject, message: PublishMessage) -> OutboundMessage {
    let message = message.outbound_message(subject);
    OutboundMessage {
        subject: message.subject,
        reply: None,
        payload: message.payload,
        headers: message.headers,
    }
}

/// Starts the spans and gives each message its context.
fn start(info: &ClientInfo, contexts: Contexts, messages: &mut [OutboundMessage]) -> SendingBatch {
    let outgoing = messages.iter_mut().map(|message| {
        let destination = info.destination(&message.subject);
        let headers = message.headers.get_or_insert_default();
        OutgoingMessage::new(
            &info.connection,
            destination,
            headers,
            message.payload.len(),
        )
    });
    let mut outgoing: Vec<_> = outgoing.collect();
    let sending = SendingBatch::start(&info.client, PUBLISH, contexts, &mut outgoing);
    for message in outgoing {
        message.headers.finish();
    }
    sending
}
