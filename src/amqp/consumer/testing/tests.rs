//! What the stand-in delivers.

use lapin::options::{BasicAckOptions, BasicNackOptions};
use lapin::types::{ByteArray, LongString};
use opentelemetry::KeyValue;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::SpanKind;

use super::*;
use crate::policy::{Incoming, Policy, Rule};
use crate::testing::{ExpectedMetric, ExpectedSpan, Recorder, remote_span};

fn consumer(telemetry: &Telemetry) -> TestConsumer {
    let connection = ConnectionInfo::new().server("rabbit", 5672);
    TestConsumer::new(telemetry, connection.client_id("billing-1"), "billing")
}

fn order() -> TestMessage {
    let order = TestMessage::of("order.created").exchange("shop");
    order.payload("two books").delivery_tag(7)
}

fn expected(verb: &str, operation_type: &'static str, kind: SpanKind) -> ExpectedSpan {
    ExpectedSpan::new(format!("{verb} shop:order.created:billing"), kind)
        .exactly()
        .attribute("messaging.operation.name", verb.to_owned())
        .attribute("messaging.operation.type", operation_type)
        .attribute("messaging.system.name", "rabbitmq")
        .attribute("messaging.destination.name", "shop:order.created:billing")
        .attribute("messaging.client.id", "billing-1")
        .attribute("server.address", "rabbit")
        .attribute("server.port", 5672)
        .attribute("rabbitmq.destination.routing_key", "order.created")
}

fn processed() -> ExpectedSpan {
    expected("process", "process", SpanKind::Consumer).attribute("rabbitmq.message.delivery_tag", 7)
}

const PROCESS: &str = "process shop:order.created:billing";

#[tokio::test]
async fn a_message_is_processed_in_the_context_that_the_test_chose_and_counted() {
    let recorder = Recorder::new();
    let shop = remote_span();
    let context = Context::new()
        .with_remote_span_context(shop.clone())
        .with_baggage([KeyValue::new("shop", "north")]);

    let order = consumer(&recorder.telemetry()).deliver(order().created_in(&context));
    let from = order
        .process(async |_| Context::current().baggage().get("shop").cloned().ok_or(()))
        .await;

    assert_eq!(from, Ok("north".into()));
    processed()
        .child_of(&shop)
        .link(&shop)
        .assert(&recorder.span(PROCESS));
    let consumed = [
        KeyValue::new("messaging.system.name", "rabbitmq"),
        KeyValue::new("messaging.operation.name", "consume"),
        KeyValue::new("messaging.destination.name", "shop:order.created:billing"),
        KeyValue::new("server.address", "rabbit"),
        KeyValue::new("server.port", 5672),
    ];
    ExpectedMetric::counter("messaging.client.consumed.messages", "{message}")
        .of(consumed, 1)
        .exactly()
        .assert(&recorder);
}

#[tokio::test]
async fn a_message_that_was_delivered_before_is_handled_by_its_rule() {
    let recorder = Recorder::new();
    let rule = Rule::of("*").redelivered(Incoming::LinkOnly);
    let consumer = consumer(&recorder.telemetry().policy(Policy::new().rule(rule)));
    let shop = remote_span();

    let order = consumer.deliver(order().created_by(&shop).redelivered());
    order.process(async |_| ()).await;

    processed()
        .link(&shop)
        .attribute("otel_messaging.message.delivery_attempt", 2)
        .assert(&recorder.span(PROCESS));
}

#[test]
fn headers_that_another_language_wrote_are_read_as_from_a_broker() {
    let recorder = Recorder::new();
    let traceparent = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    let order = order()
        .header("Traceparent", ByteArray::from(&traceparent[..]))
        .header("traceparent", LongString::from("7"));

    let order = consumer(&recorder.telemetry()).deliver(order);

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

    let orders = consumer(&recorder.telemetry()).deliver_batch(orders);
    orders.process(async |_| ()).await;

    for (verb, operation_type, kind) in [
        ("consume", "receive", SpanKind::Client),
        ("process", "process", SpanKind::Consumer),
    ] {
        expected(verb, operation_type, kind)
            .link(&shop)
            .link(&kiosk)
            .attribute("messaging.batch.message_count", 2)
            .assert(&recorder.span(&format!("{verb} shop:order.created:billing")));
    }
}

#[tokio::test]
async fn a_delivery_is_settled_once_in_a_span() {
    let recorder = Recorder::new();
    let shop = remote_span();
    let order = consumer(&recorder.telemetry()).deliver(order().created_by(&shop));

    let first = order.ack(BasicAckOptions::default()).await;
    let second = order.nack(BasicNackOptions::default()).await;

    assert_eq!((first.ok(), second.ok()), (Some(true), Some(false)));
    let settled = |verb| {
        expected(verb, "settle", SpanKind::Client)
            .link(&shop)
            .attribute("rabbitmq.message.delivery_tag", 7)
    };
    let acked = recorder.span("ack shop:order.created:billing");
    settled("ack").assert(&acked);
    settled("nack")
        .attribute("otel_messaging.rabbitmq.settled", false)
        .assert(&recorder.span("nack shop:order.created:billing"));
}

#[tokio::test]
async fn what_was_got_from_a_temporary_queue_is_counted_so() {
    let recorder = Recorder::new();
    let consumer = consumer(&recorder.telemetry()).temporary_queue();

    let order = consumer.deliver_by_get(order(), 3);
    order.process(async |_| ()).await;

    assert_eq!(order.message_count, 3);
    let got = [KeyValue::new("messaging.operation.name", "get")];
    ExpectedMetric::counter("messaging.client.consumed.messages", "{message}")
        .of(got, 1)
        .assert(&recorder);
    let span = recorder.span("process shop:order.created");
    ExpectedSpan::new("process shop:order.created", SpanKind::Consumer)
        .attribute("messaging.destination.temporary", true)
        .assert(&span);
}
