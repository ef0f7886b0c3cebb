//! What is known of a client, a subscription and a consumer.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use async_nats::{Client, Statistics, jetstream};
use opentelemetry::{KeyValue, StringValue};

use super::NATS_STREAM_NAME;
use super::connects::Connects;
use super::error_type::known_error;
use super::subject::{Patterns, is_inbox, template};
use crate::engine::client;
use crate::engine::client::Server;
use crate::engine::destination::{Destination, Name, Names, shared_unless_empty};
use crate::engine::received::sealed::MessageSource;
use crate::nats::carrier::MessageHeaders;
use crate::policy::Rule;
use crate::semconv::text::text;
use crate::telemetry::Telemetry;

const SYSTEM: &str = "nats";
/// All that the client receives is the next of a stream.
const NEXT: &str = "next";

/// What the user says of a client, which knows neither of it: what a server calls itself is not what it
/// was connected to by, and the number that it gives its client is another one with each connection.
#[derive(Clone, Debug, Default)]
pub(in crate::nats) struct Identity {
    server: Option<Server>,
    client_id: Option<StringValue>,
}

impl Identity {
    pub(in crate::nats) fn server(self, address: &str, port: u16) -> Self {
        let address = shared_unless_empty(address);
        Self {
            server: address.map(|address| Server { address, port }),
            ..self
        }
    }

    pub(in crate::nats) fn client_id(self, id: &str) -> Self {
        Self {
            client_id: shared_unless_empty(id),
            ..self
        }
    }

    /// A client as the engine knows it.
    pub(in crate::nats) fn known(
        &self,
        telemetry: &Telemetry,
        group: Option<&str>,
        names: &Arc<Names>,
    ) -> Arc<client::Client> {
        let mut known = client::Client::one_of(names, telemetry, SYSTEM);
        known.known_error = known_error;
        known.server.clone_from(&self.server);
        known.id.clone_from(&self.client_id);
        known.consumer_group = group.and_then(shared_unless_empty);
        Arc::new(known)
    }
}

/// What is known of a connection, and of what it may carry.
#[derive(Debug)]
pub(in crate::nats) struct Connection {
    client: Client,
    statistics: Arc<Statistics>,
    connects: Connects,
    /// Whether the server knows headers.
    takes_headers: AtomicBool,
}

impl Connection {
    fn new(client: Client) -> Self {
        Self {
            statistics: client.statistics(),
            connects: Connects::new(),
            takes_headers: AtomicBool::new(true),
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
            |server| self.takes_headers.store(server.headers, Ordering::Relaxed),
        );
    }

    /// Bytes that headers may still take before a message to a destination with this rule is refused.
    pub(in crate::nats) fn room(
        &self,
        rule: &Rule,
        headers: &MessageHeaders<'_>,
        payload: usize,
    ) -> usize {
        self.follow();
        if !self.takes_headers.load(Ordering::Relaxed) {
            return 0;
        }
        let of_server = self.client.max_payload();
        let of_rule = rule.message_limit();
        let limit = of_rule.map_or(of_server, |of_rule| of_rule.min(of_server));
        headers.room(limit, payload)
    }
}

/// The names of subjects. It has no client: what holds one keeps the connection open.
#[derive(Debug)]
struct Subjects {
    /// What the subjects begin with that the client makes up for answers.
    inbox: Box<str>,
    known: Arc<client::Client>,
}

impl Subjects {
    fn of(client: &Client, known: &Arc<client::Client>) -> Self {
        let inbox = client.new_inbox();
        let inbox = inbox.rsplit_once('.').map_or("", |(prefix, _)| prefix);
        Self {
            inbox: inbox.into(),
            known: Arc::clone(known),
        }
    }

    /// A subject as the engine knows it; `pattern` is what it was subscribed by.
    fn destination(
        &self,
        subject: &str,
        pattern: Option<&str>,
        is_reply: bool,
    ) -> Arc<Destination> {
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
pub(in crate::nats) struct ClientInfo {
    pub(in crate::nats) identity: Identity,
    pub(in crate::nats) client: Arc<client::Client>,
    pub(in crate::nats) connection: Connection,
    subjects: Subjects,
}

impl ClientInfo {
    pub(in crate::nats) fn new(telemetry: &Telemetry, client: Client, identity: Identity) -> Self {
        let known = identity.known(telemetry, None, &names_of_one(telemetry));
        Self {
            identity,
            subjects: Subjects::of(&client, &known),
            connection: Connection::new(client),
            client: known,
        }
    }

    /// The subject of a message that is about to be sent.
    pub(in crate::nats) fn destination(&self, subject: &str) -> Arc<Destination> {
        self.subjects.destination(subject, None, false)
    }
}

/// What is known of a subscription. Each of its messages has it.
#[derive(Debug)]
#[expect(unnameable_types, reason = "nobody but us reads it")]
pub struct Subscription {
    pub(in crate::nats) client: Arc<client::Client>,
    subjects: Subjects,
    patterns: Patterns,
}

impl Subscription {
    pub(in crate::nats) fn new(
        telemetry: &Telemetry,
        client: &Client,
        identity: &Identity,
        patterns: Patterns,
        group: Option<&str>,
        names: &Arc<Names>,
    ) -> Self {
        Self::over(client, identity.known(telemetry, group, names), patterns)
    }

    fn over(client: &Client, known: Arc<client::Client>, patterns: Patterns) -> Self {
        Self {
            subjects: Subjects::of(client, &known),
            client: known,
            patterns,
        }
    }

    /// The subject of a message that was received, or of an answer to it.
    pub(in crate::nats) fn destination(&self, subject: &str) -> Arc<Destination> {
        let pattern = self.patterns.matching(subject);
        self.subjects.destination(subject, pattern, false)
    }

    pub(super) fn stream(&self) -> Option<&str> {
        self.patterns.stream()
    }
}

#[expect(private_interfaces, reason = "nobody else can call it")]
impl MessageSource for Subscription {
    fn client(&self) -> &Arc<client::Client> {
        &self.client
    }

    fn receive_name(&self) -> &'static str {
        NEXT
    }
}

/// What is known of an endpoint of a micro-service, and of what its answers go over.
#[derive(Debug)]
#[expect(unnameable_types, reason = "nobody but us reads it")]
pub struct EndpointInfo {
    pub(in crate::nats) subscription: Subscription,
    pub(in crate::nats) connection: Connection,
}

impl EndpointInfo {
    pub(in crate::nats) fn new(subscription: Subscription, client: Client) -> Self {
        Self {
            subscription,
            connection: Connection::new(client),
        }
    }

