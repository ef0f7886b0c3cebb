//! That of Kafka: nothing is committed before it is done with, and all before it.

use std::sync::{Arc, Mutex};

use anyhow::Result;
use examples::kafka::concurrent::{InFlight, consume};
use futures::future::BoxFuture;
use integration::{kafka, unique};
use opentelemetry::trace::{Status, TraceContextExt as _};
use otel_messaging::Received;
use otel_messaging::testing::Recorder;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::{Message as _, OwnedMessage};
use rdkafka::producer::FutureRecord;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{A_WHILE, Gate, PATIENCE, failed, processed, until_processed};

type Order = Arc<Received<OwnedMessage>>;

type Consumer = otel_messaging::kafka::Consumer<StreamConsumer<InFlight>>;

/// A topic, and a group that consumes it.
struct Shop {
    recorder: Recorder,
    orders: String,
    dead_letters: String,
    group: String,
    producer: otel_messaging::kafka::Producer,
}

impl Shop {
    async fn open(partitions: i32) -> Self {
        let recorder = Recorder::new();
        Self {
            orders: kafka::topic_of("orders", partitions).await,
            dead_letters: kafka::topic("dead-letters").await,
            group: unique("group"),
            producer: kafka::producer(&recorder.telemetry()),
            recorder,
        }
    }

    async fn send(&self, partition: i32, orders: &[&str]) {
        for order in orders {
            let record = FutureRecord::to(&self.orders).key("7").payload(*order);
            let sent = self.producer.send(record.partition(partition), PATIENCE);
            sent.await.expect("a delivery");
        }
    }

    fn consumer(&self) -> Consumer {
        let mut config = kafka::config();
        config.set("group.id", &self.group);
        let client = config.create_with_context(InFlight::default());
        let client: StreamConsumer<InFlight> = client.expect("a consumer");
        let consumer = Consumer::wrap(&self.recorder.telemetry(), client);
        consumer.subscribe(&[&self.orders]).expect("a subscription");
        consumer
    }

    /// The loop, with what it has handled.
    async fn consume(&self, consumer: &Consumer, limit: usize, worker: &Worker) {
        let consumed = consume(
            consumer,
            &self.producer,
            &self.dead_letters,
            limit,
            worker.stopped(),
            worker.handler(),
        );
        consumed.await.expect("no fatal error");
    }

    /// What the group has committed of a partition.
    fn committed(&self, partition: i32) -> Option<i64> {
        let client = kafka::config().set("group.id", &self.group).create();
        let client: StreamConsumer = client.expect("a consumer");
        let mut asked = TopicPartitionList::new();
        asked.add_partition(&self.orders, partition);
        let offsets = client.committed_offsets(asked, PATIENCE);
        let offset = offsets.expect("an answer").elements().first()?.offset();
        offset.to_raw().filter(|offset| *offset >= 0)
    }

    async fn until_committed(&self, partition: i32, offset: i64) {
        let committing = async {
            while self.committed(partition) != Some(offset) {
                sleep(A_WHILE / 10).await;
            }
        };
        timeout(PATIENCE, committing).await.expect("a commit");
    }

    /// The one span of processing each message, whole and in its trace.
    fn assert_processed(&self, worker: &Worker, error: Option<&str>) {
        for order in worker.orders.lock().expect("a list").iter() {
            let creation = order.creation_context().span().span_context().clone();
            let processed = processed(&self.recorder, &creation);
            let [processed] = &processed[..] else {
                unreachable!("one span: {processed:?}")
            };
            let mut expected = kafka::process_span(&**order, &self.group)
                .child_of(&creation)
                .link(&creation);
            if let Some(error) = error.filter(|_| processed.status != Status::Unset) {
                expected = expected.error(error.to_owned()).description("");
            }
            expected.assert(processed);
        }
    }
}

/// Who runs the loop.
struct Worker {
    gate: Gate,
    stop: watch::Sender<bool>,
    orders: Arc<Mutex<Vec<Order>>>,
}

impl Worker {
    fn new() -> Self {
        Self {
            gate: Gate::new(),
            stop: watch::Sender::default(),
            orders: Arc::default(),
        }
    }

