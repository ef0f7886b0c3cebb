//! The RabbitMQ of `AMQP_URL` carries a context in its headers and gives it back.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::env;
use std::time::Duration;

use futures::StreamExt as _;
use integration::unique;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Confirmation, Connection, ConnectionProperties};

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_traceparent_makes_the_round_trip() {
    let url = env::var("AMQP_URL")
        .expect("AMQP_URL names no RabbitMQ: run `integration/run`, which starts one");
    let connection = Connection::connect(&url, ConnectionProperties::default())
        .await
        .expect("a connection to the RabbitMQ of AMQP_URL");
    let channel = connection.create_channel().await.expect("a channel");
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await
        .expect("confirms");
    let queue = ShortString::from(unique("orders"));
    channel
        .queue_declare(
            queue.clone(),
            QueueDeclareOptions::default(),
            FieldTable::default(),
        )
        .await
        .expect("a queue");

    let mut headers = FieldTable::default();
    headers.insert(
        "traceparent".into(),
        AMQPValue::LongString(TRACEPARENT.into()),
    );
    let confirmation = channel
        .basic_publish(
            "".into(),
            queue.clone(),
            BasicPublishOptions::default(),
            b"two books",
            BasicProperties::default().with_headers(headers.clone()),
        )
        .await
        .expect("a publish")
        .await
        .expect("a confirm");
    let mut deliveries = channel
        .basic_consume(
            queue.clone(),
            "suite".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await
        .expect("a consumer");
    let delivery = tokio::time::timeout(Duration::from_secs(30), deliveries.next())
        .await
        .expect("a delivery in time")
        .expect("a delivery")
        .expect("a delivery without error");
    delivery
        .ack(BasicAckOptions::default())
        .await
        .expect("an ack");

    assert_eq!(confirmation, Confirmation::Ack(None));
    assert_eq!(delivery.data, b"two books");
    assert_eq!(delivery.properties.headers(), &Some(headers));
    channel
        .queue_delete(queue, QueueDeleteOptions::default())
        .await
        .expect("the queue is gone");
}
