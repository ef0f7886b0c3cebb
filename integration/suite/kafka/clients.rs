//! The clients that rdkafka has, each for a run of the scenarios.

use std::iter;
use std::time::{Duration, Instant};

use futures::channel::oneshot;
use otel_messaging::Received;
use otel_messaging::Telemetry;
use otel_messaging::kafka::{self, PartitionQueue, Traceable, Traced};
use rdkafka::client::ClientContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, DefaultConsumerContext, StreamConsumer};
use rdkafka::error::KafkaResult;
use rdkafka::message::{BorrowedMessage, Message as _, OwnedMessage};
use rdkafka::producer::future_producer::Delivery;
use rdkafka::producer::{
    BaseProducer, BaseRecord, DeliveryResult, FutureRecord, Producer, ProducerContext,
    ThreadedProducer,
};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::task::block_in_place;

use super::wire::raw_headers;
use super::{PATIENCE, config, next};
use crate::Message;

/// How long a blocking client waits at a time.
const TURN: Duration = Duration::from_millis(50);

/// A producing and a consuming client of rdkafka, wrapped.
#[expect(
    async_fn_in_trait,
    reason = "scenarios are awaited where they stand, never spawned"
)]
pub trait Clients {
    /// The wrapped producer.
    type Producer;
    /// The wrapped consumer of one topic.
    type Consumer;

    /// Makes a producer.
    fn producer(telemetry: &Telemetry) -> Self::Producer;
    /// Makes a consumer of a topic.
    fn consumer(telemetry: &Telemetry, config: &ClientConfig, topic: &str) -> Self::Consumer;
    /// Sends, and waits for the delivery.
    async fn send(producer: &Self::Producer, topic: &str, message: &Message) -> Delivery;
    /// Receives the next message.
    async fn receive(consumer: &Self::Consumer) -> Received<OwnedMessage>;
}

/// `FutureProducer` and `StreamConsumer`.
#[derive(Debug)]
pub struct Futures;

impl Clients for Futures {
    type Producer = kafka::Producer;
    type Consumer = kafka::Consumer;

    fn producer(telemetry: &Telemetry) -> Self::Producer {
        super::producer(telemetry)
    }

    fn consumer(telemetry: &Telemetry, config: &ClientConfig, topic: &str) -> Self::Consumer {
        let consumer: StreamConsumer = config.create().expect("a consumer");
        let consumer = kafka::Consumer::wrap(telemetry, consumer);
        consumer.subscribe(&[topic]).expect("a subscription");
        consumer
    }

    async fn send(producer: &Self::Producer, topic: &str, message: &Message) -> Delivery {
        producer
            .send(future_record(topic, message), PATIENCE)
            .await
            .map_err(|(error, _)| error)
            .expect("a delivery")
    }

    async fn receive(consumer: &Self::Consumer) -> Received<OwnedMessage> {
        next(consumer).await.detach()
    }
}

/// A message for a `FutureProducer`.
pub(crate) fn future_record<'a>(
    topic: &'a str,
    message: &'a Message,
) -> FutureRecord<'a, String, Vec<u8>> {
    let mut record = FutureRecord::to(topic)
        .key(&message.key)
        .payload(&message.payload);
    record.headers = raw_headers(&message.headers);
    record
}

/// A user's own context, whose opaque takes the delivery report.
#[derive(Clone, Copy, Debug)]
pub struct Reports;

type Report = oneshot::Sender<KafkaResult<Delivery>>;

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Report>;

    fn delivery(&self, result: &DeliveryResult<'_>, report: Box<Report>) {
        let report = report.send(match result {
            Ok(message) => Ok(Delivery {
                partition: message.partition(),
                offset: message.offset(),
                timestamp: message.timestamp(),
            }),
            Err((error, _)) => Err(error.clone()),
        });
        report.expect("the sender waits");
    }
}

/// A producer that reports deliveries to a callback. It knows its cluster's id, which it would learn
/// with its first record otherwise.
fn reporting<P>(telemetry: &Telemetry) -> kafka::Producer<P>
where
    P: FromClientConfigAndContext<Traced<Reports>> + Producer<Traced<Reports>> + Traceable,
{
    let client: P = config()
        // Those who send one record after the other wait for each.
        .set("linger.ms", "0")
        .create_with_context(Traced::new(Reports))
        .expect("a producer");
    client
        .client()
        .fetch_cluster_id(PATIENCE)
        .expect("the cluster's id");
    kafka::Producer::wrap(telemetry, client)
}

