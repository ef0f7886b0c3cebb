//! What a message says of itself, and the keys that only RabbitMQ has.

mod attempt;
mod connection;
mod destination;
mod error_type;
mod made_up;
mod sent_at;

use std::sync::Arc;
use std::time::SystemTime;

use lapin::BasicProperties;
use lapin::message::{BasicGetMessage, Delivery};
use lapin::types::{FieldTable, ShortString};
use opentelemetry::KeyValue;

use self::attempt::attempt;
pub use self::connection::ConnectionInfo;
use self::destination::Destination as Parties;
pub(super) use self::error_type::{answer, error_type, is_for_size, is_returned_for_size};
use self::sent_at::sent_at;
use crate::engine::client::Client;
use crate::engine::destination::Destination;
use crate::engine::received::sealed::{ConsumedMessage, MessageSource};
use crate::policy::Rule;
use crate::semconv::attributes::{
    DELIVERY_ATTEMPT, MESSAGING_MESSAGE_CONVERSATION_ID, MESSAGING_MESSAGE_ID,
};
use crate::semconv::text::text;

/// Routing key of the message, where it has one.
pub const MESSAGING_RABBITMQ_DESTINATION_ROUTING_KEY: &str =
    "messaging.rabbitmq.destination.routing_key";
/// Number of the delivery on its channel.
pub const MESSAGING_RABBITMQ_MESSAGE_DELIVERY_TAG: &str = "messaging.rabbitmq.message.delivery_tag";
/// What the broker said to a message that was published. Not registered in the conventions.
///
/// `ack`, `nack`, `returned` if no queue was there for it, or `not_requested` where the channel has
/// no confirms. Not set where nobody waited for it.
pub const CONFIRMATION: &str = "otel_messaging.rabbitmq.confirmation";
/// Set to false where a delivery could not be settled. Not registered in the conventions.
///
/// It was settled before, or its channel is gone.
pub const SETTLED: &str = "otel_messaging.rabbitmq.settled";

/// The conventions name the broker, which is not the only one that speaks the protocol.
const SYSTEM: &str = "rabbitmq";

/// Where a wrapped client publishes.
pub(super) fn published(
    client: &Client,
    exchange: &ShortString,
    routing_key: &ShortString,
) -> Arc<Destination> {
    client.destination(Parties::published(exchange.as_str(), routing_key.as_str()).name())
}

/// Attributes of a message that is published.
///
/// Spec: RabbitMQ, table of attributes, 1.44.0.
pub(super) fn content(
    routing_key: &ShortString,
    properties: &BasicProperties,
) -> impl Iterator<Item = KeyValue> + use<> {
    let attribute = |key, value: Option<&ShortString>| {
        let value = value.filter(|value| !value.as_str().is_empty())?;
        Some(KeyValue::new(key, text(value.as_str())))
    };
    [
        attribute(
            MESSAGING_RABBITMQ_DESTINATION_ROUTING_KEY,
            Some(routing_key),
        ),
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
    pub(super) client: Arc<Client>,
    pub(super) queue: ShortString,
    /// The queue is gone with its user.
    pub(super) is_temporary: bool,
    /// The protocol's verb for taking a message.
    pub(super) receive_name: &'static str,
}

#[expect(private_interfaces, reason = "nobody else can call it")]
impl MessageSource for Source {
    fn client(&self) -> &Arc<Client> {
        &self.client
    }

    fn receive_name(&self) -> &'static str {
        self.receive_name
    }
}

#[expect(private_interfaces, reason = "nobody else can call it")]
impl ConsumedMessage for Delivery {
    type Source = Source;
    type Headers = FieldTable;

    fn destination(&self, source: &Source) -> Arc<Destination> {
        let parties = Parties::received(
            self.exchange.as_str(),
            self.routing_key.as_str(),
            source.queue.as_str(),
            source.is_temporary,
        );
        source.client.destination(parties.name())
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

    fn attributes(&self, _: &Source, _: &Rule) -> Vec<KeyValue> {
        content(&self.routing_key, &self.properties)
            .chain(delivery_tag(self))
            .chain([KeyValue::new(DELIVERY_ATTEMPT, attempt(self))])
            .collect()
    }
}

/// The number of a delivery; what the attribute cannot hold is left out.
pub(super) fn delivery_tag(delivery: &Delivery) -> Option<KeyValue> {
    let tag = i64::try_from(delivery.delivery_tag).ok()?;
    Some(KeyValue::new(MESSAGING_RABBITMQ_MESSAGE_DELIVERY_TAG, tag))
}

/// As of the delivery that it holds.
#[expect(private_interfaces, reason = "nobody else can call it")]
impl ConsumedMessage for BasicGetMessage {
    type Source = Source;
    type Headers = FieldTable;

    fn destination(&self, source: &Source) -> Arc<Destination> {
        self.delivery.destination(source)
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

    fn attributes(&self, source: &Source, rule: &Rule) -> Vec<KeyValue> {
        self.delivery.attributes(source, rule)
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
