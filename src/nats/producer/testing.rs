//! Messages that are kept instead of sent, for tests.

use std::sync::{Arc, Mutex, PoisonError};

use async_nats::client::PublishError;
use async_nats::client::traits::Publisher;
use async_nats::message::OutboundMessage;
use async_nats::{Client, ConnectOptions, ToSubject};
use bytes::Bytes;

use super::{PUBLISH, Producer, end};
use crate::engine::ambient::current;
use crate::nats::attributes::of_publish;
use crate::telemetry::Telemetry;

/// A stand-in for a producer: it keeps what is published, with the headers that it would be sent
/// with.
///
/// Spans and metrics are those of a [`Producer`]. Code that is to be tested takes the client's own
/// trait `Publisher`, which both implement. No message is refused. Clones keep their messages
/// together. It needs tokio, as the client does.
///
/// ```
/// use async_nats::Message;
/// use async_nats::client::traits::Publisher;
/// use async_nats::message::OutboundMessage;
/// use opentelemetry::trace::SpanKind;
/// use otel_messaging::testing::{ExpectedSpan, Recorder, remote_span};
/// use otel_messaging::{Received, nats};
///
/// async fn bill(order: &Received<Message>, bills: &impl Publisher) -> anyhow::Result<()> {
///     order
///         .process(async |order| -> anyhow::Result<()> {
///             let bill = OutboundMessage {
///                 subject: "bills".into(),
///                 reply: None,
///                 payload: order.payload.clone(),
///                 headers: None,
///             };
///             bills.publish_message(bill).await?;
///             Ok(())
///         })
///         .await
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// let recorder = Recorder::new();
/// let orders = nats::TestConsumer::new(&recorder.telemetry(), "orders").await;
/// let bills = nats::TestProducer::new(&recorder.telemetry()).await;
///
/// let order = nats::TestMessage::of("orders").payload("two books").created_by(&remote_span());
/// bill(&orders.deliver(order), &bills).await?;
///
/// let publish = recorder.span("publish bills");
/// ExpectedSpan::new("publish bills", SpanKind::Producer)
///     .child_of(&recorder.span("process orders").span_context)
///     .assert(&publish);
///
/// // What was sent goes on to the next service.
/// let received = nats::TestConsumer::new(&recorder.telemetry(), "bills").await;
/// let [bill] = &bills.sent()[..] else { panic!("one bill") };
/// let bill = received.deliver(nats::TestMessage::from(bill.clone()));
/// bill.process(async |bill| assert_eq!(bill.payload, "two books")).await;
///
/// ExpectedSpan::new("process bills", SpanKind::Consumer)
///     .child_of(&publish.span_context)
///     .link(&publish.span_context)
///     .assert(&recorder.span("process bills"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TestProducer {
    producer: Producer,
    sent: Arc<Mutex<Vec<OutboundMessage>>>,
}

impl TestProducer {
    /// A producer that has kept no message yet.
    pub async fn new(telemetry: &Telemetry) -> Self {
        Self {
            producer: Producer::wrap(telemetry, closed_client().await),
            sent: Arc::default(),
        }
    }

    /// Sets the address and port of the server, as [`Producer::server`] does.
    #[must_use]
    pub fn server(self, address: &str, port: u16) -> Self {
        Self {
            producer: self.producer.server(address, port),
            ..self
        }
    }

    /// Sets the client's id, as [`Producer::client_id`] does.
    #[must_use]
    pub fn client_id(self, id: &str) -> Self {
        Self {
            producer: self.producer.client_id(id),
            ..self
        }
    }

