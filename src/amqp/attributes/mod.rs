//! Attributes that only RabbitMQ has.

mod attempt;
pub(super) mod connection;
mod destination;
mod error_type;
mod made_up;
mod message;
mod sent_at;

pub(super) use self::connection::ConnectionInfo;
pub(super) use self::error_type::{answer, error_type, is_for_size, is_returned_for_size};
pub(super) use self::message::{
    Source, confirmed_as, content, delivery_tag, published, published_without,
};

/// Routing key of the message, where it has one.
pub const RABBITMQ_DESTINATION_ROUTING_KEY: &str = "rabbitmq.destination.routing_key";
/// Number of the delivery on its channel.
pub const RABBITMQ_MESSAGE_DELIVERY_TAG: &str = "rabbitmq.message.delivery_tag";
/// What the broker said to a message that was published. Not registered in the conventions.
///
/// `ack`, `nack`, `returned` if no queue was there for it, or `not_requested` where the channel has
/// no confirms. Not set where nobody waited for it.
pub const CONFIRMATION: &str = "otel_messaging.rabbitmq.confirmation";
/// Set to false where a delivery could not be settled. Not registered in the conventions.
///
/// It was settled before, or its channel is gone.
pub const SETTLED: &str = "otel_messaging.rabbitmq.settled";
