//! Messages exchanged with Python's official instrumentation of confluent-kafka.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use integration::kafka::{PATIENCE, consumer, producer, servers, topic};
use integration::python::{assert_carries, header, list, python, text};
use integration::unique;
use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::TraceContextExt as _;
use otel_messaging::testing::Recorder;
use rdkafka::producer::FutureRecord;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_consumer_reads_what_we_write() {
    let recorder = Recorder::new();
    let topic = topic("to-python").await;
    let ambient = Context::new().with_baggage(
        [("tenant", "blue sky + more")]
            .map(|(key, value)| opentelemetry::KeyValue::new(key, value)),
    );
    let _current = ambient.attach();

    producer(&recorder.telemetry())
        .send(
            FutureRecord::to(&topic).key("7").payload("from Rust"),
            PATIENCE,
        )
        .await
        .map_err(|(error, _)| error)
        .expect("a delivery");
    let report = python("consume.py", &[&servers(), &topic, &unique("python")]).await;

    let sent = recorder.span(&format!("send {topic}")).span_context;
    let (trace_id, span_id) = (sent.trace_id().to_string(), sent.span_id().to_string());
    assert_carries(
        &report,
        &trace_id,
        &span_id,
        "tenant=blue%20sky%20%2B%20more",
    );
    let process = list(&report, "spans")
        .iter()
        .find(|span| text(span, "kind") == "CONSUMER" && text(span, "name").contains("process"))
        .expect("Python's process span");
    assert_eq!(
        process.get("links"),
        Some(&json!([{"trace_id": trace_id, "span_id": span_id, "trace_state": ""}]))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn we_continue_the_trace_of_a_python_producer() {
    let recorder = Recorder::new();
    let topic = topic("from-python").await;
    let consumer = consumer(&recorder.telemetry(), &topic);

    let report = python("produce.py", &[&servers(), &topic]).await;
    let received = tokio::time::timeout(PATIENCE, consumer.recv())
        .await
        .expect("a message in time")
        .expect("a message");
    let tenant = received
        .process(async |_| {
            Ok::<_, String>(Context::map_current(|current| {
                current.baggage().get("tenant").map(ToString::to_string)
            }))
        })
        .await;

    // Python writes a space as `+`, which by the W3C text stands for itself.
    assert_eq!(tenant, Ok(Some("blue+sky".to_owned())));
    let creation = received.creation_context().span().span_context().clone();
    let written = header(&report, "traceparent");
    assert_eq!(
        written,
        [format!(
            "00-{}-{}-{:02x}",
            creation.trace_id(),
            creation.span_id(),
            creation.trace_flags().to_u8()
        )]
    );
    assert_eq!(creation.trace_id().to_string(), text(&report, "trace_id"));
    assert_eq!(
        header(&report, "tracestate"),
        [creation.trace_state().header()]
    );
    let span = recorder.span(&format!("process {topic}"));
    assert_eq!(span.span_context.trace_id(), creation.trace_id());
    assert_eq!(span.parent_span_id, creation.span_id());
}
