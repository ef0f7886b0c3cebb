//! Messages of a stream without a server, for tests of handlers.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_nats::header::{IntoHeaderName, IntoHeaderValue};
use async_nats::jetstream::consumer::{Config, IntoConsumerConfig};
use async_nats::jetstream::{self, Message};
use async_nats::{HeaderMap, Subject};
use bytes::Bytes;
use opentelemetry::Context;
use opentelemetry::trace::SpanContext;

use crate::engine::batch::Batch;
use crate::engine::received::Received;
use crate::engine::received::sealed::MessageSource as _;
use crate::nats::attributes::{ConsumerInfo, Identity};
use crate::nats::consumer::jetstream::known;
use crate::nats::consumer::sealed::Deliver as _;
use crate::nats::producer::closed_client;
use crate::telemetry::{Moment, Telemetry};

/// A stand-in for a JetStream consumer: it delivers the messages of a test, without a server.
///
/// Spans and metrics are those of a [`Consumer`](crate::nats::jetstream::Consumer). What a message
/// or its `context` asks of the server fails at once: `ack` and its siblings return the client's
/// error, and their spans have it. It needs tokio, as the client does.
///
/// ```
/// use async_nats::jetstream::Message;
/// use async_nats::jetstream::consumer::pull::Config;
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
/// let config = Config {
///     durable_name: Some("billing".to_owned()),
///     filter_subject: "orders.*".to_owned(),
///     ..Config::default()
/// };
/// let telemetry = recorder.telemetry();
/// let consumer = nats::jetstream::TestConsumer::new(&telemetry, "ORDERS", config).await;
///
/// let shop = remote_span();
/// let order = nats::jetstream::TestMessage::of("orders.42")
///     .payload("two books")
///     .created_by(&shop)
///     .delivered(2);
/// let order = consumer.deliver(order);
/// handle(&order).await?;
/// assert!(order.ack().await.is_err());
///
/// let process = recorder.span("process orders.*");
/// ExpectedSpan::new("process orders.*", SpanKind::Consumer)
///     .child_of(&shop)
///     .link(&shop)
///     .attribute("messaging.consumer.group.name", "billing")
///     .assert(&process);
/// assert_eq!(recorder.span("ack orders.*").parent_span_id, process.span_context.span_id());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TestConsumer {
    stream: String,
    config: Config,
    info: Arc<ConsumerInfo>,
    context: jetstream::Context,
}

impl TestConsumer {
    /// A consumer of this stream, with the settings of a real one: its durable name and its filters
    /// are on spans and metrics.
    pub async fn new(
        telemetry: &Telemetry,
        stream: impl Into<String>,
        config: impl IntoConsumerConfig,
    ) -> Self {
        let (stream, config) = (stream.into(), config.into_consumer_config());
        Self {
            info: Arc::new(known(telemetry, Identity::default(), &stream, &config)),
            context: jetstream::new(closed_client().await),
            stream,
            config,
        }
    }

    /// Sets the address and port of the server, as
    /// [`Consumer::server`](crate::nats::jetstream::Consumer::server) does.
    #[must_use]
    pub fn server(self, address: &str, port: u16) -> Self {
        let identity = self.info.identity.clone().server(address, port);
        self.identified(identity)
    }

    /// Sets the client's id, as
    /// [`Consumer::client_id`](crate::nats::jetstream::Consumer::client_id) does.
    #[must_use]
    pub fn client_id(self, id: &str) -> Self {
        let identity = self.info.identity.clone().client_id(id);
        self.identified(identity)
    }

    fn identified(self, identity: Identity) -> Self {
        let telemetry = &self.info.client.telemetry;
        let info = known(telemetry, identity, &self.stream, &self.config);
        Self {
            info: Arc::new(info),
            ..self
        }
    }

    /// Delivers a message as the streams of a consumer do.
    pub fn deliver(&self, message: TestMessage) -> Received<Message> {
        self.delivered(message, self.info.wait())
    }

