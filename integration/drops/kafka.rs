//! rdkafka's futures, on the mock cluster in this process.
#![expect(clippy::result_large_err, reason = "the client's own result types")]

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use integration::drops::{Api, Counted, Sends, Trials, assert_same_fates};
use integration::kafka::{PATIENCE, flush};
use opentelemetry::Context;
use otel_messaging::kafka::{self, TestCluster};
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::{Message as _, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};

use crate::given_up::{self, BARE, Told, at_every_poll, by, dropped_in_vain, sent_before};

/// Records that are sent in each way, most of them by futures that are dropped.
fn rounds() -> usize {
    given_up::rounds(500)
}

/// Records of a batch.
const TOGETHER: usize = 3;
/// Records that are received in each way.
fn records() -> i64 {
    i64::try_from(rounds()).expect("some")
}

fn record<'a>(topic: &'a str, payload: &'a str) -> FutureRecord<'a, str, str> {
    FutureRecord::to(topic).payload(payload)
}

fn payload(message: &OwnedMessage) -> &str {
    str::from_utf8(message.payload().unwrap_or_default()).expect("a name")
}

/// What both clients have to send with.
struct Shop {
    cluster: TestCluster,
    counted: Counted,
    client: FutureProducer,
    producer: kafka::Producer,
}

impl Shop {
    fn open() -> Self {
        let cluster = TestCluster::new(["bare", "wrapped"]).expect("a cluster");
        let counted = Counted::new();
        let [client, wrapped] =
            [(); 2].map(|()| -> FutureProducer { cluster.config().create().expect("a producer") });
        Self {
            producer: kafka::Producer::wrap(&counted.telemetry(), wrapped),
            cluster,
            counted,
            client,
        }
    }

    /// Compares what has arrived with what was sent, by calls that each sent so many records.
    fn assert_same(&self, sends: Sends, records: u64, trials: &[Trials; 2]) {
        flush(self.client.client());
        flush(self.producer.inner().client());
        let arrived = ["bare", "wrapped"].map(|topic| self.cluster.sent(topic).expect("them"));
        let fates = [0, 1].map(|at| trials[at].fates(arrived[at].iter().map(payload)));
        assert_same_fates(sends.api, &fates[0], &fates[1]);
        assert!(fates[1].len() >= 3, "it was dropped: {fates:?}");
        assert_eq!(self.counted.sent(), arrived[1].len() as u64);
        assert_eq!(self.counted.operations() * records, self.counted.sent());
    }

