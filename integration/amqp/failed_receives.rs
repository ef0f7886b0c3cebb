//! Receiving that fails, in each of the ways that there are.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use futures::StreamExt as _;
use integration::amqp::{PATIENCE, client_attributes, consume_span, measured};
use integration::metrics::{and, of_type, operation_duration};
use integration::unique;
use integration::whole;
use lapin::ErrorKind;
use lapin::options::{BasicGetOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use opentelemetry::trace::{SpanKind, Status};
use otel_messaging::amqp::Consumer;
use otel_messaging::policy::{Policy, Rule};
use otel_messaging::testing::Recorder;

use crate::shop::Shop;

/// Each wait has a span.
fn asking() -> Policy {
    Policy::new().rule(Rule::of("*").receive_spans(true))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asking_for_a_message_of_a_queue_that_is_not_there_is_a_failure() {
    let recorder = Recorder::new();
    let telemetry = recorder.telemetry().policy(asking());
    let shop = Shop::open(&telemetry).await;
    let getter = Consumer::wrap(&telemetry, &shop.known, shop.channel().clone());
    let missing = ShortString::from(unique("missing"));
    let get = |queue: &ShortString| getter.basic_get(queue.clone(), BasicGetOptions::default());

    let nothing = get(&shop.orders).await.expect("an answer");
    let no_queue = get(&missing).await.expect_err("no such queue");
    let closed = get(&missing).await.expect_err("a closed channel");

    assert!(nothing.is_none());
    assert!(matches!(closed.kind(), ErrorKind::InvalidChannelState(..)));
    let errors = ["not-found", "invalid-channel-state"];
    let spans = recorder.spans();
    assert_eq!(
        spans.len(),
        errors.len(),
        "an empty queue is none: {spans:?}"
    );
    for ((span, error_type), error) in spans.iter().zip(errors).zip([no_queue, closed]) {
        client_attributes(whole::span(format!("get {missing}"), SpanKind::Client))
            .attribute("messaging.operation.name", "get")
            .attribute("messaging.operation.type", "receive")
            .attribute("messaging.destination.name", missing.to_string())
            .error(error_type)
            .assert(span);
        assert_eq!(span.status, Status::error(error.to_string()));
    }
    let get = of_type(measured("get", missing.as_str()), "receive");
    let failed = |error_type| and(get.clone(), "error.type", error_type);
    operation_duration()
        .of(failed(errors[0]), 1)
        .of(failed(errors[1]), 1)
        .assert(&recorder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_fails_keeps_a_temporary_queue_out_of_names() {
    let recorder = Recorder::new();
    let shop = Shop::open(&recorder.telemetry().policy(asking())).await;
    let mut consumer = shop.consumer().await.temporary_queue();
    let missing = shop.channel().queue_declare(
        unique("missing").into(),
        QueueDeclareOptions::default().passive(),
        FieldTable::default(),
    );
    missing
        .await
        .expect_err("no such queue, and the channel is closed");

    let received = tokio::time::timeout(PATIENCE, consumer.next()).await;
    let received = received.expect("an error in time").expect("no end");
    received.map(drop).expect_err("the closed channel");

    consume_span(shop.orders.as_str())
        .named("consume")
        .attribute("messaging.destination.temporary", true)
        .error("not-found")
        .assert(&recorder.span("consume"));
    let duration = operation_duration();
    let mut unnamed = of_type(measured("consume", ""), "receive");
    unnamed.retain(|one| one.key.as_str() != "messaging.destination.name");
    duration
        .of(and(unnamed, "error.type", "not-found"), 1)
        .assert(&recorder);
}
