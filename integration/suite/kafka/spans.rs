//! Spans and metrics of Kafka as tests expect them.

use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use otel_messaging::testing::ExpectedSpan;
use rdkafka::producer::future_producer::Delivery;

use super::{CLIENT_ID, servers};
use crate::whole;

/// The only server, where there is just one.
fn server() -> Option<[KeyValue; 2]> {
    let servers = servers();
    let (address, port) = servers
        .rsplit_once(':')
        .filter(|_| !servers.contains(','))?;
    let port: i64 = port.parse().expect("a port");
    Some([
        KeyValue::new("server.address", address.to_owned()),
        KeyValue::new("server.port", port),
    ])
}

/// Attributes that every span of a client of ours has.
pub fn client_attributes(span: ExpectedSpan) -> ExpectedSpan {
    of_client(span).any("kafka.cluster.id")
}

fn of_client(span: ExpectedSpan) -> ExpectedSpan {
    at_server(span.attribute("messaging.client.id", CLIENT_ID))
}

/// Attributes of a span that has the client's id only where the conventions list it.
fn at_server(span: ExpectedSpan) -> ExpectedSpan {
    let span = span.attribute("messaging.system.name", "kafka");
    let server = server().into_iter().flatten();
    server.fold(span, |span, KeyValue { key, value, .. }| {
        span.attribute(key, value)
    })
}

/// Attributes with which what is done to a topic is measured, in a group or without one.
pub fn measured(operation: &'static str, topic: &str, group: Option<&str>) -> Vec<KeyValue> {
    let all = [
        KeyValue::new("messaging.system.name", "kafka"),
        KeyValue::new("messaging.operation.name", operation),
        KeyValue::new("messaging.destination.name", topic.to_owned()),
    ];
    let group = group.map(|group| KeyValue::new("messaging.consumer.group.name", group.to_owned()));
    all.into_iter()
        .chain(group)
        .chain(server().into_iter().flatten())
        .collect()
}

/// The span of a record without key, of which nobody knows whether it was delivered.
pub fn sending_span(kind: SpanKind, topic: &str) -> ExpectedSpan {
    sending_nowhere(kind)
        .named(format!("send {topic}"))
        .attribute("messaging.destination.name", topic.to_owned())
}

/// What a send span has, whatever topic it is for.
pub fn sending_nowhere(kind: SpanKind) -> ExpectedSpan {
    client_attributes(whole::span("send", kind))
        .attribute("messaging.operation.name", "send")
        .attribute("messaging.operation.type", "send")
}

/// What the delivery report adds to a send span.
pub fn delivered(span: ExpectedSpan, delivery: &Delivery) -> ExpectedSpan {
    span.attribute(
        "messaging.destination.partition.id",
        delivery.partition.to_string(),
    )
    .attribute("kafka.offset", delivery.offset)
}

/// The whole span of a record that was delivered.
pub fn send_span(topic: &str, key: &str, delivery: &Delivery) -> ExpectedSpan {
    delivered(sending_span(SpanKind::Producer, topic), delivery)
        .attribute("kafka.message.key", key.to_owned())
}

/// The whole span of a commit, as far as it is known of any.
pub fn commit_span(topic: Option<&str>, group: &str) -> ExpectedSpan {
    let name = topic.map_or_else(|| "commit".to_owned(), |topic| format!("commit {topic}"));
    let span = client_attributes(whole::span(name, SpanKind::Client))
        .attribute("messaging.operation.name", "commit")
        .attribute("messaging.operation.type", "settle")
        .attribute("messaging.consumer.group.name", group.to_owned());
    match topic {
        Some(topic) => span.attribute("messaging.destination.name", topic.to_owned()),
        None => span,
    }
}

/// The whole span of processing a message with a key and a payload.
pub fn process_span(message: &impl rdkafka::Message, group: &str) -> ExpectedSpan {
    let key = message.key_view::<str>().expect("a key").expect("a text");
    processing_span(message, group).attribute("kafka.message.key", key.to_owned())
}

