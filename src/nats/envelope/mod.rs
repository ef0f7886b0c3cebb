//! What a connection, a subscription and a message say of themselves, and the keys that only NATS
//! has.
//!
//! NATS is not registered in the conventions. Its system is `nats`, as in other languages.

mod error_type;
mod message;
mod subject;

use crate::telemetry::Moment;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use async_nats::jetstream::publish::PublishAck;
use async_nats::{Client, ServerInfo, jetstream};
use opentelemetry::KeyValue;

pub(super) use self::error_type::{
    of_answer, of_jetstream_publish, of_publish, of_request, of_settle,
};
pub(super) use self::message::message_id;
pub(super) use self::subject::Patterns;
use self::subject::{INBOX, is_inbox, template};
use super::carrier::MessageHeaders;
use crate::Telemetry;
use crate::envelope::{self as core, Destination, Name, Server, shared};
use crate::semconv::attributes::count;
use crate::semconv::text::text;

/// Stream that holds the message. Not registered in the conventions.
pub const STREAM: &str = "otel_messaging.nats.stream";
/// Sequence number of the message in its stream. Not registered in the conventions.
pub const STREAM_SEQUENCE: &str = "otel_messaging.nats.stream_sequence";
/// Whether the stream had the message before and dropped this one; only set if so. Not registered in
/// the conventions.
pub const DUPLICATE: &str = "otel_messaging.nats.duplicate";

/// How many messages of a batch the stream had before; only set if it had any. Not registered in the
/// conventions.
pub const DUPLICATES: &str = "otel_messaging.nats.duplicates";

const SYSTEM: &str = "nats";

/// What is known of a connection, and of what it may carry.
#[derive(Debug)]
pub(super) struct Connection {
    client: Client,
    /// What the subjects begin with that the client makes up for answers.
    inbox: Box<str>,
    /// How often the client had connected when `takes_headers` was looked up.
    connects: AtomicU64,
    takes_headers: AtomicBool,
}

impl Connection {
    fn of(client: Client) -> Self {
        let inbox = client.new_inbox();
        let inbox = inbox.rsplit_once('.').map_or("", |(prefix, _)| prefix);
        Self {
            inbox: inbox.into(),
            connects: AtomicU64::new(0),
            takes_headers: AtomicBool::new(true),
            client,
        }
    }

    /// Bytes that headers may still take before the message is refused.
    pub(super) fn room(&self, headers: &MessageHeaders<'_>, payload: usize) -> usize {
        if self.takes_headers() {
            headers.room(self.client.max_payload(), payload)
        } else {
            0
        }
    }

    /// Whether the server that the client is connected to knows headers. Asking the client copies
    /// all that it knows of the server, so that it is done once for each connection.
    fn takes_headers(&self) -> bool {
        let connects = self.client.statistics().connects.load(Ordering::Relaxed);
        if self.connects.swap(connects, Ordering::Relaxed) != connects {
            let server = self.client.try_server_info();
            let takes_headers = server.is_none_or(|server| server.headers);
            self.takes_headers.store(takes_headers, Ordering::Relaxed);
        }
        self.takes_headers.load(Ordering::Relaxed)
    }

    fn known(&self, telemetry: &Telemetry, group: Option<&str>) -> Arc<core::Client> {
        let mut known = core::Client::new(telemetry, SYSTEM);
        known.consumer_group = group.map(shared);
        known.set_server(self.client.try_server_info().as_ref().and_then(only_server));
        Arc::new(known)
    }

    /// A subject as the core knows it; `pattern` is what it was subscribed by.
    fn destination(
        &self,
        client: &core::Client,
        subject: &str,
        pattern: Option<&str>,
        is_reply: bool,
    ) -> Arc<Destination> {
        let rest = subject.strip_prefix(&*self.inbox);
        let is_own_inbox = rest.is_some_and(|rest| rest.starts_with('.'));
        let known = is_own_inbox.then_some(&*self.inbox).or(pattern);
        let template = match known {
            Some(known) => Some(known.into()),
            None => template(subject).filter(|template| is_one_of_few(client, template)),
        };
        client.destination(Name {
            text: subject,
            template: template.as_deref(),
            is_temporary: is_reply || is_own_inbox || is_inbox(subject),
            is_anonymous: false,
        })
    }
}

/// Whether a template that a subject tells is one that its client may still name: whoever asks
/// chooses where the answer goes, so that there may be any number of them.
fn is_one_of_few(client: &core::Client, template: &str) -> bool {
    let named = || client.destination(Name::lasting(template));
    template == INBOX || named().low_cardinality_name().is_some()
}

/// What is known of a client that sends.
#[derive(Debug)]
pub(super) struct ClientInfo {
    pub(super) client: Arc<core::Client>,
    pub(super) connection: Arc<Connection>,
}

impl ClientInfo {
    pub(super) fn read(telemetry: &Telemetry, client: Client) -> Self {
        let connection = Connection::of(client);
        Self {
            client: connection.known(telemetry, None),
            connection: Arc::new(connection),
        }
    }

    pub(super) fn destination(&self, subject: &str) -> Arc<Destination> {
        let Self { client, connection } = self;
        connection.destination(client, subject, None, false)
    }
}