    /// Those of a batch, by the bare client, which has no call for them.
    async fn send_together(&self, name: String) {
        let queued = (0..TOGETHER).map(|_| self.client.send_result(record("bare", &name)));
        let queued: Vec<_> = queued
            .map(|queued| queued.map_err(|(error, _)| error))
            .collect();
        for delivery in queued {
            let report = delivery.expect("room").await.expect("a report");
            report.map_err(|(error, _)| error).expect("a delivery");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_dropped_is_sent_as_by_the_bare_client() {
    let _told = Told::at_the_end();
    let shop = Shop::open();
    let sends = Sends {
        api: Api("kafka::Producer<rdkafka::producer::future_producer::FutureProducer<C, R>>::send"),
        spans: 1,
        by_the_call: false,
        rounds: rounds(),
    };

    let bare = async |name: String| {
        let sent = shop.client.send(record("bare", &name), PATIENCE).await;
        sent.map_err(|(error, _)| error).expect("a delivery");
    };
    let wrapped = async |name: String| {
        let sent = shop.producer.send(record("wrapped", &name), PATIENCE).await;
        sent.map_err(|(error, _)| error).expect("a delivery");
    };
    let trials = by(sends, &shop.counted, bare, wrapped).await;

    shop.assert_same(sends, 1, &trials);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_whose_report_is_dropped_is_sent_as_by_the_bare_client() {
    let _told = Told::at_the_end();
    let shop = Shop::open();
    let sends = Sends {
        api: Api("kafka::DeliveryFuture"),
        spans: 1,
        by_the_call: true,
        rounds: rounds(),
    };

    let bare = |name: String| {
        let queued = shop.client.send_result(record("bare", &name));
        queued.map_err(|(error, _)| error).expect("room")
    };
    let wrapped = |name: String| {
        let queued = shop.producer.send_result(record("wrapped", &name));
        queued.map_err(|(error, _)| error).expect("room")
    };
    let trials = by(sends, &shop.counted, bare, wrapped).await;

    shop.assert_same(sends, 1, &trials);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_a_batch_that_is_dropped_are_sent_as_by_the_bare_client() {
    let _told = Told::at_the_end();
    let shop = Shop::open();
    let sends = Sends {
        api: Api(
            "kafka::Producer<rdkafka::producer::future_producer::FutureProducer<C, R>>::send_batch",
        ),
        spans: 1 + TOGETHER,
        by_the_call: false,
        rounds: rounds() / 4,
    };

    let wrapped = async |name: String| {
        let records = (0..TOGETHER).map(|_| record("wrapped", &name));
        for sent in shop.producer.send_batch(records, PATIENCE).await {
            sent.map_err(|(error, _)| error).expect("a delivery");
        }
    };
    let trials = by(
        sends,
        &shop.counted,
        async |name| shop.send_together(name).await,
        wrapped,
    )
    .await;

    shop.assert_same(sends, TOGETHER as u64, &trials);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_with_contexts_that_are_dropped_are_sent_as_by_the_bare_client() {
    let _told = Told::at_the_end();
    let shop = Shop::open();
    let sends = Sends {
        api: Api(
            "kafka::Producer<rdkafka::producer::future_producer::FutureProducer<C, R>>::send_batch_with_contexts",
        ),
        spans: 1 + TOGETHER,
        by_the_call: false,
        rounds: rounds() / 4,
    };

    let wrapped = async |name: String| {
        let records = (0..TOGETHER).map(|_| (Context::new(), record("wrapped", &name)));
        for sent in shop
            .producer
            .send_batch_with_contexts(records, PATIENCE)
            .await
        {
            sent.map_err(|(error, _)| error).expect("a delivery");
        }
    };
    let trials = by(
        sends,
        &shop.counted,
        async |name| shop.send_together(name).await,
        wrapped,
    )
    .await;

    shop.assert_same(sends, TOGETHER as u64, &trials);
}

/// Consumers of a topic of which a record is sent just before each is asked for.
struct Received {
    shop: Shop,
}

impl Received {
    fn open() -> Self {
        Self { shop: Shop::open() }
    }

    fn consumer(&self) -> StreamConsumer {
        let mut config = self.shop.cluster.config();
        config
            .set("group.id", "billing")
            .set("fetch.wait.max.ms", "10")
            .set("enable.auto.commit", "false");
        let consumer: StreamConsumer = config.create().expect("a consumer");
        let mut partition = TopicPartitionList::new();
        let added = partition.add_partition_offset("bare", 0, Offset::Offset(0));
        added.expect("an offset");
        consumer.assign(&partition).expect("an assignment");
        consumer
    }

    fn send(&self, records: usize) {
        for _ in 0..records {
            let queued = self.shop.client.send_result(record("bare", ""));
            drop(queued.map_err(|(error, _)| error).expect("room"));
        }
    }

    /// Receives all, of calls that are given so many before each, and have as many spans each as there are in `spans`.
    /// No record is left out or comes twice.
    async fn all(
        &self,
        api: Api,
        together: usize,
        spans: Option<usize>,
        mut receive: impl AsyncFnMut() -> Vec<i64>,
    ) {
        let mut next = 0;
        dropped_in_vain(api, receive()).await;
        for round in 0..rounds() {
            self.send(sent_before(together, round));
            let offsets = at_every_poll(
                api,
                async |_| receive().await,
                |_, done| {
                    let Some(spans) = spans else { return };
                    self.shop.counted.assert_unset(if done { spans } else { 0 });
                },
            )
            .await;
            for offset in offsets {
                assert_eq!(offset, next, "{api:?}");
                next += 1;
            }
        }
        assert!(next >= records());
        if spans.is_some() {
            assert_eq!(
                self.shop.counted.consumed(),
                u64::try_from(next).expect("a few")
            );
        }
    }
}

/// By the bare client first: it does not lose what a wait that is dropped was about.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_record_is_lost_where_the_wait_for_it_is_dropped() {
    let _told = Told::at_the_end();
    let received = Received::open();
    let client = received.consumer();
    let bare = async || vec![client.recv().await.expect("a record").offset()];
    received.all(BARE, 1, None, bare).await;

    let received = Received::open();
    let consumer = kafka::Consumer::wrap(&received.shop.counted.telemetry(), received.consumer());
    let api =
        Api("kafka::Consumer<rdkafka::consumer::stream_consumer::StreamConsumer<X, R>>::recv");
    let wrapped = async || vec![consumer.recv().await.expect("a record").offset()];
    received.all(api, 1, Some(1), wrapped).await;

    let [bare, wrapped] = [&client, consumer.inner()].map(|consumer| consumer.position());
    assert_eq!(wrapped.expect("a position"), bare.expect("a position"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_loses_no_record_where_the_wait_for_it_is_dropped() {
    let _told = Told::at_the_end();
    let received = Received::open();
    let consumer = kafka::Consumer::wrap(&received.shop.counted.telemetry(), received.consumer());
    let mut stream = consumer.stream();
    let next = async || {
        let record = stream.next().await.expect("no end");
        vec![record.expect("a record").offset()]
    };
    received
        .all(Api("kafka::MessageStream<'a, X>"), 1, Some(1), next)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_of_a_partition_loses_no_record_where_the_wait_for_it_is_dropped() {
    let _told = Told::at_the_end();
    let received = Received::open();
    let consumer = kafka::Consumer::wrap(&received.shop.counted.telemetry(), received.consumer());
    let consumer = Arc::new(consumer);
    let queue = consumer.split_partition_queue("bare", 0).expect("a queue");
    let _served = tokio::spawn(async move { drop(consumer.recv().await) });
    let api = Api("kafka::StreamPartitionQueue<X, R>::recv");
    let wrapped = async || vec![queue.recv().await.expect("a record").offset()];
    received.all(api, 1, Some(1), wrapped).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_lose_no_record_where_the_wait_for_one_is_dropped() {
    let _told = Told::at_the_end();
    let received = Received::open();
    let consumer = kafka::Consumer::wrap(&received.shop.counted.telemetry(), received.consumer());
    let mut batches = consumer.batches(TOGETHER, Duration::from_millis(1));
    let api = Api(
        "Batches<kafka::MessageStream<'a, X>, rdkafka::message::BorrowedMessage<'a>, rdkafka::error::KafkaError>::recv",
    );
    let next = async || {
        let batch = batches.recv().await.expect("a batch");
        batch.iter().map(|one| one.offset()).collect()
    };
    received.all(api, TOGETHER, Some(1), next).await;

    let received = Received::open();
    let consumer = kafka::Consumer::wrap(&received.shop.counted.telemetry(), received.consumer());
    let mut batches = consumer.batches(TOGETHER, Duration::from_millis(1));
    let next = async || {
        let batch = batches.next().await.expect("no end").expect("a batch");
        batch.iter().map(|one| one.offset()).collect()
    };
    received
        .all(Api("Batches<S, M, E>"), TOGETHER, Some(1), next)
        .await;
}
