//! Kafka, by our wrappers around rdkafka: a real cluster where `KAFKA_BROKERS` names one, else
//! rdkafka's embedded mock cluster.

mod broker;
pub mod clients;
pub mod embedded;
mod spans;
mod wire;

use std::env;
use std::sync::OnceLock;
use std::time::Duration;

use otel_messaging::{Received, Telemetry, kafka};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::bindings;
use rdkafka::client::{Client, ClientContext, DefaultClientContext};
use rdkafka::consumer::{Consumer as _, ConsumerContext, StreamConsumer};
use rdkafka::message::{BorrowedMessage, OwnedMessage};
use rdkafka::producer::{FutureProducer, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

pub use self::broker::Kafka;
pub use self::spans::*;
pub use self::wire::{raw_headers, wire_headers};
use crate::unique;

/// Longest wait for anything that should take milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Client id of every client that [`config`] makes.
pub const CLIENT_ID: &str = "suite";

/// The servers: those of `KAFKA_BROKERS`, else of the embedded mock cluster.
pub fn servers() -> String {
    env::var("KAFKA_BROKERS").unwrap_or_else(|_| embedded::cluster().bootstrap_servers())
}

/// A client's configuration, with a consumer group that nobody else has.
pub fn config() -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", servers())
        .set("client.id", CLIENT_ID)
        .set("group.id", unique("group"))
        // Joining takes a fraction of a second, where the classic protocol waits three.
        .set("group.protocol", "consumer")
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "10");
    config
}

/// Makes a topic of one partition that did not exist.
pub async fn topic(name: &str) -> String {
    topic_of(name, 1).await
}

/// Makes a topic of some partitions that did not exist.
pub async fn topic_of(name: &str, partitions: i32) -> String {
    let name = unique(name);
    if env::var_os("KAFKA_BROKERS").is_none() {
        embedded::cluster()
            .create_topic(&name, partitions, 1)
            .expect("a topic in the embedded mock cluster");
        return name;
    }
    let topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
    let made = admin()
        .create_topics(
            [&topic],
            &AdminOptions::new().operation_timeout(Some(PATIENCE)),
        )
        .await
        .expect("the broker answers");
    assert_eq!(made, [Ok(name.clone())]);
    name
}

/// One for all tests of a process: each takes a tenth of a second to be dropped.
pub fn admin() -> &'static AdminClient<DefaultClientContext> {
    static ADMIN: OnceLock<AdminClient<DefaultClientContext>> = OnceLock::new();
    ADMIN.get_or_init(|| config().create().expect("an admin client"))
}

/// A wrapped consumer of one topic, in a group of its own.
pub fn consumer(telemetry: &Telemetry, topic: &str) -> kafka::Consumer {
    consumer_in(&unique("group"), telemetry, topic)
}

/// A wrapped consumer of one topic, in this group.
pub fn consumer_in(group: &str, telemetry: &Telemetry, topic: &str) -> kafka::Consumer {
    let consumer: StreamConsumer = config()
        .set("group.id", group)
        .create()
        .expect("a consumer");
    let consumer = kafka::Consumer::wrap(telemetry, consumer);
    consumer.subscribe(&[topic]).expect("a subscription");
    consumer
}

/// The next message.
pub async fn next<X: ConsumerContext + 'static>(
    consumer: &kafka::Consumer<StreamConsumer<X>>,
) -> Received<BorrowedMessage<'_>> {
    tokio::time::timeout(PATIENCE, consumer.recv())
        .await
        .expect("a message in time")
        .expect("a message")
}

/// The first messages of a topic of one partition, by a bare client.
pub async fn read(topic: &str, count: usize) -> Vec<OwnedMessage> {
    let consumer: StreamConsumer = config().create().expect("a consumer");
    let mut partition = TopicPartitionList::new();
    // By number: librdkafka asks where the beginning is before it knows the leader, and again half a second later.
    partition
        .add_partition_offset(topic, 0, Offset::Offset(0))
        .expect("an offset");
    consumer.assign(&partition).expect("an assignment");
    let mut messages = Vec::with_capacity(count);
    while messages.len() < count {
        let message = tokio::time::timeout(PATIENCE, consumer.recv())
            .await
            .expect("a message in time")
            .expect("a message");
        messages.push(message.detach());
    }
    messages
}

/// A wrapped producer.
pub fn producer(telemetry: &Telemetry) -> kafka::Producer {
    kafka::Producer::wrap(
        telemetry,
        config().create::<FutureProducer>().expect("a producer"),
    )
}

/// A wrapped producer that knows its cluster, so that each of its spans names it.
pub fn informed_producer(telemetry: &Telemetry, config: &ClientConfig) -> kafka::Producer {
    let client: FutureProducer = config.create().expect("a producer");
    client
        .client()
        .fetch_cluster_id(PATIENCE)
        .expect("the cluster's id");
    kafka::Producer::wrap(telemetry, client)
}

/// Waits until all that a producer has queued is delivered.
///
/// rdkafka's own `flush` has records leave early only for moments, again and again; on a busy machine
/// librdkafka's threads miss these, and what is to linger stays.
#[expect(unsafe_code, reason = "rdkafka never lets librdkafka's flush wait")]
pub fn flush<C: ClientContext>(client: &Client<C>) {
    let patience = i32::try_from(PATIENCE.as_millis()).expect("a short time");
    // SAFETY: the client is alive while it is borrowed.
    let status = unsafe { bindings::rd_kafka_flush(client.native_ptr(), patience) };
    assert_eq!(
        status,
        bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR,
        "the queue is empty in time"
    );
}
