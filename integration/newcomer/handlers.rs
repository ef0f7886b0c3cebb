//! A handler of each broker, tested without a broker: with a parent in another program, baggage, a message that comes
//! again, and a failure.

use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicNackOptions};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{SpanContext, SpanKind, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use otel_messaging::testing::{ExpectedMetric, ExpectedSpan, Recorder, remote_span};
use otel_messaging::{Received, amqp, kafka, nats};
use rdkafka::ClientConfig;

#[derive(Debug, PartialEq)]
struct OutOfStock(&'static str);

/// What all handlers do: a bill for the customer who is in the baggage.
fn bill(order: &[u8]) -> Result<String, OutOfStock> {
    if order.is_empty() {
        return Err(OutOfStock("an order of nothing"));
    }
    let context = Context::current();
    let customer = context
        .baggage()
        .get("customer")
        .map_or("nobody", |customer| customer.as_str());
    Ok(format!("{} for {customer}", String::from_utf8_lossy(order)))
}

/// What the shop's span and baggage are in a message.
fn ordered_by(customer: &'static str) -> (SpanContext, Context) {
    let shop = remote_span();
    let context = Context::new()
        .with_remote_span_context(shop.clone())
        .with_baggage([KeyValue::new("customer", customer)]);
    (shop, context)
}

/// The span of a handler.
fn process(destination: &str, shop: &SpanContext) -> ExpectedSpan {
    ExpectedSpan::new(format!("process {destination}"), SpanKind::Consumer)
        .child_of(shop)
        .link(shop)
}

/// How many messages were counted.
fn consumed(recorder: &Recorder, destination: &'static str, count: u64) {
    ExpectedMetric::counter("messaging.client.consumed.messages", "{message}")
        .of(
            [KeyValue::new("messaging.destination.name", destination)],
            count,
        )
        .assert(recorder);
}

async fn kafka_handler(order: &Received<impl kafka::MessageHeaders>) -> Result<String, OutOfStock> {
    order
        .process(async |order| bill(order.payload().unwrap_or_default()))
        .await
}

async fn rabbitmq_handler(order: &Received<Delivery>) -> Result<String, OutOfStock> {
    let billed = order.process(async |order| bill(&order.data)).await;
    let settled = match &billed {
        Ok(_) => order.ack(BasicAckOptions::default()).await,
        Err(_) => {
            let requeue = !order.redelivered;
            let options = BasicNackOptions {
                requeue,
                ..BasicNackOptions::default()
            };
            order.nack(options).await
        }
    };
    settled.expect("there is no broker that could refuse it");
    billed
}

async fn nats_handler(order: &Received<async_nats::Message>) -> Result<String, OutOfStock> {
    order.process(async |order| bill(&order.payload)).await
}

async fn jetstream_handler(
    order: &Received<async_nats::jetstream::Message>,
) -> Result<String, OutOfStock> {
    order.process(async |order| bill(&order.payload)).await
}

#[tokio::test]
async fn a_record_that_comes_again_is_processed_in_the_trace_of_its_shop_each_time() {
    let recorder = Recorder::new();
    let mut config = ClientConfig::new();
    config.set("group.id", "billing");
    let consumer = kafka::TestConsumer::new(&recorder.telemetry(), &config);
    let (shop, context) = ordered_by("Ada");
    let order = kafka::TestMessage::of("orders")
        .payload("two books")
        .at(0, 7)
        .created_in(&context);

    for _ in 0..2 {
        let billed = kafka_handler(&consumer.deliver(order.clone())).await;
        assert_eq!(billed.as_deref(), Ok("two books for Ada"));
    }

    let spans = recorder.spans();
    assert_eq!(spans.len(), 2);
    for span in &spans {
        process("orders", &shop)
            .attribute("messaging.consumer.group.name", "billing")
            .attribute("kafka.offset", 7)
            .assert(span);
    }
    consumed(&recorder, "orders", 2);
}

#[tokio::test]
async fn a_record_that_cannot_be_billed_has_the_error_on_its_span_and_its_duration() {
    let recorder = Recorder::new();
    let consumer = kafka::TestConsumer::new(&recorder.telemetry(), &ClientConfig::new());
    let shop = remote_span();

    let billed =
        kafka_handler(&consumer.deliver(kafka::TestMessage::of("orders").created_by(&shop))).await;

    assert_eq!(billed, Err(OutOfStock("an order of nothing")));
    process("orders", &shop)
        .error("newcomer::handlers::OutOfStock")
        .description(r#"OutOfStock("an order of nothing")"#)
        .exception("newcomer::handlers::OutOfStock")
        .attribute("kafka.message.tombstone", true)
        .assert(&recorder.span("process orders"));
    failed(&recorder, "newcomer::handlers::OutOfStock");
}

/// That one handler has failed.
fn failed(recorder: &Recorder, error_type: &'static str) {
    let durations = recorder.histogram("messaging.process.duration");
    let [duration] = &durations[..] else {
        panic!("{durations:?}")
    };
    assert_eq!(duration.count, 1);
    assert!(
        duration
            .attributes
            .contains(&KeyValue::new("error.type", error_type)),
        "{duration:?}"
    );
}

#[tokio::test]
async fn a_delivery_that_failed_comes_again_with_its_number_and_is_acknowledged() {
    let recorder = Recorder::new();
    let connection = amqp::ConnectionInfo::new();
    let consumer = amqp::TestConsumer::new(&recorder.telemetry(), connection, "orders");
    let (shop, context) = ordered_by("Ada");
    let order = amqp::TestMessage::of("orders").created_in(&context);

    let billed = rabbitmq_handler(&consumer.deliver(order.clone())).await;
    assert_eq!(billed, Err(OutOfStock("an order of nothing")));

    let failed_span = recorder.span("process orders");
    process("orders", &shop)
        .error("newcomer::handlers::OutOfStock")
        .assert(&failed_span);
    ExpectedSpan::new("nack orders", SpanKind::Client)
        .child_of(&failed_span.span_context)
        .link(&shop)
        .assert(&recorder.span("nack orders"));
    failed(&recorder, "newcomer::handlers::OutOfStock");

    recorder.clear();
    let billed =
        rabbitmq_handler(&consumer.deliver(order.payload("two books").redelivered())).await;
    assert_eq!(billed.as_deref(), Ok("two books for Ada"));

    let span = recorder.span("process orders");
    process("orders", &shop)
        .attribute("otel_messaging.message.delivery_attempt", 2)
        .assert(&span);
    ExpectedSpan::new("ack orders", SpanKind::Client)
        .child_of(&span.span_context)
        .link(&shop)
        .assert(&recorder.span("ack orders"));
    consumed(&recorder, "orders", 2);
}

#[tokio::test]
async fn a_message_of_core_nats_is_processed_or_fails_in_the_trace_of_its_shop() {
    let recorder = Recorder::new();
    let consumer = nats::TestConsumer::new(&recorder.telemetry(), "orders.*").await;
    let (shop, context) = ordered_by("Ada");
    let order = nats::TestMessage::of("orders.42").created_in(&context);

    let billed = nats_handler(&consumer.deliver(order.clone().payload("two books"))).await;
    assert_eq!(billed.as_deref(), Ok("two books for Ada"));
    process("orders.*", &shop)
        .attribute("messaging.destination.name", "orders.42")
        .assert(&recorder.span("process orders.*"));

    recorder.clear();
    let billed = nats_handler(&consumer.deliver(order)).await;
    assert_eq!(billed, Err(OutOfStock("an order of nothing")));
    process("orders.*", &shop)
        .error("newcomer::handlers::OutOfStock")
        .assert(&recorder.span("process orders.*"));
}

#[tokio::test]
async fn a_message_of_a_stream_that_comes_again_has_its_number() {
    let recorder = Recorder::new();
    let config = async_nats::jetstream::consumer::pull::Config {
        durable_name: Some("billing".to_owned()),
        filter_subject: "orders.*".to_owned(),
        ..Default::default()
    };
    let consumer =
        nats::jetstream::TestConsumer::new(&recorder.telemetry(), "ORDERS", config).await;
    let (shop, context) = ordered_by("Ada");
    let order = nats::jetstream::TestMessage::of("orders.42")
        .created_in(&context)
        .sequence(7);

    let billed = jetstream_handler(&consumer.deliver(order.clone())).await;
    assert_eq!(billed, Err(OutOfStock("an order of nothing")));
    process("orders.*", &shop)
        .error("newcomer::handlers::OutOfStock")
        .assert(&recorder.span("process orders.*"));

    recorder.clear();
    let billed =
        jetstream_handler(&consumer.deliver(order.payload("two books").delivered(2))).await;
    assert_eq!(billed.as_deref(), Ok("two books for Ada"));
    process("orders.*", &shop)
        .attribute("otel_messaging.message.delivery_attempt", 2)
        .attribute("nats.stream.name", "ORDERS")
        .attribute("nats.stream.sequence", 7)
        .assert(&recorder.span("process orders.*"));
    let orders = [
        KeyValue::new("messaging.destination.template", "orders.*"),
        KeyValue::new("messaging.consumer.group.name", "billing"),
    ];
    ExpectedMetric::counter("messaging.client.consumed.messages", "{message}")
        .of(orders, 2)
        .assert(&recorder);
}
