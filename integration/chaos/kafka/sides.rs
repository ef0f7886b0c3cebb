//! rdkafka's producer and consumer, bare and wrapped.

use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join_all;
use integration::drops::Counted;
use integration::unique;
use otel_messaging::{Received, kafka};
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::producer::future_producer::OwnedDeliveryResult;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, TopicPartitionList};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::load::{LINGER, Ledger, PATIENCE, Sent, Side};

/// What the names of all topics begin with.
pub(crate) const PREFIX: &str = "orders-";

/// The bare clients.
pub(crate) struct Bare {
    topic: String,
    producer: FutureProducer,
    consumer: StreamConsumer,
}

/// The wrapped ones.
pub(crate) struct Wrapped {
    topic: String,
    producer: kafka::Producer,
    consumer: kafka::Consumer,
}

/// Clients of these servers, for what is to be received.
pub(crate) fn config(servers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", servers)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", "50")
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("linger.ms", "2")
        .set("message.timeout.ms", "20000")
        .set("reconnect.backoff.ms", "10")
        .set("reconnect.backoff.max.ms", "200")
        .set("retry.backoff.ms", "20")
        .set("topic.metadata.refresh.fast.interval.ms", "50")
        .set("topic.metadata.propagation.max.ms", "500")
        // What is logged is what is done to it.
        .set("log_level", "0");
    config
}

fn consumer(config: &ClientConfig, topic: &str) -> StreamConsumer {
    let mut config = config.clone();
    config.set("group.id", group(topic));
    let consumer: StreamConsumer = config.create().expect("a consumer");
    consumer.subscribe(&[topic]).expect("a subscription");
    consumer
}

/// The group of all that consume a topic.
fn group(topic: &str) -> String {
    format!("{topic}-billing")
}

impl Bare {
    /// Clients for a topic of theirs.
    pub(crate) fn new(config: &ClientConfig, topic: &str) -> Self {
        Self {
            topic: topic.to_owned(),
            producer: config.create().expect("a producer"),
            consumer: consumer(config, topic),
        }
    }
}

impl Wrapped {
    /// Clients for a topic of theirs.
    pub(crate) fn new(counted: &Counted, config: &ClientConfig, topic: &str) -> Self {
        let telemetry = counted.recorder.telemetry();
        let producer: FutureProducer = config.create().expect("a producer");
        Self {
            topic: topic.to_owned(),
            producer: kafka::Producer::wrap(&telemetry, producer),
            consumer: kafka::Consumer::wrap(&telemetry, consumer(config, topic)),
        }
    }
}

/// Joins the group, has partitions of it for a moment, takes what comes, commits nothing, and leaves.
pub(crate) async fn join_for(
    stay: Duration,
    counted: Option<&Counted>,
    config: &ClientConfig,
    topic: &str,
) {
    let consumer = consumer(config, topic);
    let wrapped = counted.map(|counted| counted.recorder.telemetry());
    // Whatever it hears of, a message or an error, is of no interest. It blocks when it is dropped.
    let dropped = match wrapped {
        None => {
            let hears = async || drop(consumer.recv().await);
            stay_for(stay, || consumer.assignment(), hears).await;
            spawn_blocking(move || drop(consumer))
        }
        Some(telemetry) => {
            let consumer = kafka::Consumer::wrap(&telemetry, consumer);
            let hears = async || drop(consumer.recv().await);
            stay_for(stay, || consumer.assignment(), hears).await;
            spawn_blocking(move || drop(consumer))
        }
    };
    dropped.await.expect("it does not panic");
}

/// Hears what comes until it has partitions, and so long after that.
async fn stay_for(
    stay: Duration,
    has: impl Fn() -> KafkaResult<TopicPartitionList>,
    hears: impl AsyncFn(),
) {
    let has_none = || !has().is_ok_and(|partitions| partitions.count() > 0);
    let joins = async {
        while has_none() {
            // What it hears of that may be no message.
            let _ = timeout(LINGER, hears()).await;
        }
    };
    let joined = timeout(2 * PATIENCE, joins).await;
    joined.expect("partitions, of a group that has no more members");
    let stays = async {
        loop {
            hears().await;
        }
    };
    let _: Result<(), _> = timeout(stay, stays).await;
}

