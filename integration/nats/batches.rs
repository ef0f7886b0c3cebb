//! JetStream messages that are received in batches.

use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use integration::metrics::{consumed_messages, of_type, operation_duration};
use integration::nats::broker::{DURABLE, receive_span};
use integration::nats::{PATIENCE, header_map, in_time};
use otel_messaging::policy::{Policy, Rule};
use otel_messaging::testing::Recorder;

use crate::shop::{Orders, named, receiving};

/// The traceparent of an order.
fn creation(order: u64) -> String {
    format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{order:016x}-01")
}

async fn orders_of(count: u64) -> (Orders, pull::Config) {
    let orders = Orders::open().await;
    for order in 1..=count {
        let headers = header_map(&[("traceparent", &creation(order))]);
        orders.publish("7", headers).await;
    }
    let durable = pull::Config {
        durable_name: Some(DURABLE.to_owned()),
        filter_subject: orders.subject("*"),
        ..pull::Config::default()
    };
    (orders, durable)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_full_at_its_number_of_messages_or_ends_in_time_and_has_one_receive_span() {
    let recorder = Recorder::new();
    let (orders, durable) = orders_of(25).await;
    // Single messages would have one too.
    let policy = Policy::new().rule(Rule::of("*").receive_spans(true));
    let telemetry = recorder.telemetry().policy(policy);
    let consumer = orders.consumer(&telemetry, durable).await;
    let messages = consumer.messages().await.expect("messages");
    let mut batches = messages.batches(10, Duration::from_millis(300), tokio::time::sleep);

    for numbers in [1..=10, 11..=20, 21..=25] {
        recorder.clear();
        let batch = in_time(batches.recv()).await.expect("a batch");
        let batch = batch.expect("a batch without error");
        batch.process(async |_| ()).await;
        for order in batch.iter() {
            order.double_ack().await.expect("an acknowledgement");
        }

        let count = numbers.clone().count();
        assert_eq!(batch.len(), count);
        let name = format!("next {}", orders.subject("*"));
        let expected = receive_span(orders.of_all("7"))
            .attribute("messaging.consumer.group.name", DURABLE)
            .attribute("messaging.batch.message_count", count as i64)
            .attribute("otel_messaging.nats.stream", orders.name.clone())
            .attribute("otel_messaging.message.delivery_attempt", 1);
        let span = recorder.span(&name);
        let origins = numbers.map(|order| named(&creation(order)));
        origins
            .fold(expected, |span, origin| span.link(&origin))
            .assert(&span);
        let process = recorder.span(&format!("process {}", orders.subject("*")));
        assert_eq!(process.links.links, span.links.links);
    }

    let received = || {
        receiving(&[
            ("messaging.destination.template", &orders.subject("*")),
            ("messaging.consumer.group.name", DURABLE),
        ])
    };
    consumed_messages().of(received(), 25).assert(&recorder);
    let settled = || {
        let mut attributes = received();
        for attribute in &mut attributes {
            if attribute.key.as_str() == "messaging.operation.name" {
                attribute.value = "double_ack".into();
            }
        }
        of_type(attributes, "settle")
    };
    operation_duration()
        .of(of_type(received(), "receive"), 3)
        .of(settled(), 25)
        .assert(&recorder);
}

/// What was taken when a wait is given up is in the next batch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_that_is_given_up_loses_nothing() {
    let recorder = Recorder::new();
    let (orders, durable) = orders_of(5).await;
    let consumer = orders.consumer(&recorder.telemetry(), durable).await;
    let messages = consumer.messages().await.expect("messages");
    let mut batches = messages.batches(6, 2 * PATIENCE, tokio::time::sleep);

    tokio::time::timeout(Duration::from_millis(300), batches.recv())
        .await
        .expect_err("the batch is not full");
    let headers = header_map(&[("traceparent", &creation(6))]);
    orders.publish("7", headers).await;
    let batch = in_time(batches.recv()).await.expect("a batch");

    let sequences: Vec<u64> = batch
        .expect("a batch without error")
        .iter()
        .map(|order| {
            order
                .info()
                .expect("a message of JetStream")
                .stream_sequence
        })
        .collect();
    assert_eq!(sequences, [1, 2, 3, 4, 5, 6]);
    assert_eq!(recorder.spans().len(), 1);
}
