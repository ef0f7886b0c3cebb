//! A day's worth of messages, of the same destinations.

use async_nats::message::OutboundMessage;
use otel_messaging::testing::remote_span;
use otel_messaging::{Batch, Message, Received, amqp, kafka, nats};
use rdkafka::ClientConfig;
use tokio::runtime::Runtime;

use crate::{Recording, alone, now, server};
use async_nats::ConnectOptions;

/// Messages, half of them in batches; where all but the house is the same, it is half a day.
const DAY: usize = 2_000_000;
const TOGETHER: usize = 10;

fn handle<M: Message>(
    recording: &Recording,
    (what, messages): (&str, usize),
    single: impl Fn() -> Received<M>,
    together: impl Fn() -> Batch<M>,
) {
    recording.assert_flat(what, messages / 2 / TOGETHER, |number| {
        for one in 0..TOGETHER {
            // Some fail, and some are given up.
            let failed = (number + one) % 100 == 7;
            let message = single();
            if number % 100 == 9 {
                drop(message.start_process_span());
            }
            let outcome = now(message.process(async |_| match failed {
                true => Err("out of stock"),
                false => Ok(()),
            }));
            assert_eq!(outcome.is_err(), failed);
        }
        now(together().process(async |_| ()));
    });
}

#[test]
fn a_day_of_kafka() {
    let _alone = alone();
    let recording = Recording::new();
    let consumer = kafka::TestConsumer::new(&recording.telemetry, &ClientConfig::new());
    let message = || {
        kafka::TestMessage::of("orders")
            .key("42")
            .created_by(&remote_span())
    };
    handle(
        &recording,
        ("a day of Kafka", DAY),
        || consumer.deliver(message()),
        || consumer.deliver_batch((0..TOGETHER).map(|_| message())),
    );
}

#[test]
fn a_day_of_rabbitmq() {
    let _alone = alone();
    let recording = Recording::new();
    let known = amqp::ConnectionInfo::new();
    let consumer = amqp::TestConsumer::new(&recording.telemetry, known, "orders");
    let message = || amqp::TestMessage::of("orders").created_by(&remote_span());
    handle(
        &recording,
        ("a day of RabbitMQ", DAY / 2),
        || consumer.deliver(message()),
        || consumer.deliver_batch((0..TOGETHER).map(|_| message())),
    );
}

#[test]
fn a_day_of_nats() {
    let _alone = alone();
    let recording = Recording::new();
    let runtime = Runtime::new().expect("a runtime");
    let consumer = runtime.block_on(nats::TestConsumer::new(&recording.telemetry, "orders"));
    let message = || nats::TestMessage::of("orders").created_by(&remote_span());
    handle(
        &recording,
        ("a day of NATS", DAY / 2),
        || consumer.deliver(message()),
        || consumer.deliver_batch((0..TOGETHER).map(|_| message())),
    );
}

#[test]
fn a_day_of_sending() {
    let _alone = alone();
    let recording = Recording::new();
    let runtime = Runtime::new().expect("a runtime");
    let address = server::start().expect("a server");
    let connecting = ConnectOptions::new().connect(address.to_string());
    let client = runtime.block_on(connecting).expect("a connection");
    let producer = nats::Producer::wrap(&recording.telemetry, client);
    let order = || OutboundMessage {
        subject: "orders".into(),
        reply: None,
        payload: "two books".into(),
        headers: None,
    };
    recording.assert_flat("a day of sending", DAY / 2 / TOGETHER, |number| {
        runtime.block_on(async {
            for _ in 0..TOGETHER {
                producer
                    .publish("orders", "two books".into())
                    .await
                    .expect("room");
            }
            let sent = producer.publish_batch((0..TOGETHER).map(|_| order())).await;
            assert!(sent.iter().all(Result::is_ok));
            if number % 5 == 4 {
                producer.flush().await.expect("a flush");
            }
        });
    });
}
