//! Publishing into streams, which acknowledge.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Poll, ready};

use async_nats::jetstream::Context as Client;
use async_nats::jetstream::context::{self as client, PublishError};
use async_nats::jetstream::message::{OutboundMessage, PublishMessage};
use async_nats::jetstream::publish::PublishAck;
use async_nats::{HeaderMap, ToSubject};
use bytes::Bytes;
use opentelemetry::Context;

use super::{OutgoingMessage, PUBLISH, Producer as Core, fail};
use crate::engine::ambient::{ambient, current};
use crate::engine::sending::Sending;
use crate::nats::attributes::{of_ack, of_jetstream_publish, sequence};
use crate::telemetry::Telemetry;

/// A JetStream context whose messages carry the context of their send span. The module
/// [`nats`](crate::nats) has an example.
///
/// It has the methods, results and waits of the context that it wraps, to publish. Cloning is cheap
/// and gives another handle to the same client.
#[derive(Clone)]
pub struct Producer {
    pub(super) client: Client,
    /// Its client, for what streams have no part in.
    pub(super) core: Core,
}

impl Producer {
    /// Wraps a context.
    #[must_use]
    pub fn wrap(telemetry: &Telemetry, client: Client) -> Self {
        Self {
            core: Core::wrap(telemetry, client.client()),
            client,
        }
    }

    /// Sets the address and port of the server that the client connects to. Unset: spans and
    /// metrics do not have them.
    #[must_use]
    pub fn server(self, address: &str, port: u16) -> Self {
        Self {
            core: self.core.server(address, port),
            ..self
        }
    }

    /// Sets the client's id. Unset: spans have none.
    #[must_use]
    pub fn client_id(self, id: &str) -> Self {
        Self {
            core: self.core.client_id(id),
            ..self
        }
    }

    /// The context itself, for streams, consumers and stores. What is published through it directly
    /// is not traced.
    #[must_use]
    pub const fn inner(&self) -> &Client {
        &self.client
    }

    /// Publishes a message, as [`Context::publish`](Client::publish) does, in a `publish {subject}`
    /// span that ends with the acknowledgement of the stream.
    ///
    /// The result is a future: await it for the acknowledgement. The parent is the span that is
    /// active when the future is first polled, or, if no context is attached then, at the call. The
    /// future can be spawned, or used with `with_context`.
    ///
    /// ```
    /// use otel_messaging::nats::jetstream::Producer;
    ///
    /// # async fn example(jetstream: &Producer) -> anyhow::Result<()> {
    /// let ack = jetstream.publish("orders.new", "two books".into()).await?.await?;
    /// println!("{} in {}", ack.sequence, ack.stream);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The error of [`Context::publish`](Client::publish), and of the acknowledgement that it
    /// returns.
    ///
    /// # Cancel safety
    ///
    /// As for [`Context::publish`](Client::publish): dropped while it waits for room, the message
    /// is not sent. Its span ends with the status unset.
    pub fn publish<S: ToSubject>(
        &self,
        subject: S,
        payload: Bytes,
    ) -> impl Future<Output = Result<PublishAckFuture, PublishError>> {
        self.send_publish(subject, PublishMessage::build().payload(payload))
    }

    /// Publishes a message with headers, as
    /// [`Context::publish_with_headers`](Client::publish_with_headers) does. Span and cancel safety
    /// are those of [`publish`](Self::publish).
    ///
    /// # Errors
    ///
    /// The error of [`Context::publish_with_headers`](Client::publish_with_headers), and of the
    /// acknowledgement that it returns.
    pub fn publish_with_headers<S: ToSubject>(
        &self,
        subject: S,
        headers: HeaderMap,
        payload: Bytes,
    ) -> impl Future<Output = Result<PublishAckFuture, PublishError>> {
        let message = PublishMessage::build().payload(payload);
        self.send_publish(subject, message.headers(headers))
    }

    /// Publishes a message with options for the stream, as
    /// [`Context::send_publish`](Client::send_publish) does. Span and cancel safety are those of
    /// [`publish`](Self::publish).
    ///
    /// # Errors
    ///
    /// The error of [`Context::send_publish`](Client::send_publish), and of the acknowledgement
    /// that it returns.
    pub fn send_publish<S: ToSubject>(
        &self,
        subject: S,
        message: PublishMessage,
    ) -> impl Future<Output = Result<PublishAckFuture, PublishError>> {
        let called = current();
        async move {
            let message = message.outbound_message(subject);
            let (ack, sending) = self.hand_over(called, message).await?;
            Ok(PublishAckFuture {
                ack: Ack::Unasked(Some(ack)),
                sending,
            })
        }
    }

    /// Gives the client a message with its context.
    pub(super) async fn hand_over(
        &self,
        called: Context,
        message: OutboundMessage,
    ) -> Result<(client::PublishAckFuture, Sending), PublishError> {
        let (subject, payload) = (message.subject, message.payload);
        let mut headers = message.headers.unwrap_or_default();
        let info = &self.core.info;
        let destination = info.destination(&subject);
        let outgoing =
            OutgoingMessage::new(&info.connection, destination, &mut headers, payload.len());
        let mut sending = outgoing.start(&info.client, PUBLISH, ambient(called));

        let message = PublishMessage::build().payload(payload).headers(headers);
        match self.client.send_publish(subject, message).await {
            Ok(ack) => {
                sending.handed_over();
                Ok((ack, sending))
            }
            Err(error) => Err(failed(sending, error)),
        }
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.core, f)
    }
}

/// The acknowledgement of a message, a future with the output of the client's own. See
/// [`Producer::publish`].
///
/// # Cancel safety
///
/// Dropping the future does not stop the message. Its span ends with the status unset, because the
/// outcome is unknown.
#[must_use = "the send span ends when this is dropped"]
pub struct PublishAckFuture {
    ack: Ack,
    sending: Sending,
}

/// The client's future. Dropped before it is asked, it takes care of the acknowledgement by itself.
enum Ack {
    Unasked(Option<client::PublishAckFuture>),
    Asked(<client::PublishAckFuture as IntoFuture>::IntoFuture),
}

impl Future for PublishAckFuture {
    type Output = Result<PublishAck, PublishError>;

    fn poll(mut self: Pin<&mut Self>, task: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        if let Ack::Unasked(ack) = &mut self.ack
            && let Some(ack) = ack.take()
        {
            self.ack = Ack::Asked(ack.into_future());
        }
        let Ack::Asked(ack) = &mut self.ack else {
            return Poll::Pending;
        };
        let result = ready!(ack.as_mut().poll(task));
        let sending = mem::take(&mut self.sending);
        Poll::Ready(match result {
            Ok(ack) => {
                acknowledged(sending, &ack);
                Ok(ack)
            }
            Err(error) => Err(failed(sending, error)),
        })
    }
}

impl fmt::Debug for PublishAckFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishAckFuture")
            .field("sending", &self.sending)
            .finish_non_exhaustive()
    }
}

fn acknowledged(sending: Sending, ack: &PublishAck) {
    sending.record(|| of_ack(ack).chain(sequence(ack.sequence)));
}

fn failed(mut sending: Sending, error: PublishError) -> PublishError {
    fail(&mut sending, of_jetstream_publish(&error), &error);
    error
}
