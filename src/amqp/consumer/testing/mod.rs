//! Deliveries without a broker, for tests of handlers.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use lapin::message::{BasicGetMessage, Delivery};
use lapin::types::{AMQPValue, ShortString};
use lapin::{BasicProperties, Channel};
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};

use super::sealed::Sealed as _;
use super::{ConnectionInfo, Source};
use crate::amqp::carrier::MessageHeaders;
use crate::engine::batch::Batch;
use crate::engine::carriers::inject_with;
use crate::engine::received::Received;
use crate::engine::received::sealed::MessageSource as _;
use crate::telemetry::{Moment, Telemetry};
use crate::w3c;

/// A stand-in for a consumer: it delivers the messages of a test, without a broker.
///
/// Spans and metrics are those of a [`Consumer`](crate::amqp::Consumer). A delivery can be settled
/// once: `ack`, `nack` and `reject` return `Ok(true)`, and later `Ok(false)`, as by lapin.
///
/// ```
/// use lapin::message::Delivery;
/// use lapin::options::BasicAckOptions;
/// use opentelemetry::trace::SpanKind;
/// use otel_messaging::testing::{ExpectedSpan, Recorder, remote_span};
/// use otel_messaging::{Received, amqp};
///
/// async fn handle(order: &Received<Delivery>) -> anyhow::Result<()> {
///     order
///         .process(async |order| {
///             anyhow::ensure!(!order.data.is_empty(), "an order of nothing");
///             Ok(())
///         })
///         .await
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// let recorder = Recorder::new();
/// let connection = amqp::ConnectionInfo::new();
/// let consumer = amqp::TestConsumer::new(&recorder.telemetry(), connection, "orders");
///
/// let shop = remote_span();
/// let order = amqp::TestMessage::of("orders").payload("two books").created_by(&shop);
/// let order = consumer.deliver(order);
/// handle(&order).await?;
/// order.ack(BasicAckOptions::default()).await?;
///
/// let process = recorder.span("process orders");
/// ExpectedSpan::new("process orders", SpanKind::Consumer)
///     .child_of(&shop)
///     .link(&shop)
///     .assert(&process);
/// ExpectedSpan::new("ack orders", SpanKind::Client)
///     .child_of(&process.span_context)
///     .link(&shop)
///     .assert(&recorder.span("ack orders"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TestConsumer {
    source: Arc<Source>,
}

impl TestConsumer {
    /// A consumer of this queue. The `connection` is `amqp::ConnectionInfo::new()`, with the server
    /// and the client's id if spans are to have them.
    #[must_use]
    pub fn new(
        telemetry: &Telemetry,
        connection: impl Into<ConnectionInfo>,
        queue: impl Into<ShortString>,
    ) -> Self {
        let source = Source {
            client: connection.into().client(telemetry),
            queue: queue.into(),
            is_temporary: false,
            receive_name: lapin::Consumer::RECEIVE_NAME,
        };
        Self {
            source: Arc::new(source),
        }
    }

    /// Marks the queue as temporary, as [`Consumer::temporary_queue`](crate::amqp::Consumer::temporary_queue) does.
    #[must_use]
    pub fn temporary_queue(mut self) -> Self {
        Arc::make_mut(&mut self.source).is_temporary = true;
        self
    }

    /// Delivers a message as the stream of a consumer does: a [`TestMessage`], or a `Delivery` of
    /// the client's own.
    pub fn deliver(&self, message: impl Into<Delivery>) -> Received<Delivery> {
        let since = self.source.wait();
        Received::deliver(message.into(), &self.source, since, |_| None)
    }

    /// Delivers a message as [`basic_get`](crate::amqp::Consumer::basic_get) does, with so many more
    /// in the queue.
    pub fn deliver_by_get(
        &self,
        message: impl Into<Delivery>,
        message_count: u32,
    ) -> Received<BasicGetMessage> {
        let source = Arc::new(Source {
            receive_name: Channel::RECEIVE_NAME,
            ..Source::clone(&self.source)
        });
        let message = BasicGetMessage {
            delivery: message.into(),
            message_count,
        };
        Received::deliver(message, &source, source.wait(), |message| {
            Some(u64::from(message.message_count))
        })
    }

