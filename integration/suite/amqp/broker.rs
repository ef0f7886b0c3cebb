//! The scenarios' broker.

use std::cell::RefCell;
use std::collections::HashMap;

use futures::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicPublishOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation};
use opentelemetry::trace::SpanKind;
use opentelemetry::{Context, KeyValue};
use otel_messaging::amqp::{ConnectionInfo, Consumer, Producer, Publish};
use otel_messaging::testing::ExpectedSpan;
use otel_messaging::{Batch, Received, Telemetry};

use super::{
    DELIVERY_TAG, PATIENCE, batch_span, channel, confirming, connection, consume, consume_span,
    create_span, delivery_tag, in_common, known, measured, process_span, publish_span,
    published_batch, queue, raw_headers, settle_span, wire_headers,
};
use crate::{BatchSender, Broker, Faulty, Header, Message, Refuser, Settler, Spawner, unique};

/// Wrapped clients of RabbitMQ. A destination is a queue, reached through the default exchange.
#[derive(Debug)]
pub struct Rabbit {
    telemetry: Telemetry,
    channel: Channel,
    known: ConnectionInfo,
    producer: Producer,
    consumers: RefCell<HashMap<String, Consumer>>,
}

impl Broker for Rabbit {
    type Receipt = Confirmation;
    type Message = Delivery;
    type Error = lapin::Error;

    async fn connect(telemetry: &Telemetry) -> Self {
        let connection = connection().await;
        let channel = confirming(&connection).await;
        let known = known(&connection);
        Self {
            telemetry: telemetry.clone(),
            producer: Producer::wrap(telemetry, &known, channel.clone()),
            channel,
            known,
            consumers: RefCell::default(),
        }
    }

    async fn declare(&self, name: &str) -> String {
        let queue = queue(&self.channel, name).await;
        let consumer = consume(&self.channel, &queue).await;
        let consumer = Consumer::wrap(&self.telemetry, &self.known, consumer);
        let name = queue.to_string();
        let mut consumers = self.consumers.borrow_mut();
        consumers.insert(name.clone(), consumer);
        name
    }

    async fn send(&self, queue: &str, message: &Message) -> Confirmation {
        publish(&self.producer, queue, message).await
    }

    async fn receive(&self, queue: &str) -> Received<Delivery> {
        let received = self.receive_unsettled(queue).await;
        // By the client's own acker: the scenarios expect no span of it.
        let acked = received.acker.ack(BasicAckOptions::default()).await;
        assert!(acked.expect("an ack"), "nobody else acknowledges it");
        received
    }

    /// From one queue, by two routing keys.
    async fn receive_batch(&self, names: [&str; 2]) -> Batch<Delivery> {
        let queue = queue(&self.channel, "orders").await;
        for name in names {
            let (exchange, key) = (ShortString::from("amq.direct"), unique(name));
            let options = QueueBindOptions::default();
            let table = FieldTable::default();
            let bound = self.channel.queue_bind(
                queue.clone(),
                exchange.clone(),
                key.as_str().into(),
                options,
                table,
            );
            bound.await.expect("a binding");
            let options = BasicPublishOptions::default();
            let properties = BasicProperties::default();
            let published =
                self.channel
                    .basic_publish(exchange, key.into(), options, b"two books", properties);
            published
                .await
                .expect("a publish")
                .await
                .expect("a confirm");
        }
        let consumer = consume(&self.channel, &queue).await;
        let consumer = Consumer::wrap(&self.telemetry, &self.known, consumer);
        let mut batches = consumer.batches(2, 2 * PATIENCE);
        let batch = tokio::time::timeout(PATIENCE, batches.recv()).await;
        let batch = batch.expect("a batch in time").expect("a batch");
        batch.expect("a batch without error")
    }

    fn error() -> Self::Error {
        lapin::ErrorKind::ChannelsLimitReached.into()
    }

    fn headers(&self, received: &Received<Delivery>) -> Vec<Header> {
        wire_headers(&received.properties)
    }

    fn send_name(&self, queue: &str) -> String {
        format!("publish {queue}")
    }

    fn process_name(&self, queue: &str) -> String {
        format!("process {queue}")
    }

    fn send_span(&self, queue: &str, sent: &Message, _: &Confirmation) -> ExpectedSpan {
        publish_span("", queue).attribute("messaging.message.id", sent.key.clone())
    }

    fn process_span(&self, _: &str, received: &Received<Delivery>) -> ExpectedSpan {
        process_span(received).attribute("messaging.message.id", id(received))
    }

    fn batch_span(&self, queue: &str, messages: usize) -> ExpectedSpan {
        batch_span(queue, messages)
    }

    fn in_common(&self, span: ExpectedSpan, received: &Received<Delivery>) -> ExpectedSpan {
        in_common(span, received).attribute("messaging.message.id", id(received))
    }

    fn on_link(&self, received: &Received<Delivery>) -> Vec<KeyValue> {
        vec![KeyValue::new(DELIVERY_TAG, delivery_tag(received))]
    }

    fn sent(&self, queue: &str) -> Vec<KeyValue> {
        measured("publish", queue)
    }

    fn consumed(&self, queue: &str) -> Vec<KeyValue> {
        measured("consume", queue)
    }

    fn processed(&self, queue: &str) -> Vec<KeyValue> {
        measured("process", queue)
    }
}

impl BatchSender for Rabbit {
    async fn send_to(&self, messages: &[(&str, &Message)]) -> Vec<Confirmation> {
        let messages = messages.iter().map(|(queue, message)| {
            Publish::new("", *queue, &message.payload).properties(properties(message))
        });
        confirmed(self.producer.publish_batch(messages).await)
    }

