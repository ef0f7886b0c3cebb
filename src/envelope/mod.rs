//! All that the core may know of a client, of its destinations and of one message.

mod destinations;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use opentelemetry::{Context, StringValue};

use self::destinations::Destinations;
pub(crate) use self::destinations::Names;
use crate::Telemetry;
use crate::ambient::MetSpans;
use crate::metrics::MetricAttributes;
use crate::policy::{Record, Rule};
use crate::semconv::operation::Operation;
use crate::semconv::text::tidy;
use crate::telemetry::Component;

/// What is known of a client that was wrapped.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) telemetry: Telemetry,
    /// The messaging system, as the conventions name it.
    pub(crate) system: &'static str,
    /// Client id, where the user chose one.
    pub(crate) id: Option<StringValue>,
    /// Consumer group.
    pub(crate) consumer_group: Option<StringValue>,
    /// The broker, where just one is known, as far as the client is connected to it now.
    server: RwLock<Option<Server>>,
    /// How often that has changed.
    servers: AtomicU64,
    /// Spans that were current when it was used.
    pub(crate) met: MetSpans,
    /// What the policy says of operations on several destinations.
    rule: Rule,
    destinations: Destinations,
}

impl Client {
    pub(crate) fn new(telemetry: &Telemetry, system: &'static str) -> Self {
        let names = Names::at_most(telemetry.max_names());
        Self::one_of(&names, telemetry, system)
    }

    /// One of several that are one client for the user, with as many names as one.
    pub(crate) fn one_of(names: &Arc<Names>, telemetry: &Telemetry, system: &'static str) -> Self {
        let met = MetSpans::default();
        // A loop's span, for instance, which wraps the consumer that it then receives from.
        met.meet(&Context::current());
        Self {
            met,
            telemetry: telemetry.clone(),
            system,
            id: None,
            consumer_group: None,
            server: RwLock::default(),
            servers: AtomicU64::new(0),
            rule: telemetry.rules().of(""),
            destinations: Destinations::new(Arc::clone(names)),
        }
    }

    /// The broker, where just one is known.
    pub(crate) fn server(&self) -> Option<Server> {
        let server = self.server.read();
        server.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The client is connected to this broker now.
    pub(crate) fn set_server(&self, server: Option<Server>) {
        let known = self.server.write();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        if *known != server {
            *known = server;
            self.servers.fetch_add(1, Ordering::Release);
        }
    }

    /// What holds for a destination, looked up once and then remembered.
    pub(crate) fn destination(&self, name: Name<'_>) -> Arc<Destination> {
        let look_up = || Destination::new(self.telemetry.rules().of(name.text), name);
        let limited = |unnamed: &Destination| {
            self.telemetry.caught(Component::Log, || {
                tracing::warn!(
                    system = self.system,
                    names = self.destinations.max_names(),
                    destination = unnamed.name.as_str(),
                    "this client has met many names of destinations: further ones are left out of \
                     names of spans and of metrics; set what stands for them by `Rule::template`, \
                     for a pattern that matches this one, or raise `Telemetry::max_destination_names`"
                );
            });
        };
        if name.is_temporary {
            self.destinations.passing(look_up(), limited)
        } else {
            self.destinations.get(name.text, look_up, limited)
        }
    }

    /// What stands for all of these destinations: the one that they are, or the template that they
    /// share.
    pub(crate) fn common_destination<'a>(
        &self,
        mut destinations: impl Iterator<Item = &'a Arc<Destination>> + Clone,
    ) -> Option<Arc<Destination>> {
        let first = destinations.next()?;
        let is_first =
            |other: &Arc<Destination>| Arc::ptr_eq(first, other) || first.name == other.name;
        if destinations.clone().all(is_first) {
            return Some(Arc::clone(first));
        }
        let template = first.template.as_ref()?;
        let is_shared = destinations.all(|other| other.template.as_ref() == Some(template));
        is_shared.then(|| {
            let rule = self.telemetry.rules().of(template.as_str());
            Arc::new(Destination::many(rule, first, template))
        })
    }
}

/// Address of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) address: StringValue,
    pub(crate) port: u16,
}

