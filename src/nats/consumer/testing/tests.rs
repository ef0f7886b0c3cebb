//! What the stand-ins deliver.

use std::time::{Duration, Instant};

use async_nats::jetstream::AckKind;
use async_nats::jetstream::consumer::pull::Config;
use opentelemetry::KeyValue;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::SpanKind;

use super::*;
use crate::policy::{Incoming, Policy, Rule};
use crate::testing::{ExpectedMetric, ExpectedSpan, Recorder, remote_span};

async fn core(telemetry: &Telemetry) -> TestConsumer {
    let consumer = TestConsumer::new(telemetry, "orders.*").await;
    let consumer = consumer.server("nats", 4222).client_id("billing-1");
    consumer.queue_group("billing")
}

async fn of_stream(telemetry: &Telemetry) -> jetstream::TestConsumer {
    let config = Config {
        durable_name: Some("billing".to_owned()),
        filter_subject: "orders.*".to_owned(),
        ..Config::default()
    };
    let consumer = jetstream::TestConsumer::new(telemetry, "ORDERS", config).await;
    consumer.server("nats", 4222).client_id("billing-1")
}

fn order() -> TestMessage {
    TestMessage::of("orders.42").payload("two books")
}

fn stored_order() -> jetstream::TestMessage {
    let order = jetstream::TestMessage::of("orders.42").payload("two books");
    order.sequence(7)
}

fn expected(verb: &str, operation_type: &'static str, kind: SpanKind) -> ExpectedSpan {
    ExpectedSpan::new(format!("{verb} orders.*"), kind)
        .exactly()
        .attribute("messaging.operation.name", verb.to_owned())
        .attribute("messaging.operation.type", operation_type)
        .attribute("messaging.system.name", "nats")
        .attribute("messaging.destination.name", "orders.42")
        .attribute("messaging.destination.template", "orders.*")
        .attribute("messaging.consumer.group.name", "billing")
        .attribute("messaging.client.id", "billing-1")
        .attribute("server.address", "nats")
        .attribute("server.port", 4222)
}

fn processed() -> ExpectedSpan {
    expected("process", "process", SpanKind::Consumer)
}

fn of_message(span: ExpectedSpan) -> ExpectedSpan {
    span.attribute("nats.stream.name", "ORDERS")
        .attribute("nats.stream.sequence", 7)
}

fn consumed(count: u64) -> ExpectedMetric {
    let attributes = [
        KeyValue::new("messaging.system.name", "nats"),
        KeyValue::new("messaging.operation.name", "next"),
        KeyValue::new("messaging.destination.template", "orders.*"),
        KeyValue::new("messaging.consumer.group.name", "billing"),
        KeyValue::new("server.address", "nats"),
        KeyValue::new("server.port", 4222),
    ];
    ExpectedMetric::counter("messaging.client.consumed.messages", "{message}")
        .of(attributes, count)
        .exactly()
}

fn from_the_north(shop: &SpanContext) -> Context {
    Context::new()
        .with_remote_span_context(shop.clone())
        .with_baggage([KeyValue::new("shop", "north")])
}

async fn which_shop() -> Result<String, ()> {
    let context = Context::current();
    let shop = context.baggage().get("shop").ok_or(())?;
    Ok(shop.to_string())
}

#[tokio::test]
async fn a_message_is_processed_in_the_context_that_the_test_chose_and_counted() {
    let recorder = Recorder::new();
    let shop = remote_span();
    let order = order().created_in(&from_the_north(&shop));

    let order = core(&recorder.telemetry()).await.deliver(order);
    let from = order.process(async |_| which_shop().await).await;

    assert_eq!(from.as_deref(), Ok("north"));
    processed()
        .child_of(&shop)
        .link(&shop)
        .assert(&recorder.span("process orders.*"));
    consumed(1).assert(&recorder);
}

#[tokio::test]
async fn a_message_of_a_stream_is_processed_in_the_context_that_the_test_chose_and_counted() {
    let recorder = Recorder::new();
    let shop = remote_span();
    let order = stored_order().created_in(&from_the_north(&shop));

    let order = of_stream(&recorder.telemetry()).await.deliver(order);
    let from = order.process(async |_| which_shop().await).await;

    assert_eq!(from.as_deref(), Ok("north"));
    of_message(processed())
        .child_of(&shop)
        .link(&shop)
        .assert(&recorder.span("process orders.*"));
    consumed(1).assert(&recorder);
}