    /// The messages that were published so far, in order.
    #[must_use]
    pub fn sent(&self) -> Vec<OutboundMessage> {
        let sent = self.sent.lock();
        sent.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Publisher for TestProducer {
    fn publish_with_reply<S, R>(
        &self,
        subject: S,
        reply: R,
        payload: Bytes,
    ) -> impl Future<Output = Result<(), PublishError>>
    where
        S: ToSubject,
        R: ToSubject,
    {
        self.publish_message(OutboundMessage {
            subject: subject.to_subject(),
            reply: Some(reply.to_subject()),
            payload,
            headers: None,
        })
    }

    fn publish_message(
        &self,
        mut message: OutboundMessage,
    ) -> impl Future<Output = Result<(), PublishError>> {
        let called = current();
        async move {
            let headers = message.headers.get_or_insert_default();
            let payload = message.payload.len();
            let producer = &self.producer;
            let sending = producer.start(PUBLISH, called, &message.subject, headers, payload);
            let sent = self.sent.lock();
            sent.unwrap_or_else(PoisonError::into_inner).push(message);
            end(sending, Ok(()), of_publish)
        }
    }
}

/// A client that has given up to connect: whatever is asked of it fails at once.
pub(in crate::nats) async fn closed_client() -> Client {
    let options = ConnectOptions::new()
        .retry_on_initial_connect()
        .max_reconnects(1);
    // Nothing can listen at port 0.
    let client = options.connect("nats://127.0.0.1:0").await;
    #[expect(clippy::expect_used, reason = "it fails only for what is no address")]
    let client = client.expect("a client that connects by and by");
    // Answered with an error, when it has given up.
    let _ = client.flush().await;
    client
}

#[cfg(test)]
mod tests {
    #![expect(clippy::expect_used, reason = "a test panics where it fails")]

    use async_nats::HeaderMap;
    use async_nats::client::{RequestError, RequestErrorKind};
    use opentelemetry::trace::SpanKind;
    use opentelemetry::{Context, KeyValue};

    use super::super::{REQUEST, answered};
    use super::*;
    use crate::testing::{ExpectedMetric, ExpectedSpan, Recorder};

    #[tokio::test]
    async fn what_is_published_is_kept_with_the_context_of_its_span_and_counted() {
        let recorder = Recorder::new();
        let producer = TestProducer::new(&recorder.telemetry()).await;
        let producer = producer.server("nats", 4222).client_id("shop-1");
        let clone = producer.clone();

        let published = producer.publish_with_reply("orders", "bills", "two books".into());
        published.await.expect("it is kept");

        let sent = clone.sent();
        assert_eq!(sent.len(), 1);
        let order = sent.first().expect("the message");
        let reply = order.reply.as_ref();
        assert_eq!(
            (&*order.subject, reply.map(|reply| &**reply)),
            ("orders", Some("bills"))
        );
        assert_eq!(order.payload, "two books");
        let span = recorder.span("publish orders");
        let (trace, id) = (span.span_context.trace_id(), span.span_context.span_id());
        let headers = order.headers.as_ref().expect("headers");
        let traceparent = headers.get("traceparent").map(|value| value.as_str());
        assert_eq!(traceparent, Some(&*format!("00-{trace}-{id}-01")));
        ExpectedSpan::new("publish orders", SpanKind::Producer)
            .exactly()
            .attribute("messaging.operation.name", "publish")
            .attribute("messaging.operation.type", "send")
            .attribute("messaging.system.name", "nats")
            .attribute("messaging.destination.name", "orders")
            .attribute("messaging.client.id", "shop-1")
            .attribute("server.address", "nats")
            .attribute("server.port", 4222)
            .assert(&span);
        let to_orders = [KeyValue::new("messaging.destination.name", "orders")];
        ExpectedMetric::counter("messaging.client.sent.messages", "{message}")
            .of(to_orders, 1)
            .assert(&recorder);
    }

    #[tokio::test]
    async fn a_request_counts_as_sent_by_what_came_of_it_however_soon_that_is() {
        for (kind, error_type, is_sent) in [
            (RequestErrorKind::NoResponders, "no_responders", true),
            (RequestErrorKind::TimedOut, "timeout", true),
            (RequestErrorKind::InvalidSubject, "invalid_subject", false),
        ] {
            let recorder = Recorder::new();
            let producer = TestProducer::new(&recorder.telemetry()).await.producer;
            let mut headers = HeaderMap::new();
            let sending = producer.start(REQUEST, Context::new(), "stock", &mut headers, 0);

            // The answer is there before anybody waits for it.
            let request = async { Err(RequestError::from(kind)) };
            let ended = answered(sending, request).await;

            assert_eq!(ended.map_err(|error| error.kind()).map(drop), Err(kind));
            ExpectedSpan::new("request stock", SpanKind::Producer)
                .error(error_type)
                .assert(&recorder.span("request stock"));
            let sent = recorder.counter_total("messaging.client.sent.messages");
            assert_eq!(sent, u64::from(is_sent), "{error_type}");
        }
    }
}