    /// Delivers messages as one batch, as [`Batches`](crate::nats::Batches) do, with a span of
    /// receiving.
    pub fn deliver_batch(&self, messages: impl IntoIterator<Item = TestMessage>) -> Batch<Message> {
        let since = Moment::now();
        let taken = messages.into_iter();
        let taken = taken.map(|message| self.delivered(message, None));
        Batch::received(taken.collect(), since)
    }

    fn delivered(&self, message: TestMessage, since: Option<Moment>) -> Received<Message> {
        let named = self.config.name.as_ref();
        let named = named.or(self.config.durable_name.as_ref());
        let consumer = named.map_or("test", String::as_str);
        let reply = message.reply(&self.stream, consumer);
        let message = Message {
            message: message.message.reply(reply).into(),
            context: self.context.clone(),
        };
        let Ok(received) = Ok::<_, Infallible>(message).deliver(&self.info, since);
        received
    }
}

/// A message for a [`TestConsumer`], the first one of its stream unless that is set.
///
/// Headers are those of [`nats::TestMessage`](crate::nats::TestMessage).
#[derive(Clone, Debug)]
#[must_use = "it has to be delivered by a consumer"]
pub struct TestMessage {
    message: super::TestMessage,
    sequence: u64,
    delivered: u64,
    pending: u64,
    published: SystemTime,
}

impl TestMessage {
    /// A message of this subject, without payload and headers, published now and delivered for the
    /// first time.
    pub fn of(subject: impl Into<Subject>) -> Self {
        Self {
            message: super::TestMessage::of(subject),
            sequence: 1,
            delivered: 1,
            pending: 0,
            published: SystemTime::now(),
        }
    }

    /// Sets the payload. Unset: empty.
    pub fn payload(self, payload: impl Into<Bytes>) -> Self {
        self.with(|message| message.payload(payload))
    }

    /// Sets the number of the message in its stream.
    pub const fn sequence(mut self, sequence: u64) -> Self {
        self.sequence = sequence;
        self
    }

    /// Sets which delivery of the message it is, from 1.
    pub const fn delivered(mut self, delivered: u64) -> Self {
        self.delivered = delivered;
        self
    }

    /// Sets how many messages are behind it. Unset: 0.
    pub const fn pending(mut self, pending: u64) -> Self {
        self.pending = pending;
        self
    }

    /// Sets when it was published.
    pub const fn sent_at(mut self, time: SystemTime) -> Self {
        self.published = time;
        self
    }

    /// Writes a span into the headers, as a producer that it was current in does.
    pub fn created_by(self, span: &SpanContext) -> Self {
        self.with(|message| message.created_by(span))
    }

    /// Writes a context into the headers, span and baggage, as a producer that it was current in
    /// does. It replaces one that is already there.
    pub fn created_in(self, context: &Context) -> Self {
        self.with(|message| message.created_in(context))
    }

    /// Appends a header.
    pub fn header(self, name: impl IntoHeaderName, value: impl IntoHeaderValue) -> Self {
        self.with(|message| message.header(name, value))
    }

    /// Replaces all headers.
    pub fn headers(self, headers: HeaderMap) -> Self {
        self.with(|message| message.headers(headers))
    }

    fn with(self, change: impl FnOnce(super::TestMessage) -> super::TestMessage) -> Self {
        Self {
            message: change(self.message),
            ..self
        }
    }

    /// Where an acknowledgement goes, which tells of the delivery.
    fn reply(&self, stream: &str, consumer: &str) -> String {
        let published = self.published.duration_since(UNIX_EPOCH);
        format!(
            "$JS.ACK.{stream}.{consumer}.{}.{}.{}.{}.{}",
            self.delivered,
            self.sequence,
            self.sequence,
            published.unwrap_or_default().as_nanos(),
            self.pending,
        )
    }
}