#[tokio::test]
async fn a_message_that_was_delivered_before_is_handled_by_its_rule() {
    let recorder = Recorder::new();
    let rule = Rule::of("*").redelivered(Incoming::LinkOnly);
    let telemetry = recorder.telemetry().policy(Policy::new().rule(rule));
    let shop = remote_span();
    let order = stored_order().created_by(&shop).delivered(3).pending(5);

    let order = of_stream(&telemetry).await.deliver(order);
    order.process(async |_| ()).await;

    let info = order.info().ok();
    assert_eq!(
        info.map(|info| (info.delivered, info.pending)),
        Some((3, 5))
    );
    of_message(processed())
        .link(&shop)
        .attribute("otel_messaging.message.delivery_attempt", 3)
        .assert(&recorder.span("process orders.*"));
}

#[tokio::test]
async fn headers_that_another_language_wrote_are_read_as_from_a_server() {
    let recorder = Recorder::new();
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    let order = order()
        .header("Traceparent", traceparent)
        .header("traceparent", "7");

    let order = core(&recorder.telemetry()).await.deliver(order);

    let created = order.creation_context().span().span_context().clone();
    assert_eq!(
        created.trace_id().to_string(),
        "4bf92f3577b34da6a3ce929d0e0e4736"
    );
    assert!(!created.is_sampled());
}

#[tokio::test]
async fn the_messages_of_a_batch_are_received_in_one_span_and_linked() {
    let (shop, kiosk) = (remote_span(), remote_span());
    let assert_both = |recorder: &Recorder| {
        for (verb, operation_type, kind) in [
            ("next", "receive", SpanKind::Client),
            ("process", "process", SpanKind::Consumer),
        ] {
            let span = recorder.span(&format!("{verb} orders.*"));
            let expected = expected(verb, operation_type, kind)
                .link(&shop)
                .link(&kiosk)
                .attribute("messaging.batch.message_count", 2);
            let is_of_stream = span
                .attributes
                .iter()
                .any(|one| one.key.as_str() == "nats.stream.name");
            let expected = match is_of_stream {
                true => expected.attribute("nats.stream.name", "ORDERS"),
                false => expected,
            };
            expected.assert(&span);
        }
        consumed(2).assert(recorder);
    };

    let recorder = Recorder::new();
    let orders = [order().created_by(&shop), order().created_by(&kiosk)];
    let orders = core(&recorder.telemetry()).await.deliver_batch(orders);
    orders.process(async |_| ()).await;
    assert_both(&recorder);

    let recorder = Recorder::new();
    let orders = [
        stored_order().created_by(&shop),
        stored_order().sequence(8).created_by(&kiosk),
    ];
    let orders = of_stream(&recorder.telemetry()).await.deliver_batch(orders);
    orders.process(async |_| ()).await;
    assert_both(&recorder);
}

#[tokio::test]
async fn what_a_message_of_a_stream_asks_of_the_server_fails_at_once() {
    let recorder = Recorder::new();
    let order = of_stream(&recorder.telemetry())
        .await
        .deliver(stored_order());
    let since = Instant::now();

    let settled = [
        order.ack().await,
        order.ack_with(AckKind::Nak(None)).await,
        order.double_ack().await,
        order.double_ack_with(AckKind::Term).await,
    ];
    let published = order.context.publish("bills.42", "paid".into()).await;

    assert!(settled.iter().all(Result::is_err), "{settled:?}");
    assert!(published.is_err());
    assert!(since.elapsed() < Duration::from_secs(1));
    let errors = [
        ("ack", "send_failed"),
        ("nak", "send_failed"),
        ("double_ack", "_OTHER"),
        ("double_term", "_OTHER"),
    ];
    for (verb, error_type) in errors {
        let span = recorder.span(&format!("{verb} orders.*"));
        of_message(expected(verb, "settle", SpanKind::Client))
            .error(error_type)
            .assert(&span);
    }
}
