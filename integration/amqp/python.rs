//! Messages exchanged with Python's official instrumentation of pika.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use futures::StreamExt as _;
use integration::amqp::{PATIENCE, channel, consume, queue, url};
use integration::python::{assert_carries, header, list, python, text};
use lapin::options::BasicPublishOptions;
use lapin::types::AMQPValue;
use lapin::{BasicProperties, Confirmation};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, KeyValue};
use otel_messaging::amqp::{ConnectionInfo, Consumer, Producer};
use otel_messaging::testing::Recorder;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_consumer_reads_what_we_write() {
    let recorder = Recorder::new();
    let producer = Producer::wrap(
        &recorder.telemetry(),
        ConnectionInfo::new(),
        channel().await,
    );
    let queue = queue(producer.inner(), "to-python").await;
    let ambient = Context::new().with_baggage([KeyValue::new("tenant", "blue sky + more")]);

    let published = producer.basic_publish(
        "".into(),
        queue.clone(),
        BasicPublishOptions::default(),
        b"from Rust",
        BasicProperties::default(),
    );
    let confirm = published.with_context(ambient).await.expect("a publish");
    assert_eq!(confirm.await.expect("a confirm"), Confirmation::Ack(None));
    let report = python("amqp_consume.py", &[&url(), queue.as_str()]).await;

    let sent = recorder.span(&format!("publish {queue}")).span_context;
    let (trace_id, span_id) = (sent.trace_id().to_string(), sent.span_id().to_string());
    assert_carries(
        &report,
        &trace_id,
        &span_id,
        "tenant=blue%20sky%20%2B%20more",
    );
    assert_eq!(
        report.get("types"),
        Some(&json!({"traceparent": "str", "baggage": "str"}))
    );
    let receive = list(&report, "spans").first().expect("a span of Python's");
    assert_eq!(text(receive, "kind"), "CONSUMER");
    assert_eq!(text(receive, "trace_id"), trace_id);
    assert_eq!(text(receive, "parent_span_id"), span_id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn we_continue_the_trace_of_a_python_producer_be_it_in_text_or_in_bytes() {
    let recorder = Recorder::new();
    let channel = channel().await;
    let queue = queue(&channel, "from-python").await;
    let consumer = consume(&channel, &queue).await;
    let mut consumer = Consumer::wrap(&recorder.telemetry(), ConnectionInfo::new(), consumer);

    let report = python("amqp_produce.py", &[&url(), queue.as_str()]).await;
    for is_text in [true, false] {
        recorder.clear();
        let received = tokio::time::timeout(PATIENCE, consumer.next())
            .await
            .expect("a delivery in time")
            .expect("a delivery")
            .expect("a delivery without error");
        let tenant = received
            .process(async |_| {
                Ok::<_, String>(Context::map_current(|current| {
                    current.baggage().get("tenant").map(ToString::to_string)
                }))
            })
            .await;

        let headers = received.properties.headers().as_ref().expect("headers");
        let traceparent = headers.inner().get("traceparent");
        let traceparent = traceparent.and_then(AMQPValue::as_long_string);
        assert_eq!(traceparent.is_some(), is_text, "the second is in bytes");
        // Python writes a space as `+`, which by the W3C text stands for itself.
        assert_eq!(tenant, Ok(Some("blue+sky".to_owned())));
        let creation = received.creation_context().span().span_context().clone();
        assert_eq!(
            header(&report, "traceparent"),
            [format!(
                "00-{}-{}-{:02x}",
                creation.trace_id(),
                creation.span_id(),
                creation.trace_flags().to_u8()
            )]
        );
        assert_eq!(creation.trace_id().to_string(), text(&report, "trace_id"));
        let span = recorder.span(&format!("process {queue}"));
        assert_eq!(span.span_context.trace_id(), creation.trace_id());
        assert_eq!(span.parent_span_id, creation.span_id());
    }
}
