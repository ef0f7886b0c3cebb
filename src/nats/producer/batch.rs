//! Sending many messages under one call.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::error::Error;
use std::future::{self, poll_fn};
use std::pin::pin;
use std::task::{Poll, ready};
use std::time::Duration;

use async_nats::ToSubject;
use async_nats::client::PublishError;
use async_nats::client::traits::Publisher as _;
use async_nats::jetstream::context::{
    self as client, PublishError as JetStreamError, PublishErrorKind,
};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::publish::PublishAck;
use async_nats::message::OutboundMessage;
use opentelemetry::Context;
use tokio::time::timeout;

use super::{OutgoingMessage, PUBLISH, Producer, jetstream};
use crate::engine::ambient::{ambient, current};
use crate::engine::sending::batch::SendingBatch;
use crate::nats::attributes::{
    ClientInfo, duplicates, is_for_size, of_ack, of_jetstream_publish, of_publish, sequence,
};
use crate::semconv::exception::ErrorDetails;

impl Producer {
    /// Publishes messages in their order, and returns the result of each, in the same order. The
    /// delivery is not confirmed.
    ///
    /// Each message has a `create {subject}` span, whose context it carries. One `publish
    /// {subject}` span of kind CLIENT links to all of these and ends when the client has taken the
    /// last message. With [`create_spans`](crate::policy::Rule::create_spans) off, the send span is
    /// of kind PRODUCER and all messages carry its context.
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
        let called = current();
        let mut messages: Vec<_> = messages.into_iter().collect();
        async move {
            let mut sending = start(&self.info, ambient(called), &mut messages);
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
    /// Attributes that all messages share are on the send span, those that differ are on its links.
    /// Stream and sequence of a message, or its error, are on its create span.
    ///
    /// If a message fails, those after it are still published. At most as many messages are in
    /// flight as the context allows; further ones wait for acknowledgements, even if the context is
    /// set to refuse them
    /// ([`backpressure_on_inflight`](client::ContextBuilder::backpressure_on_inflight)). None fails
    /// with [`MaxAckPending`](PublishErrorKind::MaxAckPending): a message that was refused for it
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
    /// For each message the error of [`Context::send_publish`](client::Context::send_publish) or of
    /// its acknowledgement.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop messages that the client has taken; those after them are
    /// not sent.
    pub fn publish_batch<S: ToSubject>(
        &self,
        messages: impl IntoIterator<Item = (S, PublishMessage)>,
    ) -> impl Future<Output = Vec<Result<PublishAck, JetStreamError>>> {
        let called = current();
        let messages = messages.into_iter();
        let messages = messages.map(|(subject, message)| {
            let message = message.outbound_message(subject);
            OutboundMessage {
                subject: message.subject,
                reply: None,
                payload: message.payload,
                headers: message.headers,
            }
        });
        let mut messages: Vec<_> = messages.collect();
        async move {
            let sending = start(&self.core.info, ambient(called), &mut messages);
            let mut acks = Acks {
                sending,
                awaited: VecDeque::new(),
                results: Vec::with_capacity(messages.len()),
            };
            for message in messages {
                acks.publish(&self.client, message).await;
            }
            poll_fn(|task| acks.poll(task)).await;
            acks.results()
        }
    }
}

/// Starts the spans and gives each message its context.
fn start(info: &ClientInfo, ambient: Context, messages: &mut [OutboundMessage]) -> SendingBatch {
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
    let sending = SendingBatch::start(&info.client, PUBLISH, ambient, &mut outgoing);
    for message in outgoing {
        message.headers.finish();
    }
    sending
}

fn fail(
    sending: &mut SendingBatch,
    index: usize,
    error_type: Cow<'static, str>,
    error: &(impl Error + 'static),
) {
    if is_for_size(&error_type) {
        sending.refused_for_size(index);
    }
    sending.failed(index, error_type, || ErrorDetails::from_error(error));
}

/// Longest time between two tries to hand a message over that there is no room for.
const PAUSE: Duration = Duration::from_millis(10);

type Ack = <client::PublishAckFuture as IntoFuture>::IntoFuture;

/// The acknowledgements of messages, in the order of these.
struct Acks {
    sending: SendingBatch,
    awaited: VecDeque<Ack>,
    results: Vec<Result<PublishAck, JetStreamError>>,
}

impl Acks {
    /// Hands a message over as soon as there is room for it.
    async fn publish(&mut self, client: &client::Context, message: OutboundMessage) {
        let headers = message.headers.unwrap_or_default();
        let publish = PublishMessage::build().payload(message.payload);
        let publish = publish.headers(headers);
        loop {
            // A context does not tell whether it refuses what it has no room for, and then the message
            // is gone. Of the copy the headers alone are more than a count.
            let publishing = client.send_publish(message.subject.clone(), publish.clone());
            if self.take_while(publishing).await {
                return;
            }
            self.wait_for_room().await;
        }
    }

    /// Hands a message over, and takes acknowledgements meanwhile: there may be room only when they
    /// are taken. `false` where the message was refused for want of room.
    async fn take_while(
        &mut self,
        publishing: impl Future<Output = Result<client::PublishAckFuture, JetStreamError>>,
    ) -> bool {
        let mut publishing = pin!(publishing);
        poll_fn(|task| {
            let Poll::Ready(published) = publishing.as_mut().poll(task) else {
                // Whether all are there or not, it is the message that is waited for.
                let _ = self.poll(task);
                return Poll::Pending;
            };
            let refused = published.as_ref().err();
            let is_full =
                refused.is_some_and(|error| error.kind() == PublishErrorKind::MaxAckPending);
            if !is_full {
                self.push(published, task);
            }
            Poll::Ready(!is_full)
        })
        .await
    }

    /// Waits until one more acknowledgement is taken, and no longer than for a while: others may have
    /// the room, and nobody tells when they are done.
    async fn wait_for_room(&mut self) {
        let before = self.results.len();
        let taken = poll_fn(|task| {
            let _ = self.poll(task);
            match self.results.len() > before {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        });
        // Either way it is time to try again.
        let _ = timeout(PAUSE, taken).await;
    }

    fn push(
        &mut self,
        published: Result<client::PublishAckFuture, JetStreamError>,
        task: &mut std::task::Context<'_>,
    ) {
        let ack: Ack = match published {
            Ok(ack) => {
                let index = self.results.len() + self.awaited.len();
                self.sending.handed_over(index);
                // Its time runs from when it is polled first, which shall not be when its turn comes.
                let mut ack = ack.into_future();
                match ack.as_mut().poll(task) {
                    Poll::Ready(result) => Box::pin(future::ready(result)),
                    Poll::Pending => ack,
                }
            }
            Err(error) => Box::pin(future::ready(Err(error))),
        };
        self.awaited.push_back(ack);
    }

    /// Takes what is there, in the order of the messages; ready when nothing is awaited.
    fn poll(&mut self, task: &mut std::task::Context<'_>) -> Poll<()> {
        while let Some(ack) = self.awaited.front_mut() {
            let result = ready!(ack.as_mut().poll(task));
            self.awaited.pop_front();
            let index = self.results.len();
            match &result {
                Ok(ack) => {
                    self.sending
                        .record_of(index, sequence(ack.sequence), |_| of_ack(ack));
                    self.sending.delivered(index, None);
                }
                Err(error) => {
                    let error_type = of_jetstream_publish(error);
                    fail(&mut self.sending, index, error_type, error);
                }
            }
            self.results.push(result);
        }
        Poll::Ready(())
    }

    fn results(self) -> Vec<Result<PublishAck, JetStreamError>> {
        self.sending.record(|| duplicates(&self.results));
        self.results
    }
}