/// A topic, queue or subject, as a client names it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name<'a> {
    pub(crate) text: &'a str,
    /// What stands for it in span names and on metrics, where the client knows that it is one of
    /// many.
    pub(crate) template: Option<&'a str>,
    /// It is gone with its user.
    pub(crate) is_temporary: bool,
    /// The broker chose its name.
    pub(crate) is_anonymous: bool,
}

impl<'a> Name<'a> {
    /// A name that says all.
    pub(crate) const fn lasting(text: &'a str) -> Self {
        Self {
            text,
            template: None,
            is_temporary: false,
            is_anonymous: false,
        }
    }
}

/// What is the same for all messages of a destination.
#[derive(Debug)]
pub(crate) struct Destination {
    pub(crate) name: StringValue,
    /// What the policy says of it.
    pub(crate) rule: Rule,
    pub(crate) template: Option<StringValue>,
    pub(crate) is_temporary: bool,
    pub(crate) is_anonymous: bool,
    /// It stands for several, which have only the template in common.
    pub(crate) is_many: bool,
    /// Its client has met so many names that what stands for this one does not count as one of few.
    is_one_too_many: bool,
    /// Attributes of metrics, for each operation that there was.
    metric_attributes: RwLock<Vec<KnownAttributes>>,
}

/// Attributes of metrics of one operation, with how often the server had changed by then.
#[derive(Debug)]
struct KnownAttributes {
    operation_name: &'static str,
    servers: u64,
    attributes: Arc<MetricAttributes>,
}

impl Destination {
    fn new(rule: Rule, name: Name<'_>) -> Self {
        let template = rule.template_text();
        Self {
            name: shared(name.text),
            template: template.or_else(|| name.template.map(shared)),
            is_one_too_many: false,
            rule,
            is_temporary: name.is_temporary,
            is_anonymous: name.is_anonymous,
            is_many: false,
            metric_attributes: RwLock::default(),
        }
    }

    /// All those that a template stands for, of which this is one.
    fn many(rule: Rule, one: &Self, template: &StringValue) -> Self {
        Self {
            name: template.clone(),
            rule,
            template: Some(template.clone()),
            is_temporary: one.is_temporary,
            is_anonymous: one.is_anonymous,
            is_many: true,
            is_one_too_many: one.is_one_too_many,
            metric_attributes: RwLock::default(),
        }
    }

    /// Its template, where that is one of few.
    pub(crate) fn usable_template(&self) -> Option<&StringValue> {
        self.template.as_ref().filter(|_| !self.is_one_too_many)
    }

    /// What stands for it where names have to be few.
    ///
    /// Spec: messaging-spans § Span name, 1.44.0.
    pub(crate) const fn low_cardinality_name(&self) -> Option<&StringValue> {
        match &self.template {
            _ if self.is_one_too_many => None,
            Some(template) => Some(template),
            None if self.is_temporary || self.is_anonymous => None,
            None => Some(&self.name),
        }
    }
}

/// What is done, with which client, to what; `None` is left out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envelope<'a> {
    pub(crate) client: &'a Arc<Client>,
    pub(crate) operation: Operation,
    /// The system's own verb for what is done.
    pub(crate) operation_name: &'static str,
    /// Topic, queue or subject; unset where there are several.
    pub(crate) destination: Option<&'a Arc<Destination>>,
    /// Partition, where it is known before the operation.
    pub(crate) partition: Option<i32>,
    /// How many messages it is about, where it is about a batch.
    pub(crate) batch: Option<usize>,
}

