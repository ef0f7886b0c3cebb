//! That of JetStream: nothing is acknowledged before it is done with.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::{self, Message, stream::Config};
use examples::nats::concurrent::consume;
use integration::{nats, unique};
use otel_messaging::Received;
use otel_messaging::nats::jetstream::{Consumer, Producer};
use otel_messaging::testing::Recorder;
use tokio::time::{sleep, timeout};

use super::{A_WHILE, Gate, PATIENCE, failed, processed_in_traces, until_processed};

/// A stream of one subject, and its consumer.
struct Shop {
    recorder: Recorder,
    orders: String,
    producer: Producer,
    consumer: Consumer<pull::Config>,
}

impl Shop {
    async fn open() -> Self {
        let recorder = Recorder::new();
        let telemetry = recorder.telemetry();
        let context = jetstream::new(nats::client().await);
        let orders = unique("orders");
        let config = Config {
            name: unique("ORDERS"),
            subjects: vec![orders.clone()],
            ..Config::default()
        };
        let stream = nats::stream_of(&context, config).await;
        let config = pull::Config {
            durable_name: Some("billing".to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: Duration::from_secs(2),
            ..pull::Config::default()
        };
        let consumer = stream.create_consumer(config).await.expect("a consumer");
        Self {
            producer: Producer::wrap(&telemetry, context),
            consumer: Consumer::wrap(&telemetry, consumer),
            orders,
            recorder,
        }
    }

    async fn publish(&self, orders: &[&'static str]) {
        for order in orders {
            let published = self.producer.publish(self.orders.clone(), (*order).into());
            let acknowledged = published.await.expect("a publish");
            acknowledged.await.expect("an acknowledgement");
        }
    }

    async fn consume(&self, limit: usize, gate: &Gate, stop: impl Future<Output = ()>) {
        let messages = self.consumer.messages().await.expect("messages");
        let gate = gate.clone();
        let handle = move |order: Arc<Received<Message>>| {
            let gate = gate.clone();
            async move { gate.pass(&order.payload).await }
        };
        let consumed = consume(messages, limit, stop, handle).await;
        consumed.expect("a consumer that is good");
    }

    /// How many the server waits for to be acknowledged, or has not delivered yet.
    async fn left(&self) -> (usize, u64) {
        let mut consumer = self.consumer.inner().clone();
        let info = consumer.info().await.expect("an answer");
        (info.num_ack_pending, info.num_pending)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_of_jetstream_keeps_to_its_limit_tries_again_and_ends_with_what_is_in_flight() {
    let (shop, gate) = (Shop::open().await, Gate::new());
    shop.publish(&["bad", "1", "2"]).await;
    let (stop, stopped) = tokio::sync::oneshot::channel();

    let check = async {
        gate.started(2).await;
        sleep(A_WHILE).await;
        assert_eq!(gate.started(2).await, ["1", "bad"]);
        gate.call(&["bad"]);
        gate.started(3).await;
        // It comes again half a second later, where there is room for it.
        gate.call(&["1"]);
        gate.until(|state| state.ended == ["bad", "1", "bad"]).await;
        stop.send(()).expect("it waits");
        sleep(A_WHILE).await;
        gate.call(&["2"]);
    };
    let stopped = async { stopped.await.expect("a request to stop") };
    let both = async { tokio::join!(shop.consume(2, &gate, stopped), check) };
    timeout(PATIENCE, both).await.expect("an end");

    let state = gate.until(|_| true).await;
    assert_eq!(state.most_at_a_time, 2);
    assert!(state.ended.starts_with(&["1".to_owned(), "2".to_owned()]));
    let tries = failed(&shop.recorder);
    assert!(tries >= 2, "{tries}");
    let in_traces = processed_in_traces(&shop.recorder, "publish ");
    assert_eq!(in_traces, [1, 1, tries]);
    assert_eq!(shop.left().await, (1, 0), "what fails is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_of_jetstream_loses_nothing_when_it_is_dropped() {
    let (shop, gate) = (Shop::open().await, Gate::new());
    shop.publish(&["0", "1", "2"]).await;

    let check = async {
        gate.started(3).await;
        gate.call(&["1"]);
        gate.ended(1).await;
        while shop.left().await != (2, 0) {
            sleep(A_WHILE / 10).await;
        }
    };
    tokio::select! {
        () = shop.consume(3, &gate, std::future::pending()) => unreachable!("nobody stops it"),
        () = check => {}
    }

    until_processed(&shop.recorder, 3).await;
    assert_eq!(failed(&shop.recorder), 2, "cancelled");
    let (next, (stop, stopped)) = (Gate::new(), tokio::sync::oneshot::channel());
    next.call(&["0", "2"]);
    let check = async {
        assert_eq!(next.ended(2).await, ["0", "2"]);
        stop.send(()).expect("it waits");
    };
    let stopped = async { stopped.await.expect("a request to stop") };
    tokio::join!(shop.consume(3, &next, stopped), check);
    assert_eq!(shop.left().await, (0, 0));
}