fn record<'a>(
    topic: &'a str,
    message: &'a Message,
    report: Report,
) -> BaseRecord<'a, str, Vec<u8>, Box<Report>> {
    let mut record = BaseRecord::with_opaque_to(topic, Box::new(report))
        .key(message.key.as_str())
        .payload(&message.payload);
    record.headers = raw_headers(&message.headers);
    record
}

/// Waits as long as `poll` gives nothing.
fn patiently<T>(mut poll: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    let turns = iter::repeat_with(&mut poll).take_while(|_| started.elapsed() < PATIENCE);
    block_in_place(|| turns.flatten().next()).expect("something in time")
}

/// `ThreadedProducer` and `BaseConsumer`.
#[derive(Debug)]
pub struct Callbacks;

impl Clients for Callbacks {
    type Producer = kafka::Producer<ThreadedProducer<Traced<Reports>>>;
    type Consumer = kafka::Consumer<BaseConsumer>;

    fn producer(telemetry: &Telemetry) -> Self::Producer {
        reporting(telemetry)
    }

    fn consumer(telemetry: &Telemetry, config: &ClientConfig, topic: &str) -> Self::Consumer {
        let consumer: BaseConsumer = config.create().expect("a consumer");
        let consumer = kafka::Consumer::wrap(telemetry, consumer);
        consumer.subscribe(&[topic]).expect("a subscription");
        consumer
    }

    async fn send(producer: &Self::Producer, topic: &str, message: &Message) -> Delivery {
        let (report, delivery) = oneshot::channel();
        producer
            .send(record(topic, message, report))
            .map_err(|(error, _)| error)
            .expect("a place in the queue");
        delivery.await.expect("a report").expect("a delivery")
    }

    async fn receive(consumer: &Self::Consumer) -> Received<OwnedMessage> {
        let polled = patiently(|| consumer.poll(TURN).map(detached));
        polled.expect("a message")
    }
}

fn detached(
    polled: KafkaResult<Received<BorrowedMessage<'_>>>,
) -> KafkaResult<Received<OwnedMessage>> {
    polled.map(|message| message.detach())
}

/// `BaseProducer`, and a `BaseConsumer` whose partition has a queue of its own.
#[derive(Debug)]
pub struct Queues;

impl Clients for Queues {
    type Producer = kafka::Producer<BaseProducer<Traced<Reports>>>;
    type Consumer = (
        kafka::Consumer<BaseConsumer>,
        PartitionQueue<DefaultConsumerContext>,
    );

    fn producer(telemetry: &Telemetry) -> Self::Producer {
        reporting(telemetry)
    }

    fn consumer(telemetry: &Telemetry, config: &ClientConfig, topic: &str) -> Self::Consumer {
        let consumer: BaseConsumer = config.create().expect("a consumer");
        let consumer = kafka::Consumer::wrap(telemetry, consumer);
        let mut partition = TopicPartitionList::new();
        partition
            .add_partition_offset(topic, 0, Offset::Offset(0))
            .expect("an offset");
        consumer.assign(&partition).expect("an assignment");
        let queue = consumer.split_partition_queue(topic, 0).expect("a queue");
        (consumer, queue)
    }

    async fn send(producer: &Self::Producer, topic: &str, message: &Message) -> Delivery {
        let (report, mut delivery) = oneshot::channel();
        producer
            .send(record(topic, message, report))
            .map_err(|(error, _)| error)
            .expect("a place in the queue");
        let delivered = patiently(|| {
            // It always takes all the time that it is given.
            producer.poll(Duration::from_millis(1));
            delivery.try_recv().expect("a report")
        });
        delivered.expect("a delivery")
    }

    async fn receive((consumer, queue): &Self::Consumer) -> Received<OwnedMessage> {
        let polled = patiently(|| {
            assert!(
                consumer.poll(Duration::ZERO).is_none(),
                "all comes by the queue"
            );
            queue.poll(TURN).map(detached)
        });
        polled.expect("a message")
    }
}