    /// Where the answer to a request goes, which the subscription did not ask for.
    pub(in crate::nats) fn reply_destination(&self, reply: &str) -> Arc<Destination> {
        let subjects = &self.subscription.subjects;
        subjects.destination(reply, None, true)
    }
}

#[expect(private_interfaces, reason = "nobody else can call it")]
impl MessageSource for EndpointInfo {
    fn client(&self) -> &Arc<client::Client> {
        &self.subscription.client
    }

    fn receive_name(&self) -> &'static str {
        NEXT
    }
}

/// What is known of a JetStream consumer. It keeps its connection to itself, but its first message
/// shows it.
#[derive(Debug)]
#[expect(unnameable_types, reason = "nobody but us reads it")]
pub struct ConsumerInfo {
    pub(in crate::nats) identity: Identity,
    patterns: Patterns,
    pub(in crate::nats) client: Arc<client::Client>,
    subscription: OnceLock<Arc<Subscription>>,
}

impl ConsumerInfo {
    pub(in crate::nats) fn new(
        telemetry: &Telemetry,
        identity: Identity,
        patterns: Patterns,
        group: Option<String>,
    ) -> Self {
        let names = names_of_one(telemetry);
        Self {
            client: identity.known(telemetry, group.as_deref(), &names),
            identity,
            patterns,
            subscription: OnceLock::new(),
        }
    }

    /// Begins to show a wrapper of it by what tells it from others.
    pub(in crate::nats) fn shown<'f, 'w>(
        &self,
        wrapper: &str,
        f: &'f mut fmt::Formatter<'w>,
    ) -> fmt::DebugStruct<'f, 'w> {
        let mut shown = self.client.shown(wrapper, f);
        if let Some(stream) = self.patterns.stream() {
            shown.field("stream", &stream);
        }
        shown
    }

    /// The subscription, over the connection that a message came by.
    pub(in crate::nats) fn subscription(&self, message: &jetstream::Message) -> &Arc<Subscription> {
        self.subscription.get_or_init(|| {
            let client = message.context.client();
            let known = Arc::clone(&self.client);
            Arc::new(Subscription::over(&client, known, self.patterns.clone()))
        })
    }
}

#[expect(private_interfaces, reason = "nobody else can call it")]
impl MessageSource for ConsumerInfo {
    fn client(&self) -> &Arc<client::Client> {
        &self.client
    }

    fn receive_name(&self) -> &'static str {
        NEXT
    }

    fn common_destination(&self) -> Option<Arc<Destination>> {
        let (asked, is_pattern) = self.patterns.only()?;
        if is_pattern {
            let all = self.patterns.all().map(|one| self.client.pattern(one));
            let all: Vec<_> = all.collect();
            return self
                .client
                .limited(Some(self.client.pattern(asked)), all.iter());
        }
        Some(self.client.destination(Name {
            template: template(asked).as_deref(),
            is_temporary: is_inbox(asked),
            ..Name::lasting(asked)
        }))
    }

    fn attributes(&self) -> Option<KeyValue> {
        let stream = self.patterns.stream()?;
        Some(KeyValue::new(NATS_STREAM_NAME, text(stream)))
    }
}

/// The names of one client for the user, however many subscriptions it has.
pub(in crate::nats) fn names_of_one(telemetry: &Telemetry) -> Arc<Names> {
    Names::at_most(telemetry.max_names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Policy, Record};

    #[test]
    fn what_stands_for_several_filters_is_recorded_no_more_than_the_most_recorded_of_them() {
        let policy = Policy::new()
            .rule(Rule::of("*.health").record(Record::Off))
            .rule(Rule::of("*.probes").record(Record::PropagateOnly));
        let telemetry = Telemetry::new().policy(policy);
        let rows = [
            (vec!["shop.health"], Record::Off),
            (vec!["shop.health", "mall.health"], Record::Off),
            (vec!["shop.health", "shop.probes"], Record::PropagateOnly),
            (vec!["shop.health", "shop.orders"], Record::Full),
            (vec![], Record::Full),
        ];

        for (filters, expected) in rows {
            let asked = filters.iter().map(ToString::to_string).collect();
            let patterns = Patterns::of_consumer(asked, "shop");
            let info = ConsumerInfo::new(&telemetry, Identity::default(), patterns, None);
            let all = info.common_destination();
            let recorded = all.map(|all| all.rule.recorded());
            assert_eq!(recorded, Some(expected), "{filters:?}");
        }
    }
}