/// What is known of a subscription.
#[derive(Debug)]
#[expect(unnameable_types, reason = "nobody but us reads it")]
pub struct Subscription {
    pub(super) client: Arc<core::Client>,
    pub(super) connection: Arc<Connection>,
    patterns: Patterns,
}

impl Subscription {
    pub(super) fn new(
        telemetry: &Telemetry,
        client: Client,
        patterns: Patterns,
        group: Option<&str>,
    ) -> Self {
        let connection = Connection::of(client);
        Self {
            client: connection.known(telemetry, group),
            connection: Arc::new(connection),
            patterns,
        }
    }

    pub(super) fn destination(&self, subject: &str) -> Arc<Destination> {
        let pattern = self.patterns.of(subject);
        self.connection
            .destination(&self.client, subject, pattern, false)
    }

    /// Where the answer to a request goes, which the subscription did not ask for.
    pub(super) fn reply_destination(&self, reply: &str) -> Arc<Destination> {
        self.connection.destination(&self.client, reply, None, true)
    }

    fn stream(&self) -> Option<&str> {
        self.patterns.stream()
    }

    /// The begin of a wait for a message, where receiving may have a span.
    pub(super) fn wait(&self) -> Option<Moment> {
        self.client.telemetry.begin_of_wait()
    }
}

/// What is known of a JetStream consumer. It keeps its connection to itself, but its first message
/// shows it.
#[derive(Debug)]
#[expect(unnameable_types, reason = "nobody but us reads it")]
pub struct ConsumerInfo {
    telemetry: Telemetry,
    patterns: Patterns,
    group: Option<String>,
    subscription: OnceLock<Arc<Subscription>>,
}

impl ConsumerInfo {
    pub(super) fn new(telemetry: &Telemetry, patterns: Patterns, group: Option<String>) -> Self {
        Self {
            telemetry: telemetry.clone(),
            patterns,
            group,
            subscription: OnceLock::new(),
        }
    }

    /// The subscription, over the connection that a message came by.
    pub(super) fn of(&self, message: &jetstream::Message) -> &Arc<Subscription> {
        self.subscription.get_or_init(|| {
            Arc::new(Subscription::new(
                &self.telemetry,
                message.context.client(),
                self.patterns.clone(),
                self.group.as_deref(),
            ))
        })
    }

    /// The begin of a wait for a message, where receiving may have a span.
    pub(super) fn wait(&self) -> Option<Moment> {
        self.telemetry.begin_of_wait()
    }
}

/// Where a stream keeps a message.
pub(super) fn position(stream: &str, sequence: u64) -> impl Iterator<Item = KeyValue> + use<> {
    let sequence = i64::try_from(sequence).ok();
    let sequence = sequence.map(|sequence| KeyValue::new(STREAM_SEQUENCE, sequence));
    [KeyValue::new(STREAM, text(stream))]
        .into_iter()
        .chain(sequence)
}

/// What a stream said of messages that were sent together: which it is, if all of them are in one, and
/// how many it had before.
pub(super) fn of_acks<E>(results: &[Result<PublishAck, E>]) -> impl Iterator<Item = KeyValue> {
    let mut acks = results.iter().flatten();
    let duplicates = acks.clone().filter(|ack| ack.duplicate).count();
    let stream = acks
        .next()
        .filter(|first| acks.all(|ack| ack.stream == first.stream));
    let stream = stream.map(|ack| KeyValue::new(STREAM, text(&ack.stream)));
    let duplicates = (duplicates > 0).then(|| count(DUPLICATES, duplicates));
    stream.into_iter().chain(duplicates)
}

/// The server by its own word, where the client has no other to connect to and the server does not
/// listen on all its addresses, which names none.
fn only_server(server: &ServerInfo) -> Option<Server> {
    let address = server.host.trim_matches(['[', ']']);
    let names_none = address
        .parse::<IpAddr>()
        .is_ok_and(|address| address.is_unspecified());
    let is_only = server.connect_urls.len() <= 1;
    (is_only && !names_none && !address.is_empty()).then(|| Server {
        address: shared(address),
        port: server.port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_known_only_where_it_is_the_only_one_and_names_an_address() {
        let one = || vec!["nats-1.example:4222".to_owned()];
        let two = || {
            vec![
                "nats-1.example:4222".to_owned(),
                "nats-2.example:4222".to_owned(),
            ]
        };
        let rows = [
            ("127.0.0.1", vec![], Some("127.0.0.1")),
            ("nats.example", one(), Some("nats.example")),
            ("[::1]", vec![], Some("::1")),
            ("nats.example", two(), None),
            ("0.0.0.0", vec![], None),
            ("::", vec![], None),
            ("", vec![], None),
        ];

        for (host, connect_urls, expected) in rows {
            let server = only_server(&ServerInfo {
                host: host.to_owned(),
                port: 4222,
                connect_urls,
                ..ServerInfo::default()
            });
            let found = server.as_ref().map(|server| server.address.as_str());
            assert_eq!(found, expected, "{host:?}");
        }
    }
}
