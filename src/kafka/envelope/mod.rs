//! What a record, a message or a commit says of itself, and the keys that only Kafka has.

mod error_type;

use std::sync::OnceLock;

use opentelemetry::{KeyValue, StringValue};
use rdkafka::Message;
use rdkafka::client::{Client, ClientContext};

pub(super) use self::error_type::error_type;
use super::native;
use crate::Telemetry;
use crate::envelope::{Envelope, Server};

/// Key of the message, where it is text.
pub const MESSAGING_KAFKA_MESSAGE_KEY: &str = "messaging.kafka.message.key";
/// Offset of the message in its partition.
pub const MESSAGING_KAFKA_OFFSET: &str = "messaging.kafka.offset";
/// Whether the message has no value; only set if so.
pub const MESSAGING_KAFKA_MESSAGE_TOMBSTONE: &str = "messaging.kafka.message.tombstone";
/// Id of the Kafka cluster, once the client has learnt it.
pub const MESSAGING_KAFKA_CLUSTER_ID: &str = "messaging.kafka.cluster.id";

const SYSTEM: &str = "kafka";
const DEFAULT_PORT: u16 = 9092;
/// What librdkafka says when the user has set no `client.id`.
const CLIENT_ID_UNSET: &str = "rdkafka";
/// librdkafka's own default of `message.max.bytes`.
const DEFAULT_MESSAGE_MAX_BYTES: usize = 1_000_000;

/// What is known of a wrapped client, read from it once.
#[derive(Debug)]
pub(super) struct ClientInfo {
    pub(super) telemetry: Telemetry,
    /// Largest message that the client sends, in bytes, headers and overhead included.
    pub(super) message_max_bytes: usize,
    client_id: Option<StringValue>,
    consumer_group: Option<StringValue>,
    server: Option<Server>,
    cluster_id: OnceLock<StringValue>,
}

impl ClientInfo {
    pub(super) fn read<C: ClientContext>(telemetry: &Telemetry, client: &Client<C>) -> Self {
        let servers = native::config(client, c"bootstrap.servers")
            .or_else(|| native::config(client, c"metadata.broker.list"));
        Self {
            telemetry: telemetry.clone(),
            message_max_bytes: native::config(client, c"message.max.bytes")
                .and_then(|bytes| bytes.parse().ok())
                .unwrap_or(DEFAULT_MESSAGE_MAX_BYTES),
            client_id: native::config(client, c"client.id")
                .filter(|id| id != CLIENT_ID_UNSET)
                .map(shared),
            consumer_group: native::config(client, c"group.id").map(shared),
            server: servers.as_deref().and_then(only_server),
            cluster_id: OnceLock::new(),
        }
    }

    /// Takes the cluster's id from the client, once the client knows it; never waits for it.
    pub(super) fn learn_cluster_id<C: ClientContext>(&self, client: &Client<C>) {
        if self.cluster_id.get().is_none()
            && let Some(id) = client.fetch_cluster_id(std::time::Duration::ZERO)
        {
            let _ = self.cluster_id.set(shared(id));
        }
    }

    pub(super) fn cluster_id(&self) -> Option<KeyValue> {
        let id = self.cluster_id.get()?;
        Some(KeyValue::new(MESSAGING_KAFKA_CLUSTER_ID, id.clone()))
    }

    pub(super) fn sent<'a>(&'a self, topic: &'a str, partition: Option<i32>) -> Envelope<'a> {
        Envelope {
            destination: Some(topic),
            partition,
            consumer_group: None,
            ..self.envelope("send")
        }
    }

    pub(super) fn received<'a>(&'a self, message: &'a impl Message) -> Envelope<'a> {
        Envelope {
            destination: Some(message.topic()),
            partition: Some(message.partition()),
            ..self.envelope("process")
        }
    }

    pub(super) fn committed<'a>(
        &'a self,
        topic: Option<&'a str>,
        partition: Option<i32>,
    ) -> Envelope<'a> {
        Envelope {
            destination: topic,
            partition,
            ..self.envelope("commit")
        }
    }

    const fn envelope(&self, operation_name: &'static str) -> Envelope<'_> {
        Envelope {
            system: SYSTEM,
            operation_name,
            destination: None,
            partition: None,
            consumer_group: self.consumer_group.as_ref(),
            client_id: self.client_id.as_ref(),
            server: self.server.as_ref(),
        }
    }
}

/// Attributes of one record or message by its key and payload.
///
/// Spec: Kafka § Span attributes, 1.44.0.
pub(super) fn content(
    key: Option<&[u8]>,
    has_payload: bool,
) -> impl Iterator<Item = KeyValue> + use<> {
    let key = key
        .and_then(key_text)
        .map(|key| KeyValue::new(MESSAGING_KAFKA_MESSAGE_KEY, key.to_owned()));
    let tombstone = (!has_payload).then(|| KeyValue::new(MESSAGING_KAFKA_MESSAGE_TOMBSTONE, true));
    key.into_iter().chain(tombstone)
}

/// The offset of a message.
pub(super) fn offset(offset: i64) -> KeyValue {
    KeyValue::new(MESSAGING_KAFKA_OFFSET, offset)
}

/// A key that is text for people. Other keys have no agreed text form, and the conventions leave
/// them out; a binary number may be UTF-8 by chance but holds control characters then.
fn key_text(key: &[u8]) -> Option<&str> {
    str::from_utf8(key)
        .ok()
        .filter(|key| !key.chars().any(char::is_control))
}

/// The server, where the client was told of just one.
fn only_server(servers: &str) -> Option<Server> {
    if servers.contains(',') {
        return None;
    }
    let server = servers.trim();
    let server = server.split_once("://").map_or(server, |(_, rest)| rest);
    let (address, port) = match server.rsplit_once(':') {
        Some((address, port)) if !address.ends_with(':') && !port.ends_with(']') => {
            (address, port.parse().ok()?)
        }
        _ => (server, DEFAULT_PORT),
    };
    let address = address.trim_start_matches('[').trim_end_matches(']');
    (!address.is_empty()).then(|| Server {
        address: shared(address.to_owned()),
        port,
    })
}

/// Counted, so that every span can have it without a copy.
fn shared(text: String) -> StringValue {
    StringValue::from(std::sync::Arc::<str>::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_known_only_where_the_client_was_told_of_just_one() {
        let servers = [
            ("kafka", Some(("kafka", 9092))),
            ("kafka:19092", Some(("kafka", 19092))),
            (
                " SASL_SSL://kafka.example:9093 ",
                Some(("kafka.example", 9093)),
            ),
            ("[::1]:9094", Some(("::1", 9094))),
            ("[::1]", Some(("::1", 9092))),
            ("a:9092,b:9092", None),
            ("kafka:port", None),
            ("", None),
        ];

        for (text, expected) in servers {
            let found = only_server(text);
            let found = found
                .as_ref()
                .map(|server| (server.address.as_str(), server.port));
            assert_eq!(found, expected, "{text:?}");
        }
    }

    #[test]
    fn a_key_is_an_attribute_only_where_it_is_text() {
        let keys: [(&[u8], Option<&str>); 4] = [
            (b"order-7", Some("order-7")),
            ("größe".as_bytes(), Some("größe")),
            (&[0, 0, 0, 7], None),
            (&[0xff, 0xfe], None),
        ];

        for (key, expected) in keys {
            assert_eq!(key_text(key), expected);
        }
    }
}
