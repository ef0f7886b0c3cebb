//! Messages exchanged with Python's official instrumentation of pika.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::collections::HashMap;

use integration::amqp::{channel, consume, next, publish, queue, url};
use integration::python::{header, list, python, text};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TraceContextExt as _;
use otel_messaging::{amqp, w3c};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_consumer_reads_what_we_write() {
    let channel = channel().await;
    let queue = queue(&channel, "to-python").await;
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let trace = w3c::Propagator::new().extract_with_context(
        &Context::new(),
        &HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]),
    );
    let context = trace.with_baggage([opentelemetry::KeyValue::new("tenant", "blue sky + more")]);

    let headers = amqp::inject(&w3c::Propagator::new(), &context, FieldTable::default());
    let properties = BasicProperties::default().with_headers(headers);
    publish(&channel, &queue, properties).await;
    let report = python("amqp_consume.py", &[&url(), queue.as_str()]).await;

    assert_eq!(header(&report, "traceparent"), [traceparent]);
    assert_eq!(
        header(&report, "tracestate"),
        [""; 0],
        "none rather than an empty one"
    );
    assert_eq!(
        header(&report, "baggage"),
        ["tenant=blue%20sky%20%2B%20more"]
    );
    assert_eq!(
        report.get("types"),
        Some(&json!({"traceparent": "str", "baggage": "str"}))
    );
    let [receive] = list(&report, "spans") else {
        panic!("one span of Python's: {report}");
    };
    assert_eq!(text(receive, "kind"), "CONSUMER");
    assert_eq!(
        text(receive, "trace_id"),
        "4bf92f3577b34da6a3ce929d0e0e4736"
    );
    assert_eq!(text(receive, "parent_span_id"), "00f067aa0ba902b7");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn we_read_what_a_python_producer_writes_be_it_text_or_bytes() {
    let channel = channel().await;
    let queue = queue(&channel, "from-python").await;

    let report = python("amqp_produce.py", &[&url(), queue.as_str()]).await;
    let mut consumer = consume(&channel, &queue).await;
    let deliveries = [next(&mut consumer).await, next(&mut consumer).await];

    let is_text = deliveries.each_ref().map(|delivery| {
        let headers = delivery.properties.headers().as_ref().expect("headers");
        let traceparent = headers.inner().get("traceparent");
        traceparent.and_then(AMQPValue::as_long_string).is_some()
    });
    assert_eq!(is_text, [true, false], "the second is in bytes");
    for delivery in deliveries {
        let read = amqp::extract(&w3c::Propagator::new(), &delivery.properties);
        let creation = read.span().span_context().clone();
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
        // Python writes a space as `+`, which by the W3C text stands for itself.
        assert_eq!(
            read.baggage().get("tenant").map(ToString::to_string),
            Some("blue+sky".to_owned())
        );
    }
}
