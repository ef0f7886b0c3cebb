pub use bare::message::*;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use bare::BasicProperties;
use bare::options::{BasicAckOptions, BasicNackOptions, BasicRejectOptions};
use bare::types::{DeliveryTag, ReplyCode, ShortString};
use otel_messaging::Received;

use crate::Result;

/// The argument of a delegate.
pub type DeliveryResult = Result<Option<Delivery>>;

/// A delivery, with the fields of the client's. Its acker is the wrapper's, but in a message that was returned.
#[derive(Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "as the client's")]
pub struct Delivery<A = Acker> {
    /// As the client's.
    pub delivery_tag: DeliveryTag,
    /// As the client's.
    pub exchange: ShortString,
    /// As the client's.
    pub routing_key: ShortString,
    /// As the client's.
    pub redelivered: bool,
    /// As the client's.
    pub properties: BasicProperties,
    /// As the client's.
    pub data: Vec<u8>,
    /// What it is acknowledged with.
    pub acker: A,
}

impl From<Received<bare::message::Delivery>> for Delivery {
    fn from(received: Received<bare::message::Delivery>) -> Self {
        Self {
            delivery_tag: received.delivery_tag,
            exchange: received.exchange.clone(),
            routing_key: received.routing_key.clone(),
            redelivered: received.redelivered,
            properties: received.properties.clone(),
            data: received.data.clone(),
            acker: Acker(Arc::new(received)),
        }
    }
}

impl<A> Deref for Delivery<A> {
    type Target = A;

    fn deref(&self) -> &Self::Target {
        &self.acker
    }
}

/// Acknowledges a delivery by the wrapper.
#[derive(Clone)]
pub struct Acker(Arc<Received<bare::message::Delivery>>);

impl Acker {
    /// The wrapper's.
    pub fn ack(&self, options: BasicAckOptions) -> impl Future<Output = Result<bool>> {
        self.0.ack(options)
    }

    /// The wrapper's.
    pub fn nack(&self, options: BasicNackOptions) -> impl Future<Output = Result<bool>> {
        self.0.nack(options)
    }

    /// The wrapper's.
    pub fn reject(&self, options: BasicRejectOptions) -> impl Future<Output = Result<bool>> {
        self.0.reject(options)
    }
}

impl Deref for Acker {
    type Target = bare::Acker;

    fn deref(&self) -> &Self::Target {
        &self.0.acker
    }
}

impl PartialEq for Acker {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Acker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// What a test expects of a message that was returned.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "as the client's")]
pub struct BasicReturnMessage {
    /// As the client's.
    pub delivery: Delivery<bare::Acker>,
    /// As the client's.
    pub reply_code: ReplyCode,
    /// As the client's.
    pub reply_text: ShortString,
}

/// Of all fields, as the client compares them. What comes back is what was sent, which is what was given and its context.
impl PartialEq<BasicReturnMessage> for bare::message::BasicReturnMessage {
    fn eq(&self, expected: &BasicReturnMessage) -> bool {
        let Delivery {
            delivery_tag,
            exchange,
            routing_key,
            redelivered,
            properties,
            data,
            acker,
        } = &expected.delivery;
        let delivery = &self.delivery;
        self.reply_code == expected.reply_code
            && self.reply_text == expected.reply_text
            && delivery.delivery_tag == *delivery_tag
            && delivery.exchange == *exchange
            && delivery.routing_key == *routing_key
            && delivery.redelivered == *redelivered
            && delivery.properties == with_context(properties, &delivery.properties)
            && delivery.data == *data
            && delivery.acker == *acker
    }
}

/// The properties that a message goes out with, if those that came back have no header but the context.
fn with_context(given: &BasicProperties, back: &BasicProperties) -> BasicProperties {
    let given = given.clone();
    match back.headers() {
        Some(headers)
            if headers
                .inner()
                .keys()
                .all(|name| name.as_str() == "traceparent") =>
        {
            given.with_headers(headers.clone())
        }
        _ => given,
    }
}
