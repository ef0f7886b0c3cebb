//! What the stand-in delivers.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::SpanKind;

use super::*;
use crate::policy::{Policy, Rule};
use crate::testing::{ExpectedMetric, ExpectedSpan, Recorder, remote_span};

fn consumer(recorder: &Recorder) -> TestConsumer {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", "kafka:9092")
        .set("client.id", "billing-1")
        .set("group.id", "billing");
    TestConsumer::new(&recorder.telemetry(), &config)
}

fn order() -> TestMessage {
    let order = TestMessage::of("orders").key("42").payload("two books");
    order.at(3, 7)
}

fn expected(name: &str, kind: SpanKind) -> ExpectedSpan {
    ExpectedSpan::new(name, kind)
        .exactly()
        .attribute("messaging.system.name", "kafka")
        .attribute("messaging.destination.name", "orders")
        .attribute("messaging.destination.partition.id", "3")
        .attribute("messaging.consumer.group.name", "billing")
        .attribute("messaging.client.id", "billing-1")
        .attribute("server.address", "kafka")
        .attribute("server.port", 9092)
        .attribute("kafka.message.key", "42")
}

fn processed() -> ExpectedSpan {
    expected("process orders", SpanKind::Consumer)
        .attribute("messaging.operation.name", "process")
        .attribute("messaging.operation.type", "process")
}

#[tokio::test]
async fn a_message_is_processed_in_the_context_that_the_test_chose_and_counted() {
    let recorder = Recorder::new();
    let shop = remote_span();
    let context = Context::new()
        .with_remote_span_context(shop.clone())
        .with_baggage([KeyValue::new("shop", "north")]);

    let order = consumer(&recorder).deliver(order().created_in(&context));
    let from = order
        .process(async |_| Context::current().baggage().get("shop").cloned().ok_or(()))
        .await;

    assert_eq!(from, Ok("north".into()));
    processed()
        .child_of(&shop)
        .link(&shop)
        .attribute("kafka.offset", 7)
        .assert(&recorder.span("process orders"));
    let consumed = [
        KeyValue::new("messaging.system.name", "kafka"),
        KeyValue::new("messaging.operation.name", "poll"),
        KeyValue::new("messaging.destination.name", "orders"),
        KeyValue::new("messaging.consumer.group.name", "billing"),
        KeyValue::new("server.address", "kafka"),
        KeyValue::new("server.port", 9092),
    ];
    ExpectedMetric::counter("messaging.client.consumed.messages", "{message}")
        .of(consumed, 1)
        .exactly()
        .assert(&recorder);
}

#[test]
fn headers_that_another_language_wrote_are_read_as_from_a_broker() {
    let recorder = Recorder::new();
    let null = OwnedHeaders::new().insert(Header::<&str> {
        key: "traceparent",
        value: None,
    });
    let order = order()
        .headers(null)
        .header(
            "Traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
        )
        .header("traceparent", [0xff]);

    let order = consumer(&recorder).deliver(order);

    let created = order.creation_context().span().span_context().clone();
    assert_eq!(
        created.trace_id().to_string(),
        "4bf92f3577b34da6a3ce929d0e0e4736"
    );
    assert!(!created.is_sampled());
}

#[tokio::test]
async fn the_messages_of_a_batch_are_received_in_one_span_and_linked() {
    let recorder = Recorder::new();
    let (shop, kiosk) = (remote_span(), remote_span());
    let orders = [order().created_by(&shop), order().created_by(&kiosk)];

    let orders = consumer(&recorder).deliver_batch(orders);
    orders.process(async |_| ()).await;

    let of_both = |span: ExpectedSpan| {
        span.link(&shop)
            .link(&kiosk)
            .attribute("messaging.batch.message_count", 2)
    };
    of_both(expected("poll orders", SpanKind::Client))
        .attribute("messaging.operation.name", "poll")
        .attribute("messaging.operation.type", "receive")
        .assert(&recorder.span("poll orders"));
    of_both(processed()).assert(&recorder.span("process orders"));
    assert_eq!(
        recorder.counter_total("messaging.client.consumed.messages"),
        2
    );
}

#[tokio::test]
async fn the_time_that_the_test_chose_is_when_the_message_was_sent() {
    let recorder = Recorder::new();
    let too_old = Duration::from_secs(60);
    let rule = Rule::of("orders").max_age(too_old / 2);
    let telemetry = recorder.telemetry();
    let telemetry = telemetry.policy(Policy::new().rule(rule));
    let consumer = TestConsumer::new(&telemetry, &ClientConfig::new());
    let shop = remote_span();
    let order = order()
        .created_by(&shop)
        .sent_at(SystemTime::now() - too_old);

    consumer.deliver(order).process(async |_| ()).await;

    ExpectedSpan::new("process orders", SpanKind::Consumer)
        .link(&shop)
        .assert(&recorder.span("process orders"));
}