    /// Delivers messages as one batch, as [`Batches`](crate::amqp::Batches) do, with a span of
    /// receiving.
    pub fn deliver_batch<M: Into<Delivery>>(
        &self,
        messages: impl IntoIterator<Item = M>,
    ) -> Batch<Delivery> {
        let since = Moment::now();
        let taken = messages
            .into_iter()
            .map(|message| Received::deliver(message.into(), &self.source, None, |_| None));
        Batch::received(taken.collect(), since)
    }
}

/// A message for a [`TestConsumer`], with the delivery tag 1 unless it is set.
///
/// ```
/// use lapin::types::ByteArray;
/// use opentelemetry::KeyValue;
/// use opentelemetry::baggage::BaggageExt as _;
/// use opentelemetry::trace::TraceContextExt as _;
/// use otel_messaging::amqp::TestMessage;
/// use otel_messaging::testing::remote_span;
///
/// // By a span of another program, with baggage, and delivered before.
/// let context = opentelemetry::Context::new()
///     .with_remote_span_context(remote_span())
///     .with_baggage([KeyValue::new("shop", "north")]);
/// let by_this_crate = TestMessage::of("orders").created_in(&context).redelivered();
///
/// // As another language wrote it.
/// let traceparent = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let foreign = TestMessage::of("order.created")
///     .exchange("shop")
///     .header("Traceparent", ByteArray::from(&traceparent[..]));
/// ```
#[derive(Clone, Debug)]
#[must_use = "it has to be delivered by a consumer"]
pub struct TestMessage {
    exchange: ShortString,
    routing_key: ShortString,
    delivery_tag: u64,
    redelivered: bool,
    properties: BasicProperties,
    payload: Vec<u8>,
}

impl TestMessage {
    /// A message that was published with this routing key to the default exchange, which is the name
    /// of a queue then.
    pub fn of(routing_key: impl Into<ShortString>) -> Self {
        Self {
            exchange: ShortString::default(),
            routing_key: routing_key.into(),
            delivery_tag: 1,
            redelivered: false,
            properties: BasicProperties::default(),
            payload: Vec::new(),
        }
    }

    /// Sets the exchange that it was published to. Unset: the default exchange.
    pub fn exchange(mut self, exchange: impl Into<ShortString>) -> Self {
        self.exchange = exchange.into();
        self
    }

    /// Sets the payload. Unset: empty.
    pub fn payload(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.payload = payload.into();
        self
    }

    /// Sets the number of the delivery on its channel.
    pub const fn delivery_tag(mut self, delivery_tag: u64) -> Self {
        self.delivery_tag = delivery_tag;
        self
    }

    /// Sets that the broker has delivered it before. Unset: it has not.
    pub const fn redelivered(mut self) -> Self {
        self.redelivered = true;
        self
    }

    /// Sets when it was sent, to the second. Unset: unknown.
    pub fn sent_at(mut self, time: SystemTime) -> Self {
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.properties = self.properties.with_timestamp(since_epoch.as_secs());
        self
    }

    /// Writes a span into the headers, as a producer that it was current in does.
    pub fn created_by(self, span: &SpanContext) -> Self {
        self.created_in(&Context::new().with_remote_span_context(span.clone()))
    }

    /// Writes a context into the headers, span and baggage, as a producer that it was current in
    /// does. It replaces one that is already there.
    pub fn created_in(mut self, context: &Context) -> Self {
        let mut headers = MessageHeaders::new(&self.properties);
        inject_with(&w3c::Propagator::new(), context, &mut headers);
        if let Some(headers) = headers.changed() {
            self.properties = self.properties.with_headers(headers);
        }
        self
    }

    /// Sets a header. Text is a `LongString` most often.
    pub fn header(mut self, name: impl Into<ShortString>, value: impl Into<AMQPValue>) -> Self {
        let mut headers = self.properties.headers().clone().unwrap_or_default();
        headers.insert(name.into(), value.into());
        self.properties = self.properties.with_headers(headers);
        self
    }

    /// Replaces all properties, and the headers with them.
    pub fn properties(mut self, properties: BasicProperties) -> Self {
        self.properties = properties;
        self
    }
}

impl From<TestMessage> for Delivery {
    fn from(message: TestMessage) -> Self {
        let mut delivery = Self::mock(
            message.delivery_tag,
            message.exchange,
            message.routing_key,
            message.redelivered,
            message.payload,
        );
        delivery.properties = message.properties;
        delivery
    }
}