    async fn send_in(&self, queue: &str, messages: &[(Context, Message)]) -> Vec<Confirmation> {
        let messages = messages.iter().map(|(context, message)| {
            let publish = Publish::new("", queue, &message.payload);
            (context.clone(), publish.properties(properties(message)))
        });
        confirmed(self.producer.publish_batch_with_contexts(messages).await)
    }

    fn create_span(&self, queue: &str, sent: &Message, _: &Confirmation) -> ExpectedSpan {
        create_span("", queue).attribute("messaging.message.id", sent.key.clone())
    }

    fn sent_batch(&self, kind: SpanKind, queue: &str, messages: usize) -> ExpectedSpan {
        published_batch(kind, Some(queue), messages)
            .attribute("rabbitmq.destination.routing_key", queue.to_owned())
    }

    fn on_sent_link(&self, sent: &Message) -> Vec<KeyValue> {
        vec![KeyValue::new("messaging.message.id", sent.key.clone())]
    }
}

fn confirmed(results: Vec<lapin::Result<Confirmation>>) -> Vec<Confirmation> {
    let results = results.into_iter();
    let confirmed: Vec<_> = results.map(|one| one.expect("a confirm")).collect();
    assert!(confirmed.iter().all(|one| *one == Confirmation::Ack(None)));
    confirmed
}

impl Rabbit {
    /// A channel that is closed refuses whatever it is given.
    async fn close(&self) {
        if self.channel.status().connected() {
            let closed = self.channel.close(200, "no more".into());
            closed.await.expect("an answer");
        }
    }
}

impl Refuser for Rabbit {
    const REFUSED: &'static str = "invalid-channel-state";

    async fn refuse(&self, queue: &str) -> ExpectedSpan {
        self.close().await;
        let published = self.producer.basic_publish(
            "".into(),
            queue.into(),
            BasicPublishOptions::default(),
            b"two books",
            BasicProperties::default(),
        );
        published.await.expect_err("a closed channel");
        publish_span("", queue)
    }

    async fn refuse_batch(&self, queue: &str, messages: usize) -> ExpectedSpan {
        self.close().await;
        let orders = (0..messages).map(|_| Publish::new("", queue, b"two books"));
        for result in self.producer.publish_batch(orders).await {
            result.expect_err("a closed channel");
        }
        published_batch(SpanKind::Client, Some(queue), messages)
            .attribute("rabbitmq.destination.routing_key", queue.to_owned())
    }

    async fn refuse_in(&self, queue: &str, contexts: Vec<Context>) {
        self.close().await;
        let contexts = contexts.into_iter();
        let orders = contexts.map(|context| (context, Publish::new("", queue, b"two books")));
        for result in self.producer.publish_batch_with_contexts(orders).await {
            result.expect_err("a closed channel");
        }
    }
}

impl Spawner for Rabbit {
    fn sender(
        &self,
        queue: &str,
        message: &Message,
    ) -> impl Future<Output = Confirmation> + Send + 'static {
        let (producer, queue, message) = (self.producer.clone(), queue.to_owned(), message.clone());
        async move { publish(&producer, &queue, &message).await }
    }
}

impl Faulty for Rabbit {
    const FAILURE: &'static str = "not-found";

    async fn fail_to_receive(&self, queue: &str, in_batches: bool) -> String {
        let channel = channel().await;
        let consumer = consume(&channel, &queue.into()).await;
        let mut consumer = Consumer::wrap(&self.telemetry, &self.known, consumer);
        let mut batches = consumer.batches(100, PATIENCE);
        let receiving = async {
            match in_batches {
                true => batches.recv().await.map(|received| received.map(drop)),
                false => consumer.next().await.map(|received| received.map(drop)),
            }
        };
        // The broker answers by closing the channel.
        let missing = channel.queue_declare(
            unique("missing").into(),
            QueueDeclareOptions::default().passive(),
            FieldTable::default(),
        );
        let both = async { futures::join!(receiving, missing).0 };
        let received = tokio::time::timeout(PATIENCE, both).await;
        let received = received.expect("an error in time").expect("no end");
        received.expect_err("the closed channel").to_string()
    }

    fn receive_span(&self, queue: &str) -> ExpectedSpan {
        consume_span(queue)
    }
}

impl Settler for Rabbit {
    async fn receive_unsettled(&self, queue: &str) -> Received<Delivery> {
        let consumer = self.consumers.borrow().get(queue).cloned();
        let mut consumer = consumer.expect("a declared queue");
        tokio::time::timeout(PATIENCE, consumer.next())
            .await
            .expect("a delivery in time")
            .expect("a delivery")
            .expect("a delivery without error")
    }

    async fn settle(&self, received: &Received<Delivery>) {
        let acked = received.ack(BasicAckOptions::default()).await;
        assert!(acked.expect("an ack"), "nobody else acknowledges it");
    }

    fn settle_name(&self, queue: &str) -> String {
        format!("ack {queue}")
    }

    fn settle_span(&self, _: &str, received: &Received<Delivery>) -> ExpectedSpan {
        settle_span("ack", received)
    }
}

async fn publish(producer: &Producer, queue: &str, message: &Message) -> Confirmation {
    let published = producer.basic_publish(
        "".into(),
        queue.into(),
        BasicPublishOptions::default(),
        &message.payload,
        properties(message),
    );
    let confirm = published.await.expect("a publish");
    confirm.await.expect("a confirm")
}

fn properties(message: &Message) -> BasicProperties {
    let properties = BasicProperties::default().with_message_id(message.key.clone().into());
    if message.headers.is_empty() {
        return properties;
    }
    properties.with_headers(raw_headers(&message.headers))
}

fn id(received: &Received<Delivery>) -> String {
    let id = received.properties.message_id().as_ref();
    id.expect("an id").to_string()
}
