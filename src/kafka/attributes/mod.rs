//! What a record, a message or a commit says of itself, and the keys that only Kafka has.

mod error_type;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use opentelemetry::{KeyValue, StringValue};
use rdkafka::client::{Client, ClientContext};
use rdkafka::message::BorrowedHeaders;

pub(super) use self::error_type::error_type;
use super::carrier::MessageHeaders;
use super::native;
use crate::engine::client;
use crate::engine::client::Server;
use crate::engine::destination::{Destination, Name, shared};
use crate::engine::received::sealed::{ConsumedMessage, MessageSource};
use crate::policy::Rule;
use crate::semconv::text::text;
use crate::telemetry::Telemetry;

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
#[expect(unnameable_types, reason = "nobody but us reads it")]
pub struct ClientInfo {
    pub(super) client: Arc<client::Client>,
    /// Largest message that the client sends, in bytes, headers and overhead included.
    pub(super) message_max_bytes: usize,
    cluster_id: OnceLock<StringValue>,
}

impl ClientInfo {
    pub(super) fn read<C: ClientContext>(telemetry: &Telemetry, client: &Client<C>) -> Self {
        let servers = native::config(client, c"bootstrap.servers")
            .or_else(|| native::config(client, c"metadata.broker.list"));
        let id = native::config(client, c"client.id").filter(|id| id != CLIENT_ID_UNSET);
        let group = native::config(client, c"group.id");
        let mut known = client::Client::new(telemetry, SYSTEM);
        known.id = id.as_deref().map(shared);
        known.consumer_group = group.as_deref().map(shared);
        known.set_server(servers.as_deref().and_then(only_server));
        Self {
            message_max_bytes: native::config(client, c"message.max.bytes")
                .and_then(|bytes| bytes.parse().ok())
                .unwrap_or(DEFAULT_MESSAGE_MAX_BYTES),
            client: Arc::new(known),
            cluster_id: OnceLock::new(),
        }
    }

    /// Takes the cluster's id from the client, once the client knows it; never waits for it.
    pub(super) fn learn_cluster_id<C: ClientContext>(&self, client: &Client<C>) {
        if self.cluster_id.get().is_none()
            && let Some(id) = client.fetch_cluster_id(Duration::ZERO)
        {
            let _ = self.cluster_id.set(shared(&id));
        }
    }

    pub(super) fn cluster_id(&self) -> Option<KeyValue> {
        let id = self.cluster_id.get()?;
        Some(KeyValue::new(MESSAGING_KAFKA_CLUSTER_ID, id.clone()))
    }

    pub(super) fn destination(&self, topic: &str) -> Arc<Destination> {
        self.client.destination(Name::lasting(topic))
    }
}

#[expect(private_interfaces, reason = "nobody else can call it")]
impl MessageSource for ClientInfo {
    fn client(&self) -> &Arc<client::Client> {
        &self.client
    }

    fn receive_name(&self) -> &'static str {
        "poll"
    }
}

#[expect(private_interfaces, reason = "nobody else can call it")]
impl<M: MessageHeaders> ConsumedMessage for M {
    type Source = ClientInfo;
    type Headers = BorrowedHeaders;

    fn destination(&self, source: &ClientInfo) -> Arc<Destination> {
        source.destination(self.topic())
    }

    fn partition(&self) -> Option<i32> {
        Some(rdkafka::Message::partition(self))
    }

    fn headers(&self) -> Option<&BorrowedHeaders> {
        self.borrowed_headers()
    }

    fn sent_at(&self) -> Option<SystemTime> {
        let millis = u64::try_from(self.timestamp().to_millis()?).ok()?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))
    }

    fn attributes(&self, source: &ClientInfo, rule: &Rule) -> Vec<KeyValue> {
        content(rule, self.key(), self.payload().is_some())
            .chain([offset(self.offset())])
            .chain(source.cluster_id())
            .collect()
    }
}

/// Attributes of one record or message by its key and payload.
///
/// Spec: Kafka, table of attributes, 1.44.0.
pub(super) fn content(
    rule: &Rule,
    key: Option<&[u8]>,
    has_payload: bool,
) -> impl Iterator<Item = KeyValue> + use<> {
    let key = key
        .filter(|_| rule.wants_message_key())
        .and_then(key_text)
        .map(|key| KeyValue::new(MESSAGING_KAFKA_MESSAGE_KEY, text(key)));
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
        address: shared(address),
        port,
    })
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
    fn a_key_of_any_size_is_a_short_attribute() {
        let key = "k".repeat(900_000);

        let mut attributes = content(&Rule::of("orders"), Some(key.as_bytes()), true);

        let value = attributes.next().map(|one| one.value.to_string());
        assert!(value.is_some_and(|value| value.len() <= 256));
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
