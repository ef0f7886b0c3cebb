//! [`Kafka`]: the broker of the scenarios.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use opentelemetry::trace::SpanKind;
use opentelemetry::{Context, KeyValue};
use otel_messaging::kafka;
use otel_messaging::testing::ExpectedSpan;
use otel_messaging::{Batch, Received, Telemetry};
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::OwnedMessage;
use rdkafka::producer::FutureProducer;
use rdkafka::producer::future_producer::{Delivery, OwnedDeliveryResult};
use rdkafka::{Offset, TopicPartitionList};

use super::clients::{Clients, Futures, future_record};
use super::spans::{
    batch_span, create_span, delivered, in_common, in_only_partition, measured, poll_span,
    process_span, send_span, sending_span, sent_batch,
};
use super::wire::wire_headers;
use super::{PATIENCE, config, topic};
use crate::{BatchSender, Broker, Faulty, Header, Message, Refuser, Spawner};

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
    type Error = KafkaError;

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

    async fn receive_batch(&self, names: [&str; 2]) -> Batch<OwnedMessage> {
        let [one, other] = names;
        let (one, other) = (topic(one).await, topic(other).await);
        let consumer: StreamConsumer = config().create().expect("a consumer");
        let consumer = kafka::Consumer::wrap(&self.telemetry, consumer);
        consumer.subscribe(&[&one, &other]).expect("a subscription");
        let producer: FutureProducer = config().create().expect("a producer");
        for topic in [&one, &other] {
            let order = Message::new("order-7");
            let sent = producer.send(future_record(topic, &order), PATIENCE).await;
            sent.expect("a delivery");
        }
        let mut batches = consumer.batches(2, 2 * PATIENCE);
        let batch = tokio::time::timeout(PATIENCE, batches.recv()).await;
        batch.expect("a batch in time").expect("a batch").detach()
    }

    fn error() -> Self::Error {
        KafkaError::Canceled
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
        vec![KeyValue::new("kafka.offset", offset)]
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
    async fn send_to(&self, messages: &[(&str, &Message)]) -> Vec<Delivery> {
        let records = messages
            .iter()
            .map(|(topic, message)| future_record(topic, message));
        deliveries(self.producer.send_batch(records, PATIENCE).await)
    }

    async fn send_in(&self, topic: &str, messages: &[(Context, Message)]) -> Vec<Delivery> {
        let records = messages.iter();
        let records =
            records.map(|(context, message)| (context.clone(), future_record(topic, message)));
        let sending = self.producer.send_batch_with_contexts(records, PATIENCE);
        deliveries(sending.await)
    }

    fn create_span(&self, topic: &str, sent: &Message, delivery: &Delivery) -> ExpectedSpan {
        delivered(create_span(topic, &sent.key), delivery)
    }

    fn sent_batch(&self, kind: SpanKind, topic: &str, messages: usize) -> ExpectedSpan {
        in_only_partition(sent_batch(kind, Some(topic), messages))
    }

    fn on_sent_link(&self, sent: &Message) -> Vec<KeyValue> {
        vec![KeyValue::new("kafka.message.key", sent.key.clone())]
    }
}

impl Spawner for Kafka {
    fn sender(
        &self,
        topic: &str,
        message: &Message,
    ) -> impl Future<Output = Delivery> + Send + 'static {
        let (producer, topic, message) = (self.producer.clone(), topic.to_owned(), message.clone());
        async move { Futures::send(&producer, &topic, &message).await }
    }
}

fn deliveries(results: Vec<OwnedDeliveryResult>) -> Vec<Delivery> {
    let results = results.into_iter();
    let delivered = results.map(|result| result.map_err(|(error, _)| error).expect("a delivery"));
    delivered.collect()
}

/// A record that is larger than the client's default of `message.max.bytes`.
fn too_large() -> Message {
    Message {
        payload: vec![0; 1_000_001],
        ..Message::new("order-7")
    }
}

impl Refuser for Kafka {
    const REFUSED: &'static str = "MESSAGE_TOO_LARGE";

    async fn refuse(&self, topic: &str) -> ExpectedSpan {
        let order = too_large();
        let sending = self.producer.send(future_record(topic, &order), PATIENCE);
        sending.await.expect_err("a record that is too large");
        sending_span(SpanKind::Producer, topic).attribute("kafka.message.key", order.key)
    }

    async fn refuse_batch(&self, topic: &str, messages: usize) -> ExpectedSpan {
        let order = too_large();
        let records = (0..messages).map(|_| future_record(topic, &order));
        for result in self.producer.send_batch(records, PATIENCE).await {
            result.expect_err("a record that is too large");
        }
        sent_batch(SpanKind::Client, Some(topic), messages)
            .attribute("kafka.message.key", order.key)
    }

    async fn refuse_in(&self, topic: &str, contexts: Vec<Context>) {
        let order = too_large();
        let contexts = contexts.into_iter();
        let records = contexts.map(|context| (context, future_record(topic, &order)));
        let sending = self.producer.send_batch_with_contexts(records, PATIENCE);
        for result in sending.await {
            result.expect_err("a record that is too large");
        }
    }
}

impl Faulty for Kafka {
    const FAILURE: &'static str = "_AUTO_OFFSET_RESET";

    async fn fail_to_receive(&self, topic: &str, in_batches: bool) -> String {
        let client: StreamConsumer = config()
            .set("group.id", self.consumer_of(topic).1)
            .set("auto.offset.reset", "error")
            .create()
            .expect("a consumer");
        let consumer = kafka::Consumer::wrap(&self.telemetry, client);
        let mut partition = TopicPartitionList::new();
        partition
            .add_partition_offset(topic, 0, Offset::Offset(1_000))
            .expect("an offset");
        consumer.assign(&partition).expect("an assignment");
        let error = if in_batches {
            let mut batches = consumer.batches(100, PATIENCE);
            let batch = tokio::time::timeout(PATIENCE, batches.recv()).await;
            batch.map(|received| received.map(drop))
        } else {
            let message = tokio::time::timeout(PATIENCE, consumer.recv()).await;
            message.map(|received| received.map(drop))
        };
        let error = error.expect("an error in time");
        error.expect_err("there is no such offset").to_string()
    }

    fn receive_span(&self, topic: &str) -> ExpectedSpan {
        poll_span(topic, &self.consumer_of(topic).1)
    }
}
