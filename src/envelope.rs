//! All that the core may know of a client, of its destinations and of one message.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use opentelemetry::{Context, StringValue};

use crate::Telemetry;
use crate::ambient::MetSpans;
use crate::metrics::MetricAttributes;
use crate::policy::{Record, Rule};
use crate::semconv::operation::Operation;

/// Most destinations that a client remembers. Of the others, such as a subject for each order, the
/// rules are looked up each time.
const REMEMBERED: usize = 1000;

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
    /// The broker, where just one is known.
    pub(crate) server: Option<Server>,
    /// Spans that were current when it was used.
    pub(crate) met: MetSpans,
    /// What the policy says of operations on several destinations.
    rule: Rule,
    destinations: RwLock<HashMap<Box<str>, Arc<Destination>>>,
}

impl Client {
    pub(crate) fn new(telemetry: &Telemetry, system: &'static str) -> Self {
        let met = MetSpans::default();
        // A loop's span, for instance, which wraps the consumer that it then receives from.
        met.meet(&Context::current());
        Self {
            met,
            telemetry: telemetry.clone(),
            system,
            id: None,
            consumer_group: None,
            server: None,
            rule: telemetry.rules().of(""),
            destinations: RwLock::default(),
        }
    }

    /// What holds for a destination, looked up once and then remembered.
    pub(crate) fn destination(&self, name: Name<'_>) -> Arc<Destination> {
        // What is behind the lock is whole at any time, so that a panic elsewhere does no harm.
        let remembered = self.destinations.read();
        let remembered = remembered.unwrap_or_else(PoisonError::into_inner);
        if let Some(destination) = remembered.get(name.text) {
            return Arc::clone(destination);
        }
        let is_full = remembered.len() >= REMEMBERED;
        drop(remembered);

        let destination = Arc::new(Destination::new(self.telemetry.rules().of(name.text), name));
        if !is_full && !name.is_temporary {
            let destinations = self.destinations.write();
            let mut destinations = destinations.unwrap_or_else(PoisonError::into_inner);
            destinations.insert(name.text.into(), Arc::clone(&destination));
        }
        destination
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
    /// Attributes of metrics, for each operation that there was.
    metric_attributes: RwLock<Vec<(&'static str, Arc<MetricAttributes>)>>,
}

impl Destination {
    fn new(rule: Rule, name: Name<'_>) -> Self {
        let template = rule.template_text();
        Self {
            name: shared(name.text),
            template: template.or_else(|| name.template.map(shared)),
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
            metric_attributes: RwLock::default(),
        }
    }

    /// What stands for it where names have to be few.
    ///
    /// Spec: messaging-spans § Span name, 1.44.0.
    pub(crate) const fn low_cardinality_name(&self) -> Option<&StringValue> {
        match &self.template {
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
        let known = destination.metric_attributes.read();
        let known = known.unwrap_or_else(PoisonError::into_inner);
        if let Some((_, attributes)) = known.iter().find(|(name, _)| *name == self.operation_name) {
            return Arc::clone(attributes);
        }
        drop(known);
        let attributes = Arc::new(MetricAttributes::of(self));
        let known = destination.metric_attributes.write();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        known.push((self.operation_name, Arc::clone(&attributes)));
        attributes
    }
}

/// Counted, so that every span can have it without a copy.
pub(crate) fn shared(text: &str) -> StringValue {
    StringValue::from(Arc::<str>::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

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
