//! That of RabbitMQ: nothing is acknowledged before it is done with.

use std::sync::Arc;

use examples::amqp::concurrent::consume;
use integration::amqp;
use lapin::message::Delivery;
use lapin::options::{BasicPublishOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::{BasicProperties, Channel};
use otel_messaging::Received;
use otel_messaging::testing::Recorder;
use tokio::time::{sleep, timeout};

use super::{A_WHILE, Gate, PATIENCE, failed, processed_in_traces, until_processed};

/// A queue with dead letters.
struct Shop {
    recorder: Recorder,
    channel: Channel,
    orders: ShortString,
    dead_letters: ShortString,
}

impl Shop {
    async fn open() -> Self {
        let channel = amqp::channel().await;
        let dead_letters = amqp::queue(&channel, "dead-letters").await;
        let mut arguments = FieldTable::default();
        for (name, value) in [
            ("x-dead-letter-exchange", ""),
            ("x-dead-letter-routing-key", dead_letters.as_str()),
        ] {
            arguments.insert(name.into(), AMQPValue::LongString(LongString::from(value)));
        }
        Self {
            recorder: Recorder::new(),
            orders: amqp::queue_with(&channel, "orders", arguments).await,
            dead_letters,
            channel,
        }
    }

    async fn publish(&self, orders: &[&str]) {
        let known = amqp::known(&amqp::connection().await);
        let telemetry = self.recorder.telemetry();
        let producer =
            otel_messaging::amqp::Producer::wrap(&telemetry, known, self.channel.clone());
        for order in orders {
            let published = producer.basic_publish(
                "".into(),
                self.orders.clone(),
                BasicPublishOptions::default(),
                order.as_bytes(),
                BasicProperties::default(),
            );
            let confirm = published.await.expect("a publish");
            confirm.await.expect("a confirm");
        }
    }

    /// The loop over a connection of its own, which is closed then.
    async fn consume(&self, limit: u16, gate: &Gate, stop: impl Future<Output = ()>) {
        let connection = amqp::connection().await;
        let channel = amqp::confirming(&connection).await;
        let options = BasicQosOptions::default();
        channel.basic_qos(limit, options).await.expect("a limit");
        let consumer = amqp::consume(&channel, &self.orders).await;
        let known = amqp::known(&connection);
        let telemetry = self.recorder.telemetry();
        let messages = otel_messaging::amqp::Consumer::wrap(&telemetry, known, consumer);
        let gate = gate.clone();
        let handle = move |order: Arc<Received<Delivery>>| {
            let gate = gate.clone();
            async move { gate.pass(&order.data).await }
        };
        let consumed = consume(messages, limit.into(), stop, handle).await;
        consumed.expect("a connection that is good");
        connection.close(200, "".into()).await.expect("an end");
    }

    /// What is left in the queue, but for a message that is marked as the last.
    async fn left(&self) -> Vec<Vec<u8>> {
        self.publish(&["end"]).await;
        let mut consumer = amqp::consume(&self.channel, &self.orders).await;
        let mut left = Vec::new();
        loop {
            let next = amqp::next(&mut consumer).await.data;
            if next == b"end" {
                left.sort();
                return left;
            }
            left.push(next);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_of_rabbitmq_keeps_to_its_limit_tries_again_and_ends_with_what_is_in_flight() {
    let (shop, gate) = (Shop::open().await, Gate::new());
    shop.publish(&["bad", "1", "2", "3"]).await;
    let mut dead = amqp::consume(&shop.channel, &shop.dead_letters).await;
    let (stop, stopped) = tokio::sync::oneshot::channel();

    let check = async {
        gate.started(2).await;
        sleep(A_WHILE).await;
        assert_eq!(gate.started(2).await, ["1", "bad"]);
        gate.call(&["bad"]);
        assert_eq!(amqp::next(&mut dead).await.data, b"bad");
        gate.until(|state| state.ended.len() == 2 && state.started.len() == 4)
            .await;
        stop.send(()).expect("it waits");
        sleep(A_WHILE).await;
        gate.call(&["1", "2"]);
    };
    let stopped = async { stopped.await.expect("a request to stop") };
    let both = async { tokio::join!(shop.consume(2, &gate, stopped), check) };
    timeout(PATIENCE, both).await.expect("an end");

    let state = gate.until(|_| true).await;
    assert_eq!(state.ended, ["1", "2", "bad", "bad"]);
    assert_eq!(state.most_at_a_time, 2);
    assert_eq!(failed(&shop.recorder), 2);
    assert_eq!(processed_in_traces(&shop.recorder, "publish "), [1, 1, 2]);
    assert_eq!(shop.left().await, [b"3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_of_rabbitmq_loses_nothing_when_it_is_dropped() {
    let (shop, gate) = (Shop::open().await, Gate::new());
    shop.publish(&["0", "1", "2"]).await;

    let check = async {
        gate.started(3).await;
        gate.call(&["1"]);
        gate.ended(1).await;
        // It is acknowledged then.
        sleep(A_WHILE).await;
    };
    tokio::select! {
        () = shop.consume(3, &gate, std::future::pending()) => unreachable!("nobody stops it"),
        () = check => {}
    }

    until_processed(&shop.recorder, 3).await;
    assert_eq!(failed(&shop.recorder), 2, "cancelled");
    assert_eq!(shop.left().await, [b"0", b"2"]);
}
