//! What an application sees of messages that it does not simply consume: their order, how many come, what becomes of
//! those that it refuses or forgets, and what it is told of those that the broker does not take.

use std::time::Duration;

use futures_lite::StreamExt as _;
use futures_lite::future::poll_once;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicPublishOptions, BasicQosOptions,
    BasicRejectOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{FieldTable, ShortString};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer, Error,
    ErrorKind, Queue,
};

const LIMIT: Duration = Duration::from_secs(10);

async fn connect() -> Connection {
    let address = std::env::var("AMQP_ADDR").expect("AMQP_ADDR is set");
    let connecting = Connection::connect(&address, ConnectionProperties::default());
    connecting.await.expect("a connection")
}

async fn confirming(connection: &Connection) -> Channel {
    let channel = connection.create_channel().await.expect("a channel");
    let confirms = channel.confirm_select(ConfirmSelectOptions::default());
    confirms.await.expect("confirms");
    channel
}

async fn queue(channel: &Channel, arguments: FieldTable) -> ShortString {
    let options = QueueDeclareOptions {
        exclusive: true,
        ..QueueDeclareOptions::default()
    };
    let declared = channel.queue_declare("".into(), options, arguments).await;
    declared.expect("a queue").name().clone()
}

/// The queue as the broker sees it.
async fn status(channel: &Channel, queue: &ShortString) -> Queue {
    let options = QueueDeclareOptions {
        exclusive: true,
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let declared = channel.queue_declare(queue.clone(), options, FieldTable::default());
    declared.await.expect("the queue")
}

/// How many messages wait in a queue to be delivered.
async fn ready(channel: &Channel, queue: &ShortString) -> u32 {
    status(channel, queue).await.message_count()
}

/// Publishes the numbers below this one.
async fn publish(channel: &Channel, queue: &ShortString, numbers: u8) {
    let mut confirms = Vec::new();
    for number in 0..numbers {
        let payload = [number];
        let published = channel.basic_publish(
            "".into(),
            queue.clone(),
            BasicPublishOptions::default(),
            &payload,
            BasicProperties::default(),
        );
        confirms.push(published.await.expect("a confirm"));
    }
    for confirm in confirms {
        assert_eq!(confirm.await.expect("an answer"), Confirmation::Ack(None));
    }
}

async fn consume(channel: &Channel, queue: &ShortString) -> Consumer {
    let consuming = channel.basic_consume(
        queue.clone(),
        "".into(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    consuming.await.expect("a consumer")
}

async fn next(consumer: &mut Consumer) -> Delivery {
    let next = tokio::time::timeout(LIMIT, consumer.next()).await;
    next.expect("in time")
        .expect("a delivery")
        .expect("no error")
}

/// The number that it was published with, and whether it was delivered before.
fn seen(delivery: &Delivery) -> (u8, bool) {
    (delivery.data[0], delivery.redelivered)
}

#[tokio::test]
async fn messages_come_in_their_order_and_no_more_than_may_be_unsettled() {
    let connection = connect().await;
    let channel = confirming(&connection).await;
    let queue = queue(&channel, FieldTable::default()).await;
    publish(&channel, &queue, 20).await;
    let limited = channel.basic_qos(3, BasicQosOptions::default());
    limited.await.expect("a limit");
    let mut consumer = consume(&channel, &queue).await;

    let first = next(&mut consumer).await;
    let second = next(&mut consumer).await;
    let third = next(&mut consumer).await;
    assert_eq!(
        [&first, &second, &third].map(seen),
        [(0, false), (1, false), (2, false)]
    );
    assert_eq!(ready(&channel, &queue).await, 17);
    assert!(poll_once(consumer.next()).await.is_none());

    assert!(
        second
            .ack(BasicAckOptions::default())
            .await
            .expect("no error")
    );
    assert_eq!(seen(&next(&mut consumer).await), (3, false));
    let refused = first.nack(BasicNackOptions {
        requeue: true,
        ..BasicNackOptions::default()
    });
    assert!(refused.await.expect("no error"));
    let again = next(&mut consumer).await;
    assert_eq!(seen(&again), (0, true));
    let rejected = again.reject(BasicRejectOptions { requeue: false });
    assert!(rejected.await.expect("no error"));
    let fifth = next(&mut consumer).await;
    assert_eq!(seen(&fifth), (4, false));
    assert_eq!(ready(&channel, &queue).await, 15);

    let all = fifth.ack(BasicAckOptions { multiple: true });
    assert!(all.await.expect("no error"));
    for number in 5..8 {
        assert_eq!(seen(&next(&mut consumer).await), (number, false));
    }
    assert_eq!(ready(&channel, &queue).await, 12);
}

#[tokio::test]
async fn what_is_settled_once_is_not_settled_again() {
    let connection = connect().await;
    let channel = confirming(&connection).await;
    let queue = queue(&channel, FieldTable::default()).await;
    publish(&channel, &queue, 1).await;
    let mut consumer = consume(&channel, &queue).await;
    let delivery = next(&mut consumer).await;
    assert!(
        delivery
            .ack(BasicAckOptions::default())
            .await
            .expect("no error")
    );
    assert!(
        !delivery
            .ack(BasicAckOptions::default())
            .await
            .expect("no error")
    );
    assert!(
        !delivery
            .nack(BasicNackOptions::default())
            .await
            .expect("no error")
    );
    assert!(
        !delivery
            .reject(BasicRejectOptions::default())
            .await
            .expect("no error")
    );
    assert!(channel.status().connected());
}

#[tokio::test]
async fn a_consumer_that_is_dropped_is_cancelled_and_its_messages_come_again() {
    let connection = connect().await;
    let other = confirming(&connection).await;
    let queue = queue(&other, FieldTable::default()).await;
    publish(&other, &queue, 5).await;
    let channel = connection.create_channel().await.expect("a channel");
    let mut consumer = consume(&channel, &queue).await;
    let first = next(&mut consumer).await;
    let second = next(&mut consumer).await;
    assert!(
        second
            .ack(BasicAckOptions::default())
            .await
            .expect("no error")
    );
    drop(consumer);
    let cancelled = async {
        while status(&other, &queue).await.consumer_count() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let cancelled = tokio::time::timeout(LIMIT, cancelled).await;
    cancelled.expect("it is cancelled");
    let mut consumer = consume(&channel, &queue).await;
    publish(&other, &queue, 1).await;
    assert_eq!(seen(&next(&mut consumer).await), (0, false));
    drop(consumer);
    channel.close(200, "".into()).await.expect("it closes");
    assert!(
        !first
            .ack(BasicAckOptions::default())
            .await
            .expect("no error")
    );
    let mut consumer = consume(&other, &queue).await;
    for number in [0, 2, 3, 4, 0] {
        assert_eq!(seen(&next(&mut consumer).await), (number, true));
    }
}

#[tokio::test]
async fn the_broker_refuses_what_a_queue_has_no_room_for() {
    let connection = connect().await;
    let channel = confirming(&connection).await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), 2.into());
    arguments.insert(
        "x-overflow".into(),
        lapin::types::AMQPValue::LongString("reject-publish".into()),
    );
    let queue = queue(&channel, arguments).await;
    let mut answers = Vec::new();
    for number in 0..5 {
        let payload = [number];
        let published = channel.basic_publish(
            "".into(),
            queue.clone(),
            BasicPublishOptions::default(),
            &payload,
            BasicProperties::default(),
        );
        let confirm = published.await.expect("a confirm");
        answers.push(confirm.await.expect("an answer").is_ack());
    }
    assert_eq!(answers, [true, true, false, false, false]);
    assert_eq!(ready(&channel, &queue).await, 2);
}

#[tokio::test]
async fn an_exchange_that_is_not_there_costs_the_channel_and_all_that_is_on_its_way() {
    let connection = connect().await;
    let channel = confirming(&connection).await;
    let mut confirms = Vec::new();
    for exchange in ["", "lapin-test-exchange-that-does-not-exist", ""] {
        let published = channel.basic_publish(
            exchange.into(),
            "nowhere".into(),
            BasicPublishOptions::default(),
            b"payload",
            BasicProperties::default(),
        );
        confirms.push(published.await.expect("a confirm"));
    }
    let mut answers = Vec::new();
    for confirm in confirms {
        answers.push(
            tokio::time::timeout(LIMIT, confirm)
                .await
                .expect("an answer"),
        );
    }
    assert!(is_not_found(&answers[1]), "{answers:?}");
    assert!(is_not_found(&answers[2]), "{answers:?}");
    let published = channel.basic_publish(
        "".into(),
        "nowhere".into(),
        BasicPublishOptions::default(),
        b"payload",
        BasicProperties::default(),
    );
    let error = published.await.map(drop).expect_err("an error");
    assert!(
        matches!(error.kind(), ErrorKind::InvalidChannelState(..)),
        "{error:?}"
    );
    assert!(connection.status().connected());
}

fn is_not_found(answer: &Result<Confirmation, Error>) -> bool {
    answer.as_ref().is_err_and(|error| {
        matches!(
            error.kind(),
            ErrorKind::ProtocolError(error)
                if *error.kind() == AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND)
        )
    })
}

#[tokio::test]
async fn nothing_is_published_or_consumed_on_a_connection_that_is_closed() {
    let connection = connect().await;
    let channel = confirming(&connection).await;
    let queue = queue(&channel, FieldTable::default()).await;
    let mut consumer = consume(&channel, &queue).await;
    connection.close(200, "".into()).await.expect("it closes");
    let published = channel.basic_publish(
        "".into(),
        queue.clone(),
        BasicPublishOptions::default(),
        b"payload",
        BasicProperties::default(),
    );
    assert!(published.await.is_err());
    let consuming = channel.basic_consume(
        queue,
        "".into(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    assert!(consuming.await.is_err());
    let last = tokio::time::timeout(LIMIT, consumer.next())
        .await
        .expect("in time");
    assert!(last.is_none(), "{last:?}");
}
