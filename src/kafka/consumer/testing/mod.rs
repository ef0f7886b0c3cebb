//! Messages without a broker, for tests of handlers.

#[cfg(test)]
mod tests;

use std::ffi::CStr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders, OwnedMessage, Timestamp};

use crate::engine::batch::Batch;
use crate::engine::carriers::inject_with;
use crate::engine::received::Received;
use crate::engine::received::sealed::MessageSource as _;
use crate::kafka::attributes::ClientInfo;
use crate::kafka::carrier::RecordHeaders;
use crate::telemetry::{Moment, Telemetry};
use crate::w3c;

/// A stand-in for a consumer: it delivers the messages of a test, without a broker.
///
/// Spans and metrics are those of a [`Consumer`](crate::kafka::Consumer), but for the cluster's id and the lag, which
/// only a broker tells. The messages are `OwnedMessage`s, since only a client makes a `BorrowedMessage`.
/// A handler that can be tested takes both: `&Received<impl kafka::MessageHeaders>`, or
/// `&impl rdkafka::Message` of the message alone.
///
/// ```
/// use opentelemetry::trace::SpanKind;
/// use otel_messaging::testing::{ExpectedSpan, Recorder, remote_span};
/// use otel_messaging::{Received, kafka};
/// use rdkafka::ClientConfig;
///
/// async fn handle(order: &Received<impl kafka::MessageHeaders>) -> anyhow::Result<()> {
///     order
///         .process(async |order| {
///             anyhow::ensure!(order.payload().is_some(), "an order of nothing");
///             Ok(())
///         })
///         .await
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// let recorder = Recorder::new();
/// let mut config = ClientConfig::new();
/// config.set("group.id", "billing");
/// let consumer = kafka::TestConsumer::new(&recorder.telemetry(), &config);
///
/// let shop = remote_span();
/// let order = kafka::TestMessage::of("orders").key("42").payload("two books").created_by(&shop);
/// handle(&consumer.deliver(order)).await?;
///
/// ExpectedSpan::new("process orders", SpanKind::Consumer)
///     .child_of(&shop)
///     .link(&shop)
///     .attribute("messaging.consumer.group.name", "billing")
///     .attribute("kafka.message.key", "42")
///     .assert(&recorder.span("process orders"));
/// assert_eq!(recorder.counter_total("messaging.client.consumed.messages"), 1);
/// # Ok(())
/// # }
/// ```
///
/// Commits need a client, so that a handler that commits is given a closure for it, or commits outside.
#[derive(Clone, Debug)]
pub struct TestConsumer {
    info: Arc<ClientInfo>,
}

impl TestConsumer {
    /// A consumer with the properties of a client: its `group.id`, `client.id` and
    /// `bootstrap.servers` are on spans and metrics. No client is made.
    #[must_use]
    pub fn new(telemetry: &Telemetry, config: &ClientConfig) -> Self {
        let property = |name: &CStr| config.get(name.to_str().ok()?).map(str::to_owned);
        Self {
            info: Arc::new(ClientInfo::configured(telemetry, property)),
        }
    }

    /// Delivers a message as `recv` does: a [`TestMessage`], or one of the client's own.
    pub fn deliver(&self, message: impl Into<OwnedMessage>) -> Received<OwnedMessage> {
        let since = self.info.wait();
        Received::deliver(message.into(), &self.info, since, |_| None)
    }

    /// Delivers messages as one batch, as [`Batches`](crate::kafka::Batches) do, with a span of receiving.
    pub fn deliver_batch<M: Into<OwnedMessage>>(
        &self,
        messages: impl IntoIterator<Item = M>,
    ) -> Batch<OwnedMessage> {
        let since = Moment::now();
        let taken = messages
            .into_iter()
            .map(|message| Received::deliver(message.into(), &self.info, None, |_| None));
        Batch::received(taken.collect(), since)
    }
}

/// A message for a [`TestConsumer`], of partition 0 and with offset 0 unless they are set.
///
/// ```
/// use opentelemetry::KeyValue;
/// use opentelemetry::baggage::BaggageExt as _;
/// use opentelemetry::trace::TraceContextExt as _;
/// use otel_messaging::kafka::TestMessage;
/// use otel_messaging::testing::remote_span;
///
/// // By a span of another program, with baggage.
/// let context = opentelemetry::Context::new()
///     .with_remote_span_context(remote_span())
///     .with_baggage([KeyValue::new("shop", "north")]);
/// let by_this_crate = TestMessage::of("orders").created_in(&context);
///
/// // As another language wrote it.
/// let foreign = TestMessage::of("orders")
///     .header("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
///     .header("baggage", "shop=north");
/// ```
#[derive(Clone, Debug)]
#[must_use = "it has to be delivered by a consumer"]
pub struct TestMessage {
    topic: String,
    partition: i32,
    offset: i64,
    timestamp: Timestamp,
    key: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
    headers: Option<OwnedHeaders>,
}

impl TestMessage {
    /// A message of this topic, without key, payload, headers and time.
    pub fn of(topic: impl Into<String>) -> Self {
        Self {
            topic: topic.into(),
            partition: 0,
            offset: 0,
            timestamp: Timestamp::NotAvailable,
            key: None,
            payload: None,
            headers: None,
        }
    }

    /// Sets the key. Unset: none.
    pub fn key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets the payload. Unset: none, as of a tombstone.
    pub fn payload(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.payload = Some(payload.into());
        self
    }

    /// Sets the partition and the offset in it.
    pub const fn at(mut self, partition: i32, offset: i64) -> Self {
        self.partition = partition;
        self.offset = offset;
        self
    }

    /// Sets when it was sent, to the millisecond. Unset: unknown.
    pub fn sent_at(mut self, time: SystemTime) -> Self {
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
        self.timestamp = Timestamp::CreateTime(millis);
        self
    }

    /// Writes a span into the headers, as a producer that it was current in does.
    pub fn created_by(self, span: &SpanContext) -> Self {
        self.created_in(&Context::new().with_remote_span_context(span.clone()))
    }

    /// Writes a context into the headers, span and baggage, as a producer that it was current in
    /// does. It replaces one that is already there.
    pub fn created_in(mut self, context: &Context) -> Self {
        let mut headers = RecordHeaders::new(self.headers);
        inject_with(&w3c::Propagator::new(), context, &mut headers);
        (self.headers, _) = headers.into_parts();
        self
    }

    /// Appends a header.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let header = Header {
            key: name,
            value: Some(value.as_ref()),
        };
        self.headers = Some(self.headers.unwrap_or_default().insert(header));
        self
    }

    /// Replaces all headers.
    pub fn headers(mut self, headers: OwnedHeaders) -> Self {
        self.headers = Some(headers);
        self
    }
}

impl From<TestMessage> for OwnedMessage {
    fn from(message: TestMessage) -> Self {
        Self::new(
            message.payload,
            message.key,
            message.topic,
            message.timestamp,
            message.partition,
            message.offset,
            message.headers,
        )
    }
}
