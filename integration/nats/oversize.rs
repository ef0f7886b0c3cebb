//! Messages that have just room enough for their context, and those that have not.

use async_nats::HeaderMap;
use futures::StreamExt as _;
use integration::nats::{client, in_time, subscribed};
use integration::unique;
use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::context::FutureExt as _;
use otel_messaging::nats::{Producer, jetstream};
use otel_messaging::testing::Recorder;

use crate::shop::{Orders, only};

const PROBLEMS: &str = "otel_messaging.context.problems";

/// A block of headers with a traceparent alone.
const CONTEXT: usize = "NATS/1.0\r\n".len() + "traceparent: ".len() + 55 + "\r\n\r\n".len();

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_fits_without_its_context_goes_out_without_it() {
    let recorder = Recorder::new();
    let (subject, receiver) = (unique("orders"), client().await);
    let mut messages = receiver
        .subscribe(subject.clone())
        .await
        .expect("a subscription");
    subscribed(&receiver).await;
    let producer = Producer::wrap(&recorder.telemetry(), client().await);
    let room = producer.inner().max_payload() - CONTEXT;
    let baggage = Context::new().with_baggage([opentelemetry::KeyValue::new("tenant", "blue")]);
    let rows = [
        (room, None, true, 0),
        (room, Some(baggage), true, 1),
        (room + 1, None, false, 2),
        (room + CONTEXT, None, false, 3),
    ];

    for (size, context, has_context, problems) in rows {
        producer
            .publish(subject.clone(), vec![0; size].into())
            .with_context(context.unwrap_or_default())
            .await
            .expect("a publish");

        let message = in_time(messages.next()).await.expect("a message");
        assert_eq!(message.payload.len(), size);
        let traceparent = only(message.headers.as_ref(), "traceparent");
        assert_eq!(traceparent.is_some(), has_context, "{size}");
        assert_eq!(only(message.headers.as_ref(), "baggage"), None);
        assert_eq!(recorder.counter_total(PROBLEMS), problems, "{size}");
    }
}

/// A stream takes 65535 bytes of headers, as the server counts them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_gets_no_more_headers_than_it_takes() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    let producer = jetstream::Producer::wrap(&recorder.telemetry(), orders.context.clone());
    let room = 65535 - CONTEXT - "x: \r\n".len();

    for (size, has_context, problems) in [(room, true, 0), (room + 1, false, 1)] {
        let mut headers = HeaderMap::new();
        headers.insert("x", "x".repeat(size));
        let ack = producer
            .publish_with_headers(orders.subject("7"), headers, "two books".into())
            .await
            .expect("a publish")
            .await
            .expect("the stream takes it");

        let stored = orders
            .stream
            .get_raw_message(ack.sequence)
            .await
            .expect("the message");
        let traceparent = only(Some(&stored.headers), "traceparent");
        assert_eq!(traceparent.is_some(), has_context, "{size}");
        assert_eq!(recorder.counter_total(PROBLEMS), problems, "{size}");
    }
}
