//! RabbitMQ and whatever else speaks AMQP 0.9.1, by the client [`lapin`].

mod carrier;
mod consumer;
mod envelope;
mod producer;
mod settle;

pub use lapin;

pub use self::carrier::{extract, inject};
pub use self::consumer::{Consumer, ConsumerDelegate, DeliveryResult, Traceable};
pub use self::envelope::{
    CONFIRMATION, ConnectionInfo, MESSAGING_RABBITMQ_DESTINATION_ROUTING_KEY,
    MESSAGING_RABBITMQ_MESSAGE_DELIVERY_TAG, SETTLED,
};
pub use self::producer::{Producer, PublisherConfirm};
pub use self::settle::Settleable;
pub use crate::received::Received;
