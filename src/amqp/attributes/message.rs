//! Attributes of a message, and its source.

use std::sync::Arc;
use std::time::SystemTime;

use lapin::BasicProperties;
use lapin::message::{BasicGetMessage, Delivery};
use lapin::types::{FieldTable, ShortString};
use opentelemetry::KeyValue;

use super::attempt::attempt;
use super::destination::DestinationName;
use super::error_type::ACK;
use super::sent_at::sent_at;
use super::{CONFIRMATION, RABBITMQ_DESTINATION_ROUTING_KEY, RABBITMQ_MESSAGE_DELIVERY_TAG};
use crate::engine::attributes::{delivery_attempt, unregistered};
use crate::engine::client::Client;
use crate::engine::destination::Destination;
use crate::engine::received::sealed::{ConsumedMessage, MessageSource};
use crate::policy::Rule;
use crate::semconv::attributes::{MESSAGING_MESSAGE_CONVERSATION_ID, MESSAGING_MESSAGE_ID};
use crate::semconv::text::text;

/// Where a wrapped client publishes.
pub(in crate::amqp) fn published(
    client: &Client,
    exchange: &ShortString,
    routing_key: &ShortString,
) -> Arc<Destination> {
    client.destination(DestinationName::published(exchange.as_str(), routing_key.as_str()).name())
}

/// Where it publishes several messages of one exchange whose routing keys differ; those to several
/// exchanges have nothing in common.
pub(in crate::amqp) fn published_without(
    client: &Client,
    exchange: &ShortString,
    left_out: usize,
) -> Option<Arc<Destination>> {
    (left_out == 0).then(|| published(client, exchange, &ShortString::default()))
}

/// Attributes of a message, whatever is done to it.
///
/// Spec: [RabbitMQ § RabbitMQ spans], the attributes of each span.
///
/// [RabbitMQ § RabbitMQ spans]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/rabbitmq.md#rabbitmq-spans
pub(in crate::amqp) fn content(
    routing_key: &ShortString,
    properties: &BasicProperties,
) -> impl Iterator<Item = KeyValue> + use<> {
    let attribute = |key, value: Option<&ShortString>| {
        let value = value.filter(|value| !value.as_str().is_empty())?;
        Some(KeyValue::new(key, text(value.as_str())))
    };
    [
        attribute(RABBITMQ_DESTINATION_ROUTING_KEY, Some(routing_key)),
        attribute(MESSAGING_MESSAGE_ID, properties.message_id().as_ref()),
        attribute(
            MESSAGING_MESSAGE_CONVERSATION_ID,
            properties.correlation_id().as_ref(),
        ),
    ]
    .into_iter()
    .flatten()
}

/// Where messages come from: the queue and who takes them out.
#[derive(Clone, Debug)]
#[expect(unnameable_types, reason = "nobody but us reads it")]
pub struct Source {
    pub(in crate::amqp) client: Arc<Client>,
    pub(in crate::amqp) queue: ShortString,
    /// The queue is gone with its user.
    pub(in crate::amqp) is_temporary: bool,
    /// The protocol's verb for taking a message.
    pub(in crate::amqp) receive_name: &'static str,
}

impl Source {
    fn destination(&self, exchange: &str, routing_key: &str) -> Arc<Destination> {
        let queue = self.queue.as_str();
        let name = DestinationName::received(exchange, routing_key, queue, self.is_temporary);
        self.client.destination(name.name())
    }
}

#[expect(private_interfaces, reason = "nobody else can call it")]
impl MessageSource for Source {
    fn client(&self) -> &Arc<Client> {
        &self.client
    }

    fn receive_name(&self) -> &'static str {
        self.receive_name
    }

    /// The queue alone: exchanges and routing keys are the messages'.
    fn common_destination(&self) -> Option<Arc<Destination>> {
        let queue = self.queue.as_str();
        let name = DestinationName::received("", "", queue, self.is_temporary);
        (!queue.is_empty()).then(|| self.client.destination(name.name()))
    }
}

#[expect(private_interfaces, reason = "nobody else can call it")]
impl ConsumedMessage for Delivery {
    type Source = Source;
    type Headers = FieldTable;

    fn destination(&self, source: &Source) -> Arc<Destination> {
        source.destination(self.exchange.as_str(), self.routing_key.as_str())
    }

    /// A routing key means what its exchange makes of it, so that it goes first.
    fn destination_without(&self, source: &Source, left_out: usize) -> Option<Arc<Destination>> {
        match left_out {
            0 => Some(source.destination(self.exchange.as_str(), "")),
            1 => Some(source.destination("", "")),
            _ => None,
        }
    }

    fn headers(&self) -> Option<&FieldTable> {
        self.properties.headers().as_ref()
    }

    fn sent_at(&self) -> Option<SystemTime> {
        sent_at(&self.properties)
    }

    fn is_redelivered(&self) -> bool {
        attempt(self) > 1
    }

    fn number(&self) -> Option<KeyValue> {
        delivery_tag(self)
    }

    fn attributes(&self, _: &Source, rule: &Rule, set: &mut dyn FnMut(KeyValue)) {
        content(&self.routing_key, &self.properties)
            .chain(delivery_attempt(rule, attempt(self)))
            .for_each(set);
    }
}

/// What the broker said to a message, or to all of a batch.
pub(in crate::amqp) fn confirmed_as(rule: &Rule, confirmation: &'static str) -> Option<KeyValue> {
    unregistered(rule, confirmation == ACK, || {
        KeyValue::new(CONFIRMATION, confirmation)
    })
}

/// The number of a delivery; what the attribute cannot hold is left out.
pub(in crate::amqp) fn delivery_tag(delivery: &Delivery) -> Option<KeyValue> {
    let tag = i64::try_from(delivery.delivery_tag).ok()?;
    Some(KeyValue::new(RABBITMQ_MESSAGE_DELIVERY_TAG, tag))
}

/// As of the delivery that it holds.
#[expect(private_interfaces, reason = "nobody else can call it")]
impl ConsumedMessage for BasicGetMessage {
    type Source = Source;
    type Headers = FieldTable;

    fn destination(&self, source: &Source) -> Arc<Destination> {
        self.delivery.destination(source)
    }

    fn destination_without(&self, source: &Source, left_out: usize) -> Option<Arc<Destination>> {
        self.delivery.destination_without(source, left_out)
    }

    fn headers(&self) -> Option<&FieldTable> {
        self.delivery.headers()
    }

    fn sent_at(&self) -> Option<SystemTime> {
        self.delivery.sent_at()
    }

    fn is_redelivered(&self) -> bool {
        self.delivery.is_redelivered()
    }

    fn number(&self) -> Option<KeyValue> {
        self.delivery.number()
    }

    fn attributes(&self, source: &Source, rule: &Rule, set: &mut dyn FnMut(KeyValue)) {
        self.delivery.attributes(source, rule, set);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_keys_do_nothing_to_a_terminal() {
        let properties = BasicProperties::default()
            .with_message_id("7\r\nforged".into())
            .with_correlation_id("\u{1b}[2J".into());

        let attributes = content(&"a\nb".into(), &properties);

        let values: Vec<_> = attributes.map(|one| one.value.to_string()).collect();
        assert_eq!(values, ["a\\nb", "7\\r\\nforged", "\\u{1b}[2J"]);
    }
}
