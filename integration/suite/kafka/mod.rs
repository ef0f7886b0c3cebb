//! Kafka, by our wrappers around rdkafka: a real cluster where `KAFKA_BROKERS` names one, else
//! rdkafka's embedded mock cluster.

mod spans;

use std::cell::RefCell;
use std::collections::HashMap;
use std::env;
use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::rc::Rc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use otel_messaging::Telemetry;
use otel_messaging::kafka::{self, Received};
use otel_messaging::testing::ExpectedSpan;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::bindings;
use rdkafka::client::{Client, ClientContext, DefaultClientContext};
use rdkafka::consumer::{Consumer as _, ConsumerContext, StreamConsumer};
use rdkafka::message::{BorrowedMessage, OwnedHeaders, OwnedMessage};
use rdkafka::producer::future_producer::Delivery;
use rdkafka::producer::{FutureProducer, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

pub use self::spans::*;
use crate::clients::{Clients, Futures, future_record};
use crate::{BatchSender, Broker, Header, Message, embedded, unique};

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
    let admin: AdminClient<DefaultClientContext> = config().create().expect("an admin client");
    let topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
    let made = admin
        .create_topics(
            [&topic],
            &AdminOptions::new().operation_timeout(Some(PATIENCE)),
        )
        .await
        .expect("the broker answers");
    assert_eq!(made, [Ok(name.clone())]);
    name
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
    partition
        .add_partition_offset(topic, 0, Offset::Beginning)
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

/// Headers of any bytes, names that are not UTF-8 included, as other clients can send them.
#[expect(unsafe_code, reason = "rdkafka only takes names that are UTF-8")]
pub fn raw_headers(headers: &[Header]) -> Option<OwnedHeaders> {
    if headers.is_empty() {
        return None;
    }
    let list = OwnedHeaders::new();
    let native = ptr::from_ref(list.as_borrowed())
        .cast::<bindings::rd_kafka_headers_t>()
        .cast_mut();
    for (name, value) in headers {
        let (bytes, size) = value.as_ref().map_or((ptr::null(), 0), |value| {
            (value.as_ptr().cast::<c_void>(), value.len())
        });
        // SAFETY: the list is ours alone; names and values are copied before the call returns.
        unsafe {
            bindings::rd_kafka_header_add(
                native,
                name.as_ptr().cast::<c_char>(),
                isize::try_from(name.len()).expect("a short name"),
                bytes,
                isize::try_from(size).expect("a value that fits"),
            );
        }
    }
    Some(list)
}

/// The headers of a message as they are on the wire.
#[expect(unsafe_code, reason = "rdkafka panics on names that are not UTF-8")]
pub fn wire_headers(message: &impl kafka::MessageHeaders) -> Vec<Header> {
    let Some(headers) = message.borrowed_headers() else {
        return Vec::new();
    };
    let native = ptr::from_ref(headers).cast::<bindings::rd_kafka_headers_t>();
    let mut found = Vec::new();
    loop {
        let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the list is borrowed from the message, and the out pointers are to live locals.
        // What they are set to is copied while the list is unchanged.
        unsafe {
            let status = bindings::rd_kafka_header_get_all(
                native,
                found.len(),
                &mut name,
                &mut value,
                &mut size,
            );
            if status != bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return found;
            }
            let name = CStr::from_ptr(name).to_bytes().to_vec();
            let value = (!value.is_null())
                .then(|| std::slice::from_raw_parts(value.cast::<u8>(), size).to_vec());
            found.push((name, value));
        }
    }
}

type ConsumerInGroup<C> = (Rc<<C as Clients>::Consumer>, String);

/// Wrapped Kafka clients.
#[expect(missing_debug_implementations, reason = "not all clients have one")]
pub struct Kafka<C: Clients = Futures> {
    telemetry: Telemetry,
    producer: C::Producer,
    consumers: RefCell<HashMap<String, ConsumerInGroup<C>>>,
}

impl<C: Clients> Kafka<C> {
    fn consumer_of(&self, topic: &str) -> ConsumerInGroup<C> {
        let consumers = self.consumers.borrow();
        let (consumer, group) = consumers.get(topic).expect("a declared topic");
        (Rc::clone(consumer), group.clone())
    }
}

impl<C: Clients> Broker for Kafka<C> {
    type Receipt = Delivery;
    type Message = OwnedMessage;

    async fn connect(telemetry: &Telemetry) -> Self {
        Self {
            telemetry: telemetry.clone(),
            producer: C::producer(telemetry),
            consumers: RefCell::default(),
        }
    }

    async fn declare(&self, name: &str) -> String {
        let topic = topic(name).await;
        let config = config();
        let group = config.get("group.id").expect("a group").to_owned();
        let consumer = Rc::new(C::consumer(&self.telemetry, &config, &topic));
        let mut consumers = self.consumers.borrow_mut();
        consumers.insert(topic.clone(), (consumer, group));
        topic
    }

    async fn send(&self, topic: &str, message: &Message) -> Delivery {
        C::send(&self.producer, topic, message).await
    }

    async fn receive(&self, topic: &str) -> Received<OwnedMessage> {
        C::receive(&self.consumer_of(topic).0).await
    }

    fn headers(&self, received: &Received<OwnedMessage>) -> Vec<Header> {
        wire_headers(received)
    }

    fn send_name(&self, topic: &str) -> String {
        format!("send {topic}")
    }

    fn process_name(&self, topic: &str) -> String {
        format!("process {topic}")
    }

    fn send_span(&self, topic: &str, sent: &Message, delivery: &Delivery) -> ExpectedSpan {
        send_span(topic, &sent.key, delivery)
    }

    fn process_span(&self, topic: &str, received: &Received<OwnedMessage>) -> ExpectedSpan {
        process_span(received, &self.consumer_of(topic).1)
    }

    fn batch_span(&self, topic: &str, messages: usize) -> ExpectedSpan {
        batch_span(topic, &self.consumer_of(topic).1, messages)
    }

    fn in_common(&self, span: ExpectedSpan, received: &Received<OwnedMessage>) -> ExpectedSpan {
        in_common(span, received)
    }

    fn on_link(&self, received: &Received<OwnedMessage>) -> Vec<KeyValue> {
        let offset = rdkafka::Message::offset(received);
        vec![KeyValue::new("messaging.kafka.offset", offset)]
    }

    fn sent(&self, topic: &str) -> Vec<KeyValue> {
        measured("send", topic, None)
    }

    fn consumed(&self, topic: &str) -> Vec<KeyValue> {
        measured("poll", topic, Some(&self.consumer_of(topic).1))
    }

    fn processed(&self, topic: &str) -> Vec<KeyValue> {
        measured("process", topic, Some(&self.consumer_of(topic).1))
    }
}

impl BatchSender for Kafka {
    async fn send_batch(&self, topic: &str, messages: &[Message]) {
        let records = messages.iter().map(|message| future_record(topic, message));
        for result in self.producer.send_batch(records, PATIENCE).await {
            result.map_err(|(error, _)| error).expect("a delivery");
        }
    }

    fn create_span(&self, topic: &str, sent: &Message) -> ExpectedSpan {
        create_span(topic, &sent.key)
    }

    fn sent_batch(&self, kind: SpanKind, topic: &str, messages: usize) -> ExpectedSpan {
        sent_batch(kind, Some(topic), messages)
    }
}
