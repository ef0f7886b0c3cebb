//! RabbitMQ, by our wrappers around lapin: the one that `AMQP_URL` names.

mod broker;
mod cable;
mod spans;

use std::env;
use std::time::Duration;

use futures::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, ByteArray, FieldTable, LongString, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer};
use otel_messaging::amqp::ConnectionInfo;

pub use self::broker::Rabbit;
pub use self::cable::Cable;
pub use self::spans::{
    CONFIRMATION, DELIVERY_TAG, batch_span, client_attributes, consume_span, create_span,
    delivery_tag, in_common, measured, process_span, publish_span, published_batch, settle_span,
};
use crate::{Header, unique};

/// Longest wait for anything that should take milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Client id of every wrapper that is told of its connection.
pub const CLIENT_ID: &str = "suite";

/// How long a queue outlives its last use; what a test leaves behind is gone after that.
const EXPIRY: Duration = Duration::from_secs(300);

/// The broker.
pub fn url() -> String {
    env::var("AMQP_URL")
        .expect("AMQP_URL names no RabbitMQ: run `integration/run`, which starts one")
}

/// A connection of its own.
pub async fn connection() -> Connection {
    Connection::connect(&url(), ConnectionProperties::default())
        .await
        .expect("a connection to the RabbitMQ of AMQP_URL")
}

/// What our wrappers are told of a connection.
pub fn known(connection: &Connection) -> ConnectionInfo {
    ConnectionInfo::of(connection)
        .uri(&url())
        .client_id(CLIENT_ID)
}

/// A channel that confirms, on a connection of its own that lives as long as the channel.
pub async fn channel() -> Channel {
    confirming(&connection().await).await
}

/// A channel that confirms.
pub async fn confirming(connection: &Connection) -> Channel {
    let channel = connection.create_channel().await.expect("a channel");
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await
        .expect("confirms");
    channel
}

/// Makes a queue that did not exist.
pub async fn queue(channel: &Channel, name: &str) -> ShortString {
    queue_with(channel, name, FieldTable::default()).await
}

/// Makes a queue that did not exist, with more arguments than its expiry.
pub async fn queue_with(channel: &Channel, name: &str, mut arguments: FieldTable) -> ShortString {
    let expiry = i64::try_from(EXPIRY.as_millis()).expect("minutes");
    arguments.insert("x-expires".into(), AMQPValue::LongLongInt(expiry));
    let name = ShortString::from(unique(name));
    let options = QueueDeclareOptions::durable();
    channel
        .queue_declare(name.clone(), options, arguments)
        .await
        .expect("a queue");
    name
}

/// Makes a queue that refuses messages when it has so many.
pub async fn bounded(channel: &Channel, most: i32) -> ShortString {
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(most));
    let overflow = AMQPValue::LongString("reject-publish".into());
    arguments.insert("x-overflow".into(), overflow);
    queue_with(channel, "bounded", arguments).await
}

/// Those of these queues that the broker has.
pub async fn those_there(queues: impl IntoIterator<Item = String>) -> Vec<String> {
    let connection = connection().await;
    let mut there = Vec::new();
    for queue in queues {
        // The broker closes the channel over one that is not there.
        let channel = connection.create_channel().await.expect("a channel");
        let options = QueueDeclareOptions::default().passive();
        let name = queue.as_str().into();
        let looked = channel.queue_declare(name, options, FieldTable::default());
        if looked.await.is_ok() {
            there.push(queue);
        }
    }
    there
}

/// Publishes to a queue by the bare client, and waits until the broker has the message.
pub async fn publish(channel: &Channel, queue: &ShortString, properties: BasicProperties) {
    let published = channel.basic_publish(
        "".into(),
        queue.clone(),
        BasicPublishOptions::default(),
        b"two books",
        properties,
    );
    let confirmation = published.await.expect("a publish").await;
    assert_eq!(confirmation.expect("a confirm"), Confirmation::Ack(None));
}

/// Consumes by the bare client.
pub async fn consume(channel: &Channel, queue: &ShortString) -> Consumer {
    channel
        .basic_consume(
            queue.clone(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await
        .expect("a consumer")
}

/// The next message, acknowledged.
pub async fn next(consumer: &mut Consumer) -> Delivery {
    let delivery = tokio::time::timeout(PATIENCE, consumer.next())
        .await
        .expect("a delivery in time")
        .expect("a delivery")
        .expect("a delivery without error");
    let acked = delivery.ack(BasicAckOptions::default()).await;
    assert!(acked.expect("an ack"), "nobody else acknowledges it");
    delivery
}

/// Headers of any bytes, as other clients can send them; those that are text are long strings.
pub fn raw_headers(headers: &[Header]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in headers {
        let name = str::from_utf8(name).expect("the client has no names that are not text");
        let value = match value {
            Some(value) if str::from_utf8(value).is_ok() => {
                AMQPValue::LongString(LongString::from(&value[..]))
            }
            Some(value) => AMQPValue::ByteArray(ByteArray::from(&value[..])),
            None => AMQPValue::Void,
        };
        table.insert(name.into(), value);
    }
    table
}

/// The headers of a message as they are on the wire, those that are text or bytes or nothing.
pub fn wire_headers(properties: &BasicProperties) -> Vec<Header> {
    let headers = properties.headers().iter().flatten();
    headers
        .filter_map(|(name, value)| {
            let value = match value {
                AMQPValue::LongString(text) => Some(text.as_bytes()),
                AMQPValue::ByteArray(bytes) => Some(bytes.as_slice()),
                AMQPValue::Void => None,
                _ => return None,
            };
            Some((name.as_str().as_bytes().to_vec(), value.map(<[u8]>::to_vec)))
        })
        .collect()
}