/// The whole span of processing a message with a payload and without a key.
pub fn processing_span(message: &impl rdkafka::Message, group: &str) -> ExpectedSpan {
    let topic = message.topic();
    client_attributes(whole::span(format!("process {topic}"), SpanKind::Consumer))
        .attribute("messaging.operation.name", "process")
        .attribute("messaging.operation.type", "process")
        .attribute("messaging.destination.name", topic.to_owned())
        .attribute(
            "messaging.destination.partition.id",
            message.partition().to_string(),
        )
        .attribute("messaging.consumer.group.name", group.to_owned())
        .attribute("kafka.offset", message.offset())
}

/// The whole span of receiving without a message.
pub fn poll_span(topic: &str, group: &str) -> ExpectedSpan {
    client_attributes(whole::span(format!("poll {topic}"), SpanKind::Client))
        .attribute("messaging.operation.name", "poll")
        .attribute("messaging.operation.type", "receive")
        .attribute("messaging.destination.name", topic.to_owned())
        .attribute("messaging.consumer.group.name", group.to_owned())
}

/// What any process span of a batch has.
pub fn batch_span(topic: &str, group: &str, messages: usize) -> ExpectedSpan {
    processed_batch(Some(topic), group, messages)
}

/// What any process span of a batch has, of one topic or of several.
pub fn processed_batch(topic: Option<&str>, group: &str, messages: usize) -> ExpectedSpan {
    let names = ("process", "process", SpanKind::Consumer);
    of_batch(names, topic, messages).attribute("messaging.consumer.group.name", group.to_owned())
}

/// What any receive span of a batch has, of one topic or of several.
pub fn polled_batch(topic: Option<&str>, group: &str, messages: usize) -> ExpectedSpan {
    of_batch(("poll", "receive", SpanKind::Client), topic, messages)
        .attribute("messaging.consumer.group.name", group.to_owned())
}

/// What any send span of a batch has, to one topic or to several.
pub fn sent_batch(kind: SpanKind, topic: Option<&str>, messages: usize) -> ExpectedSpan {
    of_batch(("send", "send", kind), topic, messages).any("kafka.cluster.id")
}

/// What it has beside, of records that were all delivered to a topic with one partition.
pub fn in_only_partition(span: ExpectedSpan) -> ExpectedSpan {
    span.attribute("messaging.destination.partition.id", "0")
}

/// The span of a record's creation, of which nobody knows whether it was delivered.
pub fn create_span(topic: &str, key: &str) -> ExpectedSpan {
    at_server(whole::span(format!("create {topic}"), SpanKind::Producer))
        .attribute("messaging.operation.name", "create")
        .attribute("messaging.operation.type", "create")
        .attribute("messaging.destination.name", topic.to_owned())
        .attribute("kafka.message.key", key.to_owned())
}

fn of_batch(
    (name, operation_type, kind): (&'static str, &'static str, SpanKind),
    topic: Option<&str>,
    messages: usize,
) -> ExpectedSpan {
    let count = i64::try_from(messages).expect("a number of messages");
    let full = topic.map_or_else(|| name.to_owned(), |topic| format!("{name} {topic}"));
    let span = of_client(whole::span(full, kind))
        .attribute("messaging.operation.name", name)
        .attribute("messaging.operation.type", operation_type)
        .attribute("messaging.batch.message_count", count);
    match topic {
        Some(topic) => span.attribute("messaging.destination.name", topic.to_owned()),
        None => span,
    }
}

/// What it has beside, of messages of one partition with the same key.
pub fn in_common(span: ExpectedSpan, message: &impl rdkafka::Message) -> ExpectedSpan {
    let key = message.key_view::<str>().expect("a key").expect("a text");
    span.any("kafka.cluster.id")
        .attribute("kafka.message.key", key.to_owned())
        .attribute(
            "messaging.destination.partition.id",
            message.partition().to_string(),
        )
}
