//! What a connection, a subscription and a message say of themselves, and the keys that only NATS
//! has.
//!
//! NATS is not registered in the conventions. Its system is `nats`, as in other languages.

mod connects;
mod error_type;
mod message;
mod subject;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use async_nats::jetstream::publish::PublishAck;
use async_nats::{Client, ServerInfo, Statistics, jetstream};
use opentelemetry::KeyValue;

use self::connects::Connects;
pub(super) use self::error_type::{
    of_answer, of_jetstream_publish, of_publish, of_request, of_settle,
};
pub(super) use self::message::message_id;
pub(super) use self::subject::Patterns;
use self::subject::{is_inbox, template};
use super::carrier::MessageHeaders;
use crate::engine::client;
use crate::engine::client::Server;
use crate::engine::destination::{Destination, Name, Names, shared};
use crate::engine::received::sealed::MessageSource;
use crate::policy::Rule;
use crate::semconv::attributes::count;
use crate::semconv::text::text;
use crate::telemetry::{Moment, Telemetry};

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
    statistics: Arc<Statistics>,
    /// What the subjects begin with that the client makes up for answers.
    inbox: Box<str>,
    connects: Connects,
    /// Whether the server knows headers.
    takes_headers: AtomicBool,
    known: Arc<client::Client>,
}

impl Connection {
    fn new(telemetry: &Telemetry, client: Client, group: Option<&str>, names: &Arc<Names>) -> Self {
        let inbox = client.new_inbox();
        let inbox = inbox.rsplit_once('.').map_or("", |(prefix, _)| prefix);
        let mut known = client::Client::one_of(names, telemetry, SYSTEM);
        known.consumer_group = group.map(shared);
        Self {
            statistics: client.statistics(),
            inbox: inbox.into(),
            connects: Connects::new(),
            takes_headers: AtomicBool::new(true),
            known: Arc::new(known),
            client,
        }
    }

    /// Follows the client to the server that it is connected to by now.
    ///
    /// Asking the client copies all that it knows of the server, so that it is done once for each
    /// connection.
    fn follow(&self) {
        self.connects.follow(
            || self.statistics.connects.load(Ordering::Relaxed),
            || self.client.try_server_info(),
            |server| {
                self.takes_headers.store(server.headers, Ordering::Relaxed);
                self.known.set_server(only_server(server));
            },
        );
    }

    /// Bytes that headers may still take before a message to a destination with this rule is refused.
    pub(super) fn room(&self, rule: &Rule, headers: &MessageHeaders<'_>, payload: usize) -> usize {
        if !self.takes_headers.load(Ordering::Relaxed) {
            return 0;
        }
        let of_server = self.client.max_payload();
        let of_rule = rule.message_limit();
        let limit = of_rule.map_or(of_server, |of_rule| of_rule.min(of_server));
        headers.room(limit, payload)
    }

    /// A subject as the engine knows it, at the server that the client is connected to; `pattern` is what
    /// it was subscribed by.
    fn destination(
        &self,
        subject: &str,
        pattern: Option<&str>,
        is_reply: bool,
    ) -> Arc<Destination> {
        self.follow();
        let rest = subject.strip_prefix(&*self.inbox);
        let is_own_inbox = rest.is_some_and(|rest| rest.starts_with('.'));
        let known = is_own_inbox.then_some(&*self.inbox).or(pattern);
        let template = match known {
            Some(known) => Some(known.into()),
            None => template(subject),
        };
        self.known.destination(Name {
            text: subject,
            template: template.as_deref(),
            is_temporary: is_reply || is_own_inbox || is_inbox(subject),
            is_anonymous: false,
        })
    }
}

/// What is known of a client that sends.
#[derive(Debug)]
pub(super) struct ClientInfo {
    pub(super) client: Arc<client::Client>,
    pub(super) connection: Arc<Connection>,
}

impl ClientInfo {
    pub(super) fn read(telemetry: &Telemetry, client: Client) -> Self {
        let names = names_of_one(telemetry);
        let connection = Connection::new(telemetry, client, None, &names);
        Self {
            client: Arc::clone(&connection.known),
            connection: Arc::new(connection),
        }
    }

