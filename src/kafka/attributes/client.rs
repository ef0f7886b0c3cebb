//! [`ClientInfo`]: id, servers and limits of a wrapped client.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::fmt;
use std::iter;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use opentelemetry::{KeyValue, StringValue};
use rdkafka::client::{Client, ClientContext};

use super::KAFKA_CLUSTER_ID;
use super::error_type::known_error;
use super::topics::Topics;
use crate::engine::client;
use crate::engine::client::Server;
use crate::engine::destination::{Destination, Name, shared, shared_unless_empty};
use crate::engine::received::sealed::MessageSource;
use crate::kafka::native;
use crate::telemetry::Telemetry;

const SYSTEM: &str = "kafka";
/// The client's verb for receiving.
const POLL: &str = "poll";
const DEFAULT_PORT: u16 = 9092;
/// What librdkafka says when the user has set no `client.id`.
const CLIENT_ID_UNSET: &str = "rdkafka";
/// librdkafka's own default of `message.max.bytes`.
const DEFAULT_MESSAGE_MAX_BYTES: usize = 1_000_000;

/// What is known of a wrapped client, read from it once.
#[derive(Debug)]
#[expect(unnameable_types, reason = "nobody but us reads it")]
pub struct ClientInfo {
    pub(in crate::kafka) client: Arc<client::Client>,
    /// Largest message that the client sends, in bytes, headers and overhead included.
    pub(in crate::kafka) message_max_bytes: usize,
    /// A record that is delivered is reported to nobody.
    pub(in crate::kafka) reports_only_errors: bool,
    /// The broker answers what it is sent.
    pub(in crate::kafka) is_answered: bool,
    cluster_id: OnceLock<StringValue>,
    /// What the application has asked for.
    topics: RwLock<Topics>,
}

impl ClientInfo {
    pub(in crate::kafka) fn read<C: ClientContext>(
        telemetry: &Telemetry,
        client: &Client<C>,
    ) -> Self {
        Self::configured(telemetry, |name| native::config(client, name))
    }

    /// What is known of a client with these properties.
    pub(in crate::kafka) fn configured(
        telemetry: &Telemetry,
        property: impl Fn(&CStr) -> Option<String>,
    ) -> Self {
        let servers = property(c"bootstrap.servers").or_else(|| property(c"metadata.broker.list"));
        let id = property(c"client.id").filter(|id| id != CLIENT_ID_UNSET);
        let group = property(c"group.id");
        let mut known = client::Client::new(telemetry, SYSTEM);
        known.known_error = known_error;
        known.id = id.as_deref().and_then(shared_unless_empty);
        known.consumer_group = group.as_deref().and_then(shared_unless_empty);
        known.server = servers.as_deref().and_then(only_server);
        Self {
            message_max_bytes: property(c"message.max.bytes")
                .and_then(|bytes| bytes.parse().ok())
                .unwrap_or(DEFAULT_MESSAGE_MAX_BYTES),
            reports_only_errors: property(c"delivery.report.only.error").as_deref() == Some("true"),
            is_answered: property(c"request.required.acks").as_deref() != Some("0"),
            client: Arc::new(known),
            cluster_id: OnceLock::new(),
            topics: RwLock::default(),
        }
    }

    /// Takes the cluster's id from the client, once the client knows it; never waits for it.
    pub(in crate::kafka) fn learn_cluster_id<C: ClientContext>(&self, client: &Client<C>) {
        if self.cluster_id.get().is_none()
            && let Some(id) = native::cluster_id(client)
        {
            let _ = self.cluster_id.set(shared(&id));
        }
    }

    pub(in crate::kafka) fn cluster_id(&self) -> Option<KeyValue> {
        let id = self.cluster_id.get()?;
        Some(KeyValue::new(KAFKA_CLUSTER_ID, id.clone()))
    }

    /// Changes what the application has asked for.
    pub(in crate::kafka) fn asks(&self, change: impl FnOnce(&mut Topics)) {
        let topics = self.topics.write();
        change(&mut topics.unwrap_or_else(PoisonError::into_inner));
    }

    /// What stands for these topics.
    pub(in crate::kafka) fn destination_of_all(
        &self,
        topics: BTreeSet<&str>,
    ) -> Option<Arc<Destination>> {
        let all: Vec<_> = topics
            .into_iter()
            .map(|one| self.destination(one))
            .collect();
        self.client
            .common_destination(all.iter(), |_| iter::once(None))
    }

    pub(in crate::kafka) fn destination(&self, topic: &str) -> Arc<Destination> {
        self.client.destination(Name::lasting(topic))
    }
}

#[expect(private_interfaces, reason = "nobody else can call it")]
impl MessageSource for ClientInfo {
    fn client(&self) -> &Arc<client::Client> {
        &self.client
    }

    fn receive_name(&self) -> &'static str {
        POLL
    }

    fn common_destination(&self) -> Option<Arc<Destination>> {
        let topics = self.topics.read();
        let topics = topics.unwrap_or_else(PoisonError::into_inner);
        self.destination_of_all(topics.all()?)
    }

    fn attributes(&self) -> Option<KeyValue> {
        self.cluster_id()
    }
}

/// The queue of one partition of a consumer.
#[derive(Clone, Debug)]
pub(in crate::kafka) struct PartitionInfo {
    consumer: Arc<ClientInfo>,
    topic: Arc<Destination>,
    partition: i32,
}

impl PartitionInfo {
    pub(in crate::kafka) fn new(consumer: &Arc<ClientInfo>, topic: &str, partition: i32) -> Self {
        Self {
            consumer: Arc::clone(consumer),
            topic: consumer.destination(topic),
            partition,
        }
    }

    /// Begins to show the queue by what tells it from others.
    pub(in crate::kafka) fn shown<'f, 'w>(
        &self,
        wrapper: &str,
        f: &'f mut fmt::Formatter<'w>,
    ) -> fmt::DebugStruct<'f, 'w> {
        let mut shown = self.consumer.client.shown(wrapper, f);
        shown.field("topic", &self.topic.name.as_str());
        shown.field("partition", &self.partition);
        shown
    }
}

impl MessageSource for PartitionInfo {
    fn client(&self) -> &Arc<client::Client> {
        self.consumer.client()
    }

    fn receive_name(&self) -> &'static str {
        POLL
    }

    fn common_destination(&self) -> Option<Arc<Destination>> {
        Some(Arc::clone(&self.topic))
    }

    fn partition(&self) -> Option<i32> {
        Some(self.partition)
    }

    fn attributes(&self) -> Option<KeyValue> {
        self.consumer.cluster_id()
    }
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
    let address = shared_unless_empty(address)?;
    Some(Server { address, port })
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
}
