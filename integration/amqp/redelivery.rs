//! Messages that come again, from the same queue or from one for dead letters.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use integration::amqp::{
    DELIVERY_TAG, client_attributes, delivery_tag, process_span, queue, queue_with,
};
use integration::delivered_for;
use integration::whole;
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::options::{BasicNackOptions, BasicRejectOptions};
use lapin::types::{AMQPValue, FieldTable};
use opentelemetry::trace::{SpanContext, SpanKind, TraceContextExt as _};
use opentelemetry_sdk::trace::SpanData;
use otel_messaging::Received;
use otel_messaging::policy::{Incoming, Policy, Rule};
use otel_messaging::testing::Recorder;

use crate::shop::{Shop, next};

const ATTEMPT: &str = "otel_messaging.message.delivery_attempt";
const REQUEUE: BasicNackOptions = BasicNackOptions {
    multiple: false,
    requeue: true,
};

fn creation(received: &Received<Delivery>) -> SpanContext {
    received.creation_context().span().span_context().clone()
}

/// Processes a delivery, and returns the span of that.
async fn processed(recorder: &Recorder, received: &Received<Delivery>, name: &str) -> SpanData {
    recorder.clear();
    received.process(async |_| ()).await;
    recorder.span(name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_requeued_message_is_a_second_attempt_in_the_same_trace() {
    let recorder = Recorder::new();
    let shop = Shop::open(&recorder.telemetry()).await;
    let mut consumer = shop.consumer().await;
    shop.publish_order().await;

    let first = next(&mut consumer).await;
    assert!(first.nack(REQUEUE).await.expect("an answer"));
    let second = next(&mut consumer).await;

    assert_eq!([first.redelivered, second.redelivered], [false, true]);
    assert_eq!(creation(&first), creation(&second));
    let name = format!("process {}", shop.orders);
    for (attempt, order) in [(1, &first), (2, &second)] {
        delivered_for(attempt, process_span(order))
            .child_of(&creation(order))
            .link(&creation(order))
            .assert(&processed(&recorder, order, &name).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_shows_what_is_ordinary_too() {
    let recorder = Recorder::new();
    let rule = Rule::of("*").unregistered_attributes(true);
    let telemetry = recorder.telemetry().policy(Policy::new().rule(rule));
    let shop = Shop::open(&telemetry).await;
    let mut consumer = shop.consumer().await;
    shop.publish_order().await;

    let order = next(&mut consumer).await;

    process_span(&order)
        .attribute(ATTEMPT, 1)
        .child_of(&creation(&order))
        .link(&creation(&order))
        .assert(&processed(&recorder, &order, &format!("process {}", shop.orders)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_can_make_later_attempts_traces_of_their_own() {
    let recorder = Recorder::new();
    let rule = Rule::of("*").redelivered(Incoming::LinkOnly);
    let telemetry = recorder.telemetry().policy(Policy::new().rule(rule));
    let shop = Shop::open(&telemetry).await;
    let mut consumer = shop.consumer().await;
    shop.publish_order().await;
    let name = format!("process {}", shop.orders);

    let first = next(&mut consumer).await;
    process_span(&first)
        .child_of(&creation(&first))
        .link(&creation(&first))
        .assert(&processed(&recorder, &first, &name).await);
    assert!(first.nack(REQUEUE).await.expect("an answer"));
    let second = next(&mut consumer).await;

    process_span(&second)
        .attribute(ATTEMPT, 2)
        .link(&creation(&first))
        .assert(&processed(&recorder, &second, &name).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quorum_queue_counts_the_attempts() {
    let recorder = Recorder::new();
    let shop = Shop::open(&recorder.telemetry()).await;
    let mut arguments = FieldTable::default();
    arguments.insert(
        "x-queue-type".into(),
        AMQPValue::LongString("quorum".into()),
    );
    let name = queue_with(shop.channel(), "quorum", arguments).await;
    let mut consumer = shop.consumer_of(&name).await;
    shop.publish(&name, BasicProperties::default()).await;

    for attempt in 1..=4 {
        let order = next(&mut consumer).await;
        delivered_for(attempt, process_span(&order))
            .child_of(&creation(&order))
            .link(&creation(&order))
            .assert(&processed(&recorder, &order, &format!("process {name}")).await);
        assert!(order.nack(REQUEUE).await.expect("an answer"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_carries_its_trace_and_its_history() {
    let recorder = Recorder::new();
    let shop = Shop::open(&recorder.telemetry()).await;
    let parked = queue(shop.channel(), "parked").await;
    let mut arguments = FieldTable::default();
    arguments.insert(
        "x-dead-letter-exchange".into(),
        AMQPValue::LongString("".into()),
    );
    arguments.insert(
        "x-dead-letter-routing-key".into(),
        AMQPValue::LongString(parked.as_str().into()),
    );
    let work = queue_with(shop.channel(), "work", arguments).await;
    let mut consumer = shop.consumer_of(&work).await;
    let mut letters = shop.consumer_of(&parked).await;

    shop.publish(&work, BasicProperties::default()).await;
    let sent = recorder.span(&format!("publish {work}")).span_context;
    let order = next(&mut consumer).await;
    let rejected = order.reject(BasicRejectOptions::default()).await;
    assert!(rejected.expect("an answer"));
    let letter = next(&mut letters).await;

    assert!(!letter.redelivered, "its first delivery from this queue");
    assert_eq!(creation(&letter).span_id(), sent.span_id());
    process_span(&letter)
        .attribute(ATTEMPT, 2)
        .child_of(&sent)
        .link(&sent)
        .assert(&processed(&recorder, &letter, &format!("process {parked}")).await);
    let headers = letter.properties.headers().as_ref().expect("headers");
    assert!(headers.contains_key("x-death"), "the broker's own are kept");
}

/// Published to a topic exchange, and dead-lettered under the routing key that it had.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_destination_of_a_dead_letter_names_where_it_came_from() {
    let recorder = Recorder::new();
    let shop = Shop::open(&recorder.telemetry()).await;
    let parked = queue(shop.channel(), "parked").await;
    let exchange = shop.fanout("graveyard").await;
    let bound = shop.channel().queue_bind(
        parked.clone(),
        exchange.clone(),
        "".into(),
        Default::default(),
        FieldTable::default(),
    );
    bound.await.expect("a binding");
    let mut arguments = FieldTable::default();
    arguments.insert(
        "x-dead-letter-exchange".into(),
        AMQPValue::LongString(exchange.as_str().into()),
    );
    let work = queue_with(shop.channel(), "work", arguments).await;
    let mut consumer = shop.consumer_of(&work).await;
    let mut letters = shop.consumer_of(&parked).await;

    shop.publish(&work, BasicProperties::default()).await;
    let order = next(&mut consumer).await;
    let nacked = order.nack(BasicNackOptions::default()).await;
    assert!(nacked.expect("an answer"));
    let letter = next(&mut letters).await;

    let destination = format!("{exchange}:{work}:{parked}");
    let name = format!("process {destination}");
    client_attributes(whole::span(name.clone(), SpanKind::Consumer))
        .attribute("messaging.operation.name", "process")
        .attribute("messaging.operation.type", "process")
        .attribute("messaging.destination.name", destination)
        .attribute("rabbitmq.destination.routing_key", work.to_string())
        .attribute(DELIVERY_TAG, delivery_tag(&letter))
        .attribute(ATTEMPT, 2)
        .child_of(&creation(&order))
        .link(&creation(&order))
        .assert(&processed(&recorder, &letter, &name).await);
}