    /// The subject of a message that is about to be sent.
    pub(super) fn destination(&self, subject: &str) -> Arc<Destination> {
        self.connection.destination(subject, None, false)
    }
}

/// What is known of a subscription.
#[derive(Debug)]
#[expect(unnameable_types, reason = "nobody but us reads it")]
pub struct Subscription {
    pub(super) client: Arc<client::Client>,
    pub(super) connection: Arc<Connection>,
    patterns: Patterns,
}

impl Subscription {
    pub(super) fn new(
        telemetry: &Telemetry,
        client: Client,
        patterns: Patterns,
        group: Option<&str>,
        names: &Arc<Names>,
    ) -> Self {
        let connection = Connection::new(telemetry, client, group, names);
        Self {
            client: Arc::clone(&connection.known),
            connection: Arc::new(connection),
            patterns,
        }
    }

    /// The subject of a message that was received, or of an answer to it.
    pub(super) fn destination(&self, subject: &str) -> Arc<Destination> {
        let pattern = self.patterns.matching(subject);
        self.connection.destination(subject, pattern, false)
    }

    /// Where the answer to a request goes, which the subscription did not ask for.
    pub(super) fn reply_destination(&self, reply: &str) -> Arc<Destination> {
        self.connection.destination(reply, None, true)
    }

    fn stream(&self) -> Option<&str> {
        self.patterns.stream()
    }
}

#[expect(private_interfaces, reason = "nobody else can call it")]
impl MessageSource for Subscription {
    fn client(&self) -> &Arc<client::Client> {
        &self.client
    }

    /// All that the client receives is the next of a stream.
    fn receive_name(&self) -> &'static str {
        "next"
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
    pub(super) fn subscription(&self, message: &jetstream::Message) -> &Arc<Subscription> {
        self.subscription.get_or_init(|| {
            Arc::new(Subscription::new(
                &self.telemetry,
                message.context.client(),
                self.patterns.clone(),
                self.group.as_deref(),
                &names_of_one(&self.telemetry),
            ))
        })
    }

    /// The begin of a wait for a message, where receiving may have a span.
    pub(super) fn wait(&self) -> Option<Moment> {
        self.telemetry.begin_of_wait()
    }
}

/// The names of one client for the user, however many subscriptions it has.
pub(super) fn names_of_one(telemetry: &Telemetry) -> Arc<Names> {
    Names::at_most(telemetry.max_names())
}

/// Where a stream keeps a message.
pub(super) fn position(stream: &str, sequence: u64) -> impl Iterator<Item = KeyValue> + use<> {
    let sequence = i64::try_from(sequence).ok();
    let sequence = sequence.map(|sequence| KeyValue::new(STREAM_SEQUENCE, sequence));
    [KeyValue::new(STREAM, text(stream))]
        .into_iter()
        .chain(sequence)
}

/// Whether an `error.type` says that a message was refused for its size: by the client for the
/// server's limit, or by a stream for its own or for that of headers.
pub(super) fn is_for_size(error_type: &str) -> bool {
    matches!(
        error_type,
        "max_payload_exceeded" | "jetstream_10054" | "jetstream_10097"
    )
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
    use async_nats::jetstream::ErrorCode;
    use async_nats::jetstream::context::{PublishError, PublishErrorKind};

    use super::*;

    #[test]
    fn a_refusal_for_size_is_told_from_others() {
        let by_stream = |number: ErrorCode| {
            let refused = toml::from_str(&format!("code = 400\nerr_code = {}", number.0));
            refused.map(|refused: jetstream::Error| {
                let error = PublishError::with_source(PublishErrorKind::Other, refused);
                is_for_size(&of_jetstream_publish(&error))
            })
        };
        let by_client = PublishError::new(PublishErrorKind::MaxPayloadExceeded);
        let full = PublishError::new(PublishErrorKind::MaxAckPending);

        let rows = [
            (ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM, true),
            (ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM, true),
            (ErrorCode::STREAM_STORE_FAILED, false),
        ];
        for (number, expected) in rows {
            assert_eq!(by_stream(number), Ok(expected), "{number:?}");
        }
        assert!(is_for_size(&of_jetstream_publish(&by_client)));
        assert!(!is_for_size(&of_jetstream_publish(&full)));
    }

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
