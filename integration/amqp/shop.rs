//! A shop with a queue of orders: wrapped clients on one channel.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use integration::amqp::{PATIENCE, confirming, connection, consume, known, queue};
use integration::unique;
use lapin::message::Delivery;
use lapin::options::{BasicPublishOptions, ExchangeDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, ExchangeKind};
use opentelemetry_sdk::trace::SpanData;
use otel_messaging::Received;
use otel_messaging::Telemetry;
use otel_messaging::amqp::{ConnectionInfo, Consumer, Producer};
use otel_messaging::testing::Recorder;

pub(crate) struct Shop {
    telemetry: Telemetry,
    pub(crate) known: ConnectionInfo,
    pub(crate) producer: Producer,
    pub(crate) orders: ShortString,
}

impl Shop {
    pub(crate) async fn open(telemetry: &Telemetry) -> Self {
        let connection = connection().await;
        let channel = confirming(&connection).await;
        let known = known(&connection);
        Self {
            telemetry: telemetry.clone(),
            orders: queue(&channel, "orders").await,
            producer: Producer::wrap(telemetry, &known, channel),
            known,
        }
    }

    pub(crate) const fn channel(&self) -> &Channel {
        self.producer.inner()
    }

    /// A wrapped consumer of the orders.
    pub(crate) async fn consumer(&self) -> Consumer {
        self.consumer_of(&self.orders).await
    }

    pub(crate) async fn consumer_of(&self, queue: &ShortString) -> Consumer {
        let consumer = consume(self.channel(), queue).await;
        Consumer::wrap(&self.telemetry, &self.known, consumer)
    }

    /// Makes an exchange that did not exist, and is gone with its last binding.
    pub(crate) async fn fanout(&self, name: &str) -> ShortString {
        let name = ShortString::from(unique(name));
        let options = ExchangeDeclareOptions {
            auto_delete: true,
            ..ExchangeDeclareOptions::default()
        };
        let declared = self.channel().exchange_declare(
            name.clone(),
            ExchangeKind::Fanout,
            options,
            FieldTable::default(),
        );
        declared.await.expect("an exchange");
        name
    }

    pub(crate) async fn publish_order(&self) {
        self.publish(&self.orders, BasicProperties::default()).await;
    }

    /// Publishes to a queue, and waits until the broker has the message.
    pub(crate) async fn publish(&self, queue: &ShortString, properties: BasicProperties) {
        let published = self.producer.basic_publish(
            "".into(),
            queue.clone(),
            BasicPublishOptions::default(),
            b"two books",
            properties,
        );
        let confirm = published.await.expect("a publish");
        let confirmation = confirm.await.expect("a confirm");
        assert_eq!(confirmation, Confirmation::Ack(None));
    }
}

/// The next delivery.
pub(crate) async fn next(consumer: &mut Consumer) -> Received<Delivery> {
    let next = tokio::time::timeout(PATIENCE, consumer.next()).await;
    let next = next.expect("a delivery in time").expect("a delivery");
    next.expect("a delivery without error")
}

/// A span that ends in a task of the client's.
pub(crate) async fn ended(recorder: &Recorder, name: &str) -> SpanData {
    let start = Instant::now();
    while !recorder.spans().iter().any(|span| span.name == name) {
        assert!(start.elapsed() < PATIENCE, "{name} ends in time");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    recorder.span(name)
}
