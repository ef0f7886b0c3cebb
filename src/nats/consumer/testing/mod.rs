//! Messages without a server, for tests of handlers.

pub(in crate::nats) mod jetstream;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_nats::header::{IntoHeaderName, IntoHeaderValue};
use async_nats::jetstream::message::StreamMessage;
use async_nats::message::OutboundMessage;
use async_nats::{HeaderMap, Message, Subject};
use bytes::Bytes;
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};

use super::Consumer;
use super::sealed::Deliver as _;
use crate::engine::batch::Batch;
use crate::engine::carriers::inject_with;
use crate::engine::received::Received;
use crate::engine::received::sealed::MessageSource as _;
use crate::nats::attributes::Subscription;
use crate::nats::carrier::MessageHeaders;
use crate::nats::producer::closed_client;
use crate::telemetry::{Moment, Telemetry};
use crate::w3c;

/// A stand-in for a subscription: it delivers the messages of a test, without a server.
///
/// Spans and metrics are those of a [`Consumer`]. It needs tokio, as the client does. That the
/// client has no connection is an error in its log, once.
///
/// ```
/// use async_nats::Message;
/// use opentelemetry::trace::SpanKind;
/// use otel_messaging::testing::{ExpectedSpan, Recorder, remote_span};
/// use otel_messaging::{Received, nats};
///
/// async fn handle(order: &Received<Message>) -> anyhow::Result<()> {
///     order
///         .process(async |order| {
///             anyhow::ensure!(!order.payload.is_empty(), "an order of nothing");
///             Ok(())
///         })
///         .await
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// let recorder = Recorder::new();
/// let consumer = nats::TestConsumer::new(&recorder.telemetry(), "orders.*").await;
///
/// let shop = remote_span();
/// let order = nats::TestMessage::of("orders.42").payload("two books").created_by(&shop);
/// handle(&consumer.deliver(order)).await?;
///
/// ExpectedSpan::new("process orders.*", SpanKind::Consumer)
///     .child_of(&shop)
///     .link(&shop)
///     .attribute("messaging.destination.name", "orders.42")
///     .assert(&recorder.span("process orders.*"));
/// # Ok(())
/// # }
/// ```
///
/// Requests to a micro-service cannot be delivered, because only the client can make them. Let the
/// function that is tested take the `Message` of a request.
#[derive(Clone, Debug)]
pub struct TestConsumer {
    consumer: Consumer,
    subject: String,
    group: Option<String>,
    subscription: Arc<Subscription>,
}

impl TestConsumer {
    /// A subscription to this subject or pattern.
    pub async fn new(telemetry: &Telemetry, subject: &str) -> Self {
        let consumer = Consumer::wrap(telemetry, closed_client().await);
        Self::of(consumer, subject.to_owned(), None)
    }

    fn of(consumer: Consumer, subject: String, group: Option<String>) -> Self {
        Self {
            subscription: Arc::new(consumer.subscription(&subject, group.as_deref())),
            consumer,
            subject,
            group,
        }
    }

    /// Sets the address and port of the server, as [`Consumer::server`] does.
    #[must_use]
    pub fn server(self, address: &str, port: u16) -> Self {
        Self::of(
            self.consumer.server(address, port),
            self.subject,
            self.group,
        )
    }

    /// Sets the client's id, as [`Consumer::client_id`] does.
    #[must_use]
    pub fn client_id(self, id: &str) -> Self {
        Self::of(self.consumer.client_id(id), self.subject, self.group)
    }

    /// Sets the group of a subscription by [`Consumer::queue_subscribe`]. Unset: none.
    #[must_use]
    pub fn queue_group(self, queue_group: impl Into<String>) -> Self {
        Self::of(self.consumer, self.subject, Some(queue_group.into()))
    }

    /// Delivers a message as the stream of a subscription does: a [`TestMessage`], or one of the
    /// client's own.
    pub fn deliver(&self, message: impl Into<Message>) -> Received<Message> {
        let since = self.subscription.wait();
        let Ok(received) = message.into().deliver(&self.subscription, since);
        received
    }

