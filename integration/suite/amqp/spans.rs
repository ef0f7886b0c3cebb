//! Whole spans, and the attributes of metrics, as they are expected.

use lapin::message::Delivery;
use lapin::uri::AMQPUri;
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use otel_messaging::testing::ExpectedSpan;

use super::{CLIENT_ID, url};
use crate::whole;

/// Key of the number of a delivery.
pub const DELIVERY_TAG: &str = "rabbitmq.message.delivery_tag";

/// Key of what the broker said to a message.
pub const CONFIRMATION: &str = "otel_messaging.rabbitmq.confirmation";

/// Attributes of every span of a client that was told of its connection.
pub fn client_attributes(span: ExpectedSpan) -> ExpectedSpan {
    at_server(span.attribute("messaging.client.id", CLIENT_ID))
}

/// Attributes of a span that has the client's id only where the conventions list it.
fn at_server(span: ExpectedSpan) -> ExpectedSpan {
    let uri: AMQPUri = url().parse().expect("a URI");
    span.attribute("messaging.system.name", "rabbitmq")
        .attribute("server.address", uri.authority.host)
        .attribute("server.port", i64::from(uri.authority.port))
}

/// The span of a message that was published, of which nobody knows what the broker said.
pub fn publish_span(exchange: &str, routing_key: &str) -> ExpectedSpan {
    outgoing("publish", "send", exchange, routing_key).attribute("messaging.client.id", CLIENT_ID)
}

/// The span of creating a message that is published with others.
pub fn create_span(exchange: &str, routing_key: &str) -> ExpectedSpan {
    outgoing("create", "create", exchange, routing_key)
}

fn outgoing(
    name: &'static str,
    operation_type: &'static str,
    exchange: &str,
    routing_key: &str,
) -> ExpectedSpan {
    let parts = [exchange, routing_key];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let destination = parts.join(":");
    let span = whole::span(format!("{name} {destination}"), SpanKind::Producer);
    let span = at_server(span)
        .attribute("messaging.operation.name", name)
        .attribute("messaging.operation.type", operation_type)
        .attribute("messaging.destination.name", destination);
    with_routing_key(span, routing_key)
}

/// The span of publishing so many messages to one destination or to several, of which nobody knows
/// what the broker said.
pub fn published_batch(kind: SpanKind, destination: Option<&str>, messages: usize) -> ExpectedSpan {
    let count = i64::try_from(messages).expect("a number of messages");
    let name = destination.map_or_else(|| "publish".to_owned(), |name| format!("publish {name}"));
    let span = client_attributes(whole::span(name, kind))
        .attribute("messaging.operation.name", "publish")
        .attribute("messaging.operation.type", "send")
        .attribute("messaging.batch.message_count", count);
    match destination {
        Some(name) => span.attribute("messaging.destination.name", name.to_owned()),
        None => span,
    }
}

/// The span of processing a delivery that came through the default exchange.
pub fn process_span(delivery: &Delivery) -> ExpectedSpan {
    let queue = delivery.routing_key.as_str();
    let span = in_common(processing(queue), delivery);
    span.attribute(DELIVERY_TAG, delivery_tag(delivery))
}

/// What any process span of so many messages of a queue has.
pub fn batch_span(queue: &str, messages: usize) -> ExpectedSpan {
    let count = i64::try_from(messages).expect("a number of messages");
    processing(queue).attribute("messaging.batch.message_count", count)
}

/// What it has beside, of messages that were delivered for the first time.
pub fn in_common(span: ExpectedSpan, delivery: &Delivery) -> ExpectedSpan {
    with_routing_key(span, delivery.routing_key.as_str())
}

fn processing(queue: &str) -> ExpectedSpan {
    let span = whole::span(format!("process {queue}"), SpanKind::Consumer);
    client_attributes(span)
        .attribute("messaging.operation.name", "process")
        .attribute("messaging.operation.type", "process")
        .attribute("messaging.destination.name", queue.to_owned())
}

/// The whole span of receiving from a queue without a delivery.
pub fn consume_span(queue: &str) -> ExpectedSpan {
    let span = whole::span(format!("consume {queue}"), SpanKind::Client);
    client_attributes(span)
        .attribute("messaging.operation.name", "consume")
        .attribute("messaging.operation.type", "receive")
        .attribute("messaging.destination.name", queue.to_owned())
}

/// The span of settling a delivery that came through the default exchange.
pub fn settle_span(verb: &'static str, delivery: &Delivery) -> ExpectedSpan {
    let queue = delivery.routing_key.as_str();
    let span = whole::span(format!("{verb} {queue}"), SpanKind::Client);
    let span = client_attributes(span)
        .attribute("messaging.operation.name", verb)
        .attribute("messaging.operation.type", "settle")
        .attribute("messaging.destination.name", queue.to_owned());
    let mut span = with_routing_key(span, queue).attribute(DELIVERY_TAG, delivery_tag(delivery));
    if let Some(id) = delivery.properties.message_id() {
        span = span.attribute("messaging.message.id", id.to_string());
    }
    if let Some(id) = delivery.properties.correlation_id() {
        span = span.attribute("messaging.message.conversation_id", id.to_string());
    }
    span
}

/// Attributes with which an operation is counted.
pub fn measured(verb: &'static str, queue: &str) -> Vec<KeyValue> {
    let uri: AMQPUri = url().parse().expect("a URI");
    vec![
        KeyValue::new("messaging.system.name", "rabbitmq"),
        KeyValue::new("messaging.operation.name", verb),
        KeyValue::new("messaging.destination.name", queue.to_owned()),
        KeyValue::new("server.address", uri.authority.host),
        KeyValue::new("server.port", i64::from(uri.authority.port)),
    ]
}

fn with_routing_key(span: ExpectedSpan, routing_key: &str) -> ExpectedSpan {
    if routing_key.is_empty() {
        return span;
    }
    span.attribute("rabbitmq.destination.routing_key", routing_key.to_owned())
}

/// The number of a delivery, as an attribute has it.
pub fn delivery_tag(delivery: &Delivery) -> i64 {
    i64::try_from(delivery.delivery_tag).expect("a small tag")
}
