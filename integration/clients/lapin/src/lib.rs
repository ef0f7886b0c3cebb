//! lapin, with our wrappers in the place of what is published, consumed and acknowledged with it.
//!
//! A connection gives channels that publish with the wrapped producer and consume with the wrapped consumer; the rest
//! of a channel is the client's. A delivery is acknowledged by the wrapper too.

#[path = "../../telemetry.rs"]
mod telemetry;

mod consumer;
/// Deliveries.
pub mod message;

use std::ops::Deref;

use bare::options::{BasicConsumeOptions, BasicPublishOptions};
use bare::types::{FieldTable, ShortString};
use bare::uri::AMQPUri;
pub use bare::*;
use otel_messaging::amqp::{self, ConnectionInfo};

pub use self::consumer::{Consumer, ConsumerDelegate};
pub use self::message::Acker;
use self::telemetry::TELEMETRY;

/// A connection whose channels are ours.
#[derive(Debug)]
pub struct Connection {
    bare: bare::Connection,
    known: ConnectionInfo,
}

impl Connection {
    fn of(bare: bare::Connection, uri: &str) -> Self {
        let known = (&bare, uri).into();
        Self { bare, known }
    }

    /// As the client's.
    ///
    /// # Errors
    ///
    /// The client's.
    pub async fn connect(uri: &str, options: ConnectionProperties) -> Result<Self> {
        let bare = bare::Connection::connect(uri, options).await?;
        Ok(Self::of(bare, uri))
    }

    /// As the client's.
    ///
    /// # Errors
    ///
    /// The client's.
    pub async fn connect_uri(uri: AMQPUri, options: ConnectionProperties) -> Result<Self> {
        let bare = bare::Connection::connect_uri(uri, options).await?;
        Ok(Self::of(bare, ""))
    }

    /// As the client's.
    ///
    /// # Errors
    ///
    /// The client's.
    pub async fn connect_with_runtime<R>(
        uri: &str,
        options: ConnectionProperties,
        runtime: async_rs::Runtime<R>,
    ) -> Result<Self>
    where
        R: async_rs::traits::RuntimeKit + Send + Sync + Clone + 'static,
    {
        let bare = bare::Connection::connect_with_runtime(uri, options, runtime).await?;
        Ok(Self::of(bare, uri))
    }

    /// As the client's.
    ///
    /// # Errors
    ///
    /// The client's.
    pub async fn create_channel(&self) -> Result<Channel> {
        let bare = self.bare.create_channel().await?;
        Ok(Channel {
            producer: amqp::Producer::wrap(&TELEMETRY, &self.known, bare.clone()),
            consumer: amqp::Consumer::wrap(&TELEMETRY, &self.known, bare),
        })
    }
}

impl Deref for Connection {
    type Target = bare::Connection;

    fn deref(&self) -> &Self::Target {
        &self.bare
    }
}

/// A channel that publishes with the wrapped producer and consumes with the wrapped consumer.
#[derive(Clone, Debug)]
pub struct Channel {
    producer: amqp::Producer,
    consumer: amqp::Consumer<bare::Channel>,
}

impl Channel {
    /// The wrapper's.
    pub fn basic_publish(
        &self,
        exchange: ShortString,
        routing_key: ShortString,
        options: BasicPublishOptions,
        payload: &[u8],
        properties: BasicProperties,
    ) -> impl Future<Output = Result<amqp::PublisherConfirm>> {
        self.producer
            .basic_publish(exchange, routing_key, options, payload, properties)
    }

    /// The wrapper's.
    ///
    /// # Errors
    ///
    /// The client's.
    pub async fn basic_consume(
        &self,
        queue: ShortString,
        tag: ShortString,
        options: BasicConsumeOptions,
        arguments: FieldTable,
    ) -> Result<Consumer> {
        let consuming = self.consumer.basic_consume(queue, tag, options, arguments);
        consuming.await.map(Consumer)
    }
}

/// Whatever else a channel has.
impl Deref for Channel {
    type Target = bare::Channel;

    fn deref(&self) -> &Self::Target {
        self.producer.inner()
    }
}