    /// Delivers a message that was read from a stream directly, as [`Consumer::stored`] does.
    pub fn stored(&self, stream: &str, message: StreamMessage) -> Received<StreamMessage> {
        self.consumer.stored(stream, message)
    }

    /// Delivers messages as one batch, as [`Batches`](crate::nats::Batches) do, with a span of
    /// receiving.
    pub fn deliver_batch<M: Into<Message>>(
        &self,
        messages: impl IntoIterator<Item = M>,
    ) -> Batch<Message> {
        let since = Moment::now();
        let taken = messages.into_iter().map(|message| {
            let Ok(received) = message.into().deliver(&self.subscription, None);
            received
        });
        Batch::received(taken.collect(), since)
    }
}

/// A message for a [`TestConsumer`].
///
/// ```
/// use opentelemetry::KeyValue;
/// use opentelemetry::baggage::BaggageExt as _;
/// use opentelemetry::trace::TraceContextExt as _;
/// use otel_messaging::nats::TestMessage;
/// use otel_messaging::testing::remote_span;
///
/// // By a span of another program, with baggage.
/// let context = opentelemetry::Context::new()
///     .with_remote_span_context(remote_span())
///     .with_baggage([KeyValue::new("shop", "north")]);
/// let by_this_crate = TestMessage::of("orders.42").created_in(&context);
///
/// // As another language wrote it.
/// let foreign = TestMessage::of("orders.42")
///     .header("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
/// ```
#[derive(Clone, Debug)]
#[must_use = "it has to be delivered by a consumer"]
pub struct TestMessage {
    subject: Subject,
    reply: Option<Subject>,
    payload: Bytes,
    headers: Option<HeaderMap>,
}

impl TestMessage {
    /// A message of this subject, without payload and headers.
    pub fn of(subject: impl Into<Subject>) -> Self {
        Self {
            subject: subject.into(),
            reply: None,
            payload: Bytes::new(),
            headers: None,
        }
    }

    /// Sets the payload. Unset: empty.
    pub fn payload(mut self, payload: impl Into<Bytes>) -> Self {
        self.payload = payload.into();
        self
    }

    /// Sets the subject for answers. Unset: none.
    pub fn reply(mut self, reply: impl Into<Subject>) -> Self {
        self.reply = Some(reply.into());
        self
    }

    /// Writes a span into the headers, as a producer that it was current in does.
    pub fn created_by(self, span: &SpanContext) -> Self {
        self.created_in(&Context::new().with_remote_span_context(span.clone()))
    }

    /// Writes a context into the headers, span and baggage, as a producer that it was current in
    /// does. It replaces one that is already there.
    pub fn created_in(mut self, context: &Context) -> Self {
        let mut headers = MessageHeaders::new(self.headers.get_or_insert_default());
        inject_with(&w3c::Propagator::new(), context, &mut headers);
        headers.finish();
        self
    }

    /// Appends a header.
    pub fn header(mut self, name: impl IntoHeaderName, value: impl IntoHeaderValue) -> Self {
        let headers = self.headers.get_or_insert_default();
        headers.append(name, value);
        self
    }

    /// Replaces all headers.
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers = Some(headers);
        self
    }
}

/// A message that was sent, for whoever receives it.
impl From<OutboundMessage> for TestMessage {
    fn from(message: OutboundMessage) -> Self {
        Self {
            subject: message.subject,
            reply: message.reply,
            payload: message.payload,
            headers: message.headers,
        }
    }
}

impl From<TestMessage> for Message {
    fn from(message: TestMessage) -> Self {
        let reply = message.reply.as_ref().map_or(0, |reply| reply.len());
        Self {
            length: message.subject.len() + reply + message.payload.len(),
            subject: message.subject,
            reply: message.reply,
            payload: message.payload,
            headers: message.headers,
            status: None,
            description: None,
        }
    }
}