fn kind(error: &KafkaError) -> String {
    error
        .rdkafka_error_code()
        .map_or_else(|| error.to_string(), |code| format!("{code:?}"))
}

fn record<'a>(topic: &'a str, body: &'a [u8]) -> FutureRecord<'a, [u8], [u8]> {
    FutureRecord::to(topic).payload(body)
}

fn sent(delivered: OwnedDeliveryResult) -> Sent {
    delivered.map(drop).map_err(|(error, _)| kind(&error))
}

impl Side for Bare {
    async fn send(&self, bodies: &[Vec<u8>]) -> Result<Vec<Sent>, String> {
        let records = bodies.iter().map(|body| record(&self.topic, body));
        let sending = records.map(|record| self.producer.send(record, PATIENCE));
        Ok(join_all(sending).await.into_iter().map(sent).collect())
    }

    async fn consume(&self, ledger: &Ledger) {
        let mut stream = self.consumer.stream();
        loop {
            let next = tokio::select! {
                biased;
                () = ledger.finished() => return,
                next = stream.next() => next,
            };
            let (messages, end) = ledger.together(next, &mut stream).await;
            if let Some(last) = messages.last() {
                let bodies = messages.iter().map(|one| one.payload());
                let bodies: Vec<_> = bodies.map(Option::unwrap_or_default).collect();
                ledger.handle(&bodies).await;
                let commit = async { self.consumer.commit_message(last, CommitMode::Async) };
                ledger.settle(kind, commit).await;
            }
            if let Some(Some(error)) = end {
                ledger.error(format!("receive {}", kind(&error)));
            }
        }
    }
}

impl Side for Wrapped {
    async fn send(&self, bodies: &[Vec<u8>]) -> Result<Vec<Sent>, String> {
        let mut records = bodies.iter().map(|body| record(&self.topic, body));
        if bodies.len() > 1 {
            let delivered = self.producer.send_batch(records, PATIENCE).await;
            return Ok(delivered.into_iter().map(sent).collect());
        }
        let record = records.next().expect("a record");
        Ok(vec![sent(self.producer.send(record, PATIENCE).await)])
    }

    async fn consume(&self, ledger: &Ledger) {
        if ledger.plan.together > 1 {
            return self.consume_batches(ledger).await;
        }
        loop {
            let next = tokio::select! {
                biased;
                () = ledger.finished() => return,
                next = self.consumer.recv() => next,
            };
            match next {
                Ok(message) => {
                    ledger.operation("process", 1);
                    let handle = async |message: &Received<BorrowedMessage<'_>>| {
                        ledger
                            .handle(&[message.payload().unwrap_or_default()])
                            .await;
                    };
                    message.process(handle).await;
                    let commit =
                        async { self.consumer.commit_message(&message, CommitMode::Async) };
                    ledger.settle(kind, commit).await;
                }
                Err(error) => ledger.error(format!("receive {}", kind(&error))),
            }
        }
    }
}

impl Wrapped {
    async fn consume_batches(&self, ledger: &Ledger) {
        let mut batches = self.consumer.batches(ledger.plan.together, LINGER);
        loop {
            let next = tokio::select! {
                biased;
                () = ledger.finished() => return,
                next = batches.recv() => next,
            };
            ledger.operation("receive", 1);
            match next {
                Ok(batch) => {
                    ledger.operation("process", 1);
                    batch
                        .process(async |messages| {
                            let bodies = messages.iter().map(|one| one.payload());
                            let bodies: Vec<_> = bodies.map(Option::unwrap_or_default).collect();
                            ledger.handle(&bodies).await;
                        })
                        .await;
                    let last = batch.last().expect("no batch is empty");
                    let commit = async { self.consumer.commit_message(last, CommitMode::Async) };
                    ledger.settle(kind, commit).await;
                }
                Err(error) => ledger.error(format!("receive {}", kind(&error))),
            }
        }
    }
}

/// A name that no other topic has.
pub(crate) fn topic_of(side: &str) -> String {
    unique(&format!("{PREFIX}{side}"))
}
