//! Keys of attributes that only RabbitMQ has.
//!
//! Spec: [RabbitMQ § RabbitMQ spans].
//!
//! [RabbitMQ § RabbitMQ spans]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/rabbitmq.md#rabbitmq-spans

pub(super) mod attempt;
pub(super) mod connection;
mod destination;
mod error_type;
mod made_up;
mod message;
pub(super) mod sent_at;

pub(super) use self::connection::ConnectionInfo;
pub(super) use self::error_type::{answer, error_type, is_for_size, is_returned_for_size};
pub(super) use self::message::{
    Source, confirmed_as, content, delivery_tag, published, published_without,
};

/// Routing key of the message. Not set if it is empty.
pub const RABBITMQ_DESTINATION_ROUTING_KEY: &str = "rabbitmq.destination.routing_key";
/// Number of the delivery on its channel.
pub const RABBITMQ_MESSAGE_DELIVERY_TAG: &str = "rabbitmq.message.delivery_tag";
/// The broker's answer to a published message. Not registered in the conventions.
///
/// `ack`, `nack`, `returned` if no queue was found for the message, or `not_requested` on a channel
/// without confirms. Not set if the confirm was dropped. `ack` is set only with
/// [`unregistered_attributes`](crate::policy::Rule::unregistered_attributes).
pub const CONFIRMATION: &str = "otel_messaging.rabbitmq.confirmation";
/// False if a delivery could not be settled, because it was settled before or its channel is
/// closed. Not registered in the conventions.
pub const SETTLED: &str = "otel_messaging.rabbitmq.settled";
