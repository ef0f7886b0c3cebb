//! A message as it was, to be sent again.

use std::fmt;

use async_nats::HeaderMap;
use bytes::Bytes;
use lapin::BasicProperties;
use rdkafka::message::OwnedHeaders;

/// A message as it was.
#[derive(Clone)]
pub(crate) enum Original {
    Kafka {
        key: Option<Vec<u8>>,
        payload: Option<Vec<u8>>,
        headers: Option<OwnedHeaders>,
    },
    RabbitMq {
        routing_key: String,
        properties: Box<BasicProperties>,
        payload: Vec<u8>,
    },
    Nats {
        subject: String,
        headers: Option<HeaderMap>,
        payload: Bytes,
    },
}

impl fmt::Debug for Original {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is in it is nobody's business.
        f.write_str("Original")
    }
}