impl<'a> Envelope<'a> {
    /// What the policy says of it.
    pub(crate) fn rule(&self) -> &'a Rule {
        let of_destination = self.destination.map(|destination| &destination.rule);
        of_destination.unwrap_or(&self.client.rule)
    }

    /// Whether it has a span.
    pub(crate) fn has_span(&self) -> bool {
        let rule = self.rule();
        rule.recorded() == Record::Full
            && match self.operation {
                Operation::Receive => rule.wants_receive_spans(self.batch.is_some()),
                Operation::Settle => rule.wants_settle_spans(true),
                Operation::Create => rule.wants_create_spans(),
                Operation::Send | Operation::SendExisting | Operation::Process => true,
            }
    }

    /// Attributes of metrics that are the same for all messages of the destination.
    pub(crate) fn metric_attributes(&self) -> Arc<MetricAttributes> {
        let Some(destination) = self.destination else {
            return Arc::new(MetricAttributes::of(self));
        };
        let servers = self.client.servers.load(Ordering::Acquire);
        let is_known = |known: &&KnownAttributes| {
            known.operation_name == self.operation_name && known.servers == servers
        };
        let known = destination.metric_attributes.read();
        let known = known.unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.iter().find(is_known) {
            return Arc::clone(&known.attributes);
        }
        drop(known);
        let attributes = Arc::new(MetricAttributes::of(self));
        let known = destination.metric_attributes.write();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        known.retain(|known| known.operation_name != self.operation_name);
        known.push(KnownAttributes {
            operation_name: self.operation_name,
            servers,
            attributes: Arc::clone(&attributes),
        });
        attributes
    }
}

/// Counted, so that every span can have it without a copy.
pub(crate) fn shared(text: &str) -> StringValue {
    StringValue::from(Arc::<str>::from(tidy(text)))
}

#[cfg(test)]
mod tests {
    use opentelemetry::KeyValue;

    use super::*;
    use crate::semconv::attributes::at_start;

    #[test]
    fn spans_and_metrics_name_the_server_that_the_client_is_connected_to() {
        let client = Arc::new(Client::new(&Telemetry::new(), "nats"));
        let destination = client.destination(Name::lasting("orders"));
        let envelope = Envelope {
            client: &client,
            operation: Operation::Send,
            operation_name: "publish",
            destination: Some(&destination),
            partition: None,
            batch: None,
        };
        let server = |address| Server {
            address: shared(address),
            port: 4222,
        };

        for address in [Some("a"), Some("b"), Some("b"), None] {
            client.set_server(address.map(server));

            let named = |attributes: &[KeyValue]| {
                let address = attributes
                    .iter()
                    .find(|one| one.key.as_str() == "server.address");
                address.map(|one| one.value.to_string())
            };
            let expected = address.map(str::to_owned);
            assert_eq!(named(&at_start(&envelope)), expected);
            assert_eq!(named(envelope.metric_attributes().of_messages()), expected);
        }
        let known = destination.metric_attributes.read();
        let known = known.unwrap_or_else(PoisonError::into_inner);
        assert_eq!(known.len(), 1);
    }

    #[test]
    fn a_name_from_outside_is_short_and_does_nothing_to_a_terminal() {
        let client = Client::new(&Telemetry::new(), "rabbitmq");
        let name = ["\u{1b}[2J", &"k".repeat(900_000)].concat();

        let destination = client.destination(Name::lasting(&name));

        assert!(destination.name.as_str().starts_with("\\u{1b}[2Jkkk"));
        assert!(destination.name.as_str().len() <= 256);
        let again = client.destination(Name::lasting(&name));
        assert!(Arc::ptr_eq(&destination, &again), "known by its whole name");
    }

    #[test]
    fn several_destinations_are_known_by_what_stands_for_all_of_them() {
        let client = Client::new(&Telemetry::new(), "nats");
        let one = |text| client.destination(Name::lasting(text));
        let of = |text, template| {
            let template = Some(template);
            let lasting = Name::lasting(text);
            client.destination(Name {
                template,
                ..lasting
            })
        };
        let rows = [
            (vec![], None),
            (vec![one("a"), one("a")], Some(("a", false))),
            (vec![one("a"), one("b")], None),
            (vec![of("o.1", "o.*")], Some(("o.*", false))),
            (
                vec![of("o.1", "o.*"), of("o.2", "o.*")],
                Some(("o.*", true)),
            ),
            (vec![of("o.1", "o.*"), of("p.1", "p.*")], None),
            (vec![of("o.1", "o.*"), one("a")], None),
            (vec![one("a"), of("o.1", "o.*")], None),
        ];

        for (destinations, expected) in rows {
            let common = client.common_destination(destinations.iter());
            let known = common.as_ref().map(|common| {
                let name = common.low_cardinality_name();
                (name.map_or("", StringValue::as_str), common.is_many)
            });
            assert_eq!(known, expected, "{destinations:?}");
        }
    }
}