    fn handler(
        &self,
    ) -> impl Fn(Order) -> BoxFuture<'static, Result<()>> + Clone + Send + Sync + use<> {
        let (gate, orders) = (self.gate.clone(), Arc::clone(&self.orders));
        move |order| {
            orders.lock().expect("a list").push(Arc::clone(&order));
            let gate = gate.clone();
            Box::pin(async move { gate.pass(order.payload().unwrap_or_default()).await })
        }
    }

    async fn stopped(&self) {
        let mut stop = self.stop.subscribe();
        let _ = stop.wait_for(|is_asked| *is_asked).await;
    }

    fn stop(&self) {
        self.stop.send_replace(true);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_of_kafka_handles_no_more_than_its_limit_and_commits_in_order() {
    let (shop, worker) = (Shop::open(1).await, Worker::new());
    shop.send(0, &["0", "1", "2", "3", "4", "5"]).await;
    let consumer = shop.consumer();

    let check = async {
        assert_eq!(worker.gate.started(4).await, ["0", "1", "2", "3"]);
        worker.gate.call(&["1", "2"]);
        assert_eq!(worker.gate.ended(2).await, ["1", "2"]);
        worker.gate.started(6).await;
        assert_eq!(shop.committed(0), None, "the first is in flight");
        worker.gate.call(&["0"]);
        shop.until_committed(0, 3).await;
        worker.gate.call(&["3", "4", "5"]);
        shop.until_committed(0, 6).await;
        worker.stop();
    };
    tokio::join!(shop.consume(&consumer, 4, &worker), check);

    let state = worker.gate.until(|_| true).await;
    assert_eq!(state.most_at_a_time, 4);
    shop.assert_processed(&worker, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_of_kafka_commits_nothing_past_a_message_that_fails_until_that_is_sent_on() {
    let (shop, worker) = (Shop::open(1).await, Worker::new());
    shop.send(0, &["bad", "1", "2"]).await;
    let consumer = shop.consumer();

    let check = async {
        worker.gate.call(&["1", "2"]);
        assert_eq!(worker.gate.ended(2).await, ["1", "2"]);
        worker.gate.call(&["bad"]);
        worker.gate.ended(4).await;
        assert_eq!(shop.committed(0), None, "two attempts are left");
        shop.until_committed(0, 3).await;
        worker.stop();
    };
    tokio::join!(shop.consume(&consumer, 3, &worker), check);

    let dead = kafka::read(&shop.dead_letters, 1).await;
    let dead: Vec<_> = dead.iter().map(|one| (one.key(), one.payload())).collect();
    assert_eq!(dead, [(Some(&b"7"[..]), Some(&b"bad"[..]))]);
    assert_eq!(failed(&shop.recorder), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_of_kafka_loses_nothing_and_commits_nothing_unfinished_when_it_is_dropped() {
    let (shop, worker) = (Shop::open(1).await, Worker::new());
    shop.send(0, &["0", "1", "2", "3"]).await;
    let consumer = shop.consumer();

    let check = async {
        worker.gate.started(4).await;
        worker.gate.call(&["0", "2"]);
        assert_eq!(worker.gate.ended(2).await, ["0", "2"]);
        shop.until_committed(0, 1).await;
    };
    tokio::select! {
        () = shop.consume(&consumer, 4, &worker) => unreachable!("nobody stops it"),
        () = check => {}
    }
    drop(consumer);

    assert_eq!(shop.committed(0), Some(1));
    until_processed(&shop.recorder, 4).await;
    shop.assert_processed(&worker, Some("cancelled"));
    assert_eq!(failed(&shop.recorder), 2);

    let (next, consumer) = (Worker::new(), shop.consumer());
    next.gate.call(&["1", "2", "3"]);
    let check = async {
        assert_eq!(next.gate.ended(3).await, ["1", "2", "3"]);
        next.stop();
    };
    tokio::join!(shop.consume(&consumer, 4, &next), check);
    drop(consumer);
    assert_eq!(shop.committed(0), Some(4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_of_kafka_ends_when_all_that_is_in_flight_is_done_with_or_has_failed() {
    let (shop, worker) = (Shop::open(1).await, Worker::new());
    shop.send(0, &["0", "1", "bad", "3", "4"]).await;
    let consumer = shop.consumer();

    let check = async {
        worker.gate.started(4).await;
        worker.stop();
        sleep(A_WHILE).await;
        worker.gate.call(&["0"]);
        shop.until_committed(0, 1).await;
        worker.gate.call(&["1", "bad", "3"]);
    };
    tokio::join!(shop.consume(&consumer, 4, &worker), check);
    drop(consumer);

    let state = worker.gate.until(|_| true).await;
    assert_eq!(state.started, ["0", "1", "3", "bad"], "no more is taken");
    assert_eq!(state.ended, state.started);
    assert_eq!(shop.committed(0), Some(2), "nothing past what has failed");
    assert_eq!(failed(&shop.recorder), 1, "and is tried by the next one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_of_kafka_commits_nothing_of_a_partition_that_has_gone_to_another_consumer() {
    let (shop, first, second) = (Shop::open(2).await, Worker::new(), Worker::new());
    let all = ["0-0", "0-1", "1-0", "1-1"];
    shop.send(0, &["0-0"]).await;
    shop.send(1, &["1-0"]).await;
    let consumer = shop.consumer();

    let check = async {
        first.gate.started(2).await;
        let joining = shop.consumer();
        second.gate.call(&all);
        let taking = async {
            let taken = second.gate.ended(1).await;
            let (gone, order) = match taken == ["1-0"] {
                false => (0, "0-1"),
                true => (1, "1-1"),
            };
            shop.send(gone, &[order]).await;
            shop.until_committed(gone, 2).await;
            first.gate.call(&all);
            shop.until_committed(1 - gone, 1).await;
            first.stop();
            second.stop();
            gone
        };
        tokio::join!(shop.consume(&joining, 4, &second), taking).1
    };
    let ((), gone) = tokio::join!(shop.consume(&consumer, 4, &first), check);
    drop(consumer);

    assert_eq!(shop.committed(gone), Some(2));
    assert_eq!(shop.committed(1 - gone), Some(1));
    assert_eq!(first.gate.ended(2).await, ["0-0", "1-0"]);
}
