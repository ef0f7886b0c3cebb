//! What is known of a client that was wrapped.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use opentelemetry::StringValue;
use opentelemetry::baggage::Baggage;

use super::ambient::{MetSpans, current};
use super::destination::{Destination, Destinations, Name, Names, are_one};
use super::shown_baggage::ShownBaggage;
use crate::policy::Rule;
use crate::semconv::outcome::KnownError;
use crate::telemetry::{Component, Telemetry};

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
    /// Finds the client's own errors among those of handlers.
    pub(crate) known_error: KnownError,
    /// The broker, where just one is known.
    pub(crate) server: Option<Server>,
    /// Spans that were current when it was used.
    pub(crate) met: MetSpans,
    /// What the policy says of operations on several destinations.
    pub(super) rule: Rule,
    destinations: Destinations,
}

impl Client {
    pub(crate) fn new(telemetry: &Telemetry, system: &'static str) -> Self {
        let names = Names::at_most(telemetry.max_names);
        Self::one_of(&names, telemetry, system)
    }

    /// One of several that are one client for the user, with as many names as one.
    pub(crate) fn one_of(names: &Arc<Names>, telemetry: &Telemetry, system: &'static str) -> Self {
        let met = MetSpans::default();
        // A loop's span, for instance, which wraps the consumer that it then receives from.
        met.meet(&current());
        Self {
            met,
            telemetry: telemetry.clone(),
            system,
            id: None,
            consumer_group: None,
            known_error: |_| None,
            server: None,
            rule: telemetry.rules().rule_for(""),
            destinations: Destinations::new(Arc::clone(names)),
        }
    }

    /// What holds for a destination, looked up once and then remembered.
    pub(crate) fn destination(&self, name: Name<'_>) -> Arc<Destination> {
        let look_up = || Destination::new(self.telemetry.rules().rule_for(name.text), name);
        let limited = |unnamed: &Destination| self.warn_of_names(unnamed);
        if name.is_temporary {
            self.destinations.passing(look_up(), limited)
        } else {
            self.destinations.get(name.text, look_up, limited)
        }
    }

    fn warn_of_names(&self, unnamed: &Destination) {
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
    }

    /// Destinations of which nothing is known but the pattern that stands for all of them.
    pub(crate) fn pattern(&self, pattern: &str) -> Arc<Destination> {
        let rule = self.telemetry.rules().rule_for(pattern);
        let one = Destination::new(
            rule.clone(),
            Name {
                template: Some(pattern),
                ..Name::lasting(pattern)
            },
        );
        let pattern = match &one.template {
            Some(template) => Destination::many(rule, &one, template, None),
            None => one,
        };
        let limited = |unnamed: &Destination| self.warn_of_names(unnamed);
        self.destinations.passing(pattern, limited)
    }

    /// What stands for all of these destinations: the one that they are, the name that they have
    /// without what differs, or the template that they share. `without` gives each of them with more
    /// and more left out of its name, until there is nothing that could be.
    ///
    /// Its rule records no more than the rules of these, as it may be that none of them is to be recorded.
    pub(crate) fn common_destination<'a, W>(
        &self,
        mut destinations: impl Iterator<Item = &'a Arc<Destination>> + Clone,
        without: impl Fn(usize) -> W,
    ) -> Option<Arc<Destination>>
    where
        W: Iterator<Item = Option<Arc<Destination>>>,
    {
        if are_one(destinations.clone()) {
            return destinations.next().cloned();
        }
        let together = self.together(destinations.clone(), without);
        self.limited(together, destinations)
    }

    /// What stands for several destinations, with a rule that records no more than the rules of these.
    pub(crate) fn limited<'a>(
        &self,
        together: Option<Arc<Destination>>,
        destinations: impl Iterator<Item = &'a Arc<Destination>> + Clone,
    ) -> Option<Arc<Destination>> {
        let rule = together.as_ref().map_or(&self.rule, |all| &all.rule);
        match rule.limited_by(destinations.map(|one| &one.rule)) {
            Cow::Borrowed(_) => together,
            Cow::Owned(rule) => Some(Arc::new(Destination::several(rule, together.as_deref()))),
        }
    }

    /// What is seen of the baggage of a message with this rule, as far as it `passes`: nothing,
    /// unless the rule wants it.
    pub(super) fn shown_baggage(
        &self,
        rule: &Rule,
        baggage: &Baggage,
        passes: impl Fn(&str) -> bool,
    ) -> Option<Arc<ShownBaggage>> {
        if baggage.is_empty() || !rule.shows_baggage() {
            return None;
        }
        let few = self.destinations.few_of_baggage();
        ShownBaggage::of(rule, baggage, passes, few, || self.baggage_is_limited())
    }

    /// What metrics show of the baggage of all messages of a batch.
    pub(super) fn shown_baggage_of_all<'a>(
        &self,
        all: impl Iterator<Item = Option<&'a Arc<ShownBaggage>>>,
    ) -> Option<Arc<ShownBaggage>> {
        let few = self.destinations.few_of_baggage();
        ShownBaggage::of_all(all, few, || self.baggage_is_limited())
    }

    fn baggage_is_limited(&self) {
        self.telemetry.caught(Component::Log, || {
            tracing::warn!(
                system = self.system,
                combinations = self.destinations.max_names(),
                "this client has met many values of baggage that metrics should have: further ones \
                 are left out; name members of few values by `Rule::baggage_on_metrics`, or raise \
                 `Telemetry::max_destination_names`"
            );
        });
    }

    /// Begins to show a wrapper by what tells it from others. The wrapped client would fill pages.
    pub(crate) fn shown<'f, 'w>(
        &self,
        wrapper: &str,
        f: &'f mut fmt::Formatter<'w>,
    ) -> fmt::DebugStruct<'f, 'w> {
        let mut shown = f.debug_struct(wrapper);
        shown.field("system", &self.system);
        if let Some(id) = &self.id {
            shown.field("client_id", &id.as_str());
        }
        if let Some(group) = &self.consumer_group {
            shown.field("consumer_group", &group.as_str());
        }
        if let Some(Server { address, port }) = &self.server {
            shown.field("server", &format_args!("{address}:{port}"));
        }
        shown
    }

    /// What stands for several destinations, and the rule of that.
    fn together<'a, W>(
        &self,
        mut destinations: impl Iterator<Item = &'a Arc<Destination>>,
        without: impl Fn(usize) -> W,
    ) -> Option<Arc<Destination>>
    where
        W: Iterator<Item = Option<Arc<Destination>>>,
    {
        let together = without_what_differs(without);
        let first = destinations.next()?;
        let template = first.template.as_ref();
        let template = template.filter(|template| {
            destinations.all(|other| other.template.as_ref() == Some(*template))
        });
        let Some(template) = template else {
            return together;
        };
        let rule = self.telemetry.rules().rule_for(template.as_str());
        let name = together.as_ref().map(|together| &together.name);
        Some(Arc::new(Destination::many(rule, first, template, name)))
    }
}

/// The first that all are the same by.
fn without_what_differs<W>(without: impl Fn(usize) -> W) -> Option<Arc<Destination>>
where
    W: Iterator<Item = Option<Arc<Destination>>>,
{
    let mut left_out = 0;
    loop {
        let mut all = without(left_out);
        let first = all.next()??;
        if all.all(|other| other.is_some_and(|other| other.name == first.name)) {
            return Some(first);
        }
        left_out += 1;
    }
}

/// Address of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) address: StringValue,
    pub(crate) port: u16,
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;

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
    fn without_what_differs_destinations_may_have_a_name_together() {
        // Parts by colons, of which the last goes first.
        let together = |names: &[&str], template| {
            let client = Client::new(&Telemetry::new(), "rabbitmq");
            let one = |text: &str, template| {
                client.destination(Name {
                    template,
                    ..Name::lasting(text)
                })
            };
            let one = &one;
            let all: Vec<_> = names.iter().map(|name| one(name, template)).collect();
            let without = |left_out: usize| {
                let names = names.iter();
                names.map(move |name| {
                    let mut parts: Vec<_> = name.split(':').collect();
                    parts.truncate(parts.len().checked_sub(left_out + 1)?);
                    (!parts.is_empty()).then(|| one(&parts.join(":"), None))
                })
            };
            let common = client.common_destination(all.iter(), without)?;
            let name = common.usable_name().map(ToString::to_string);
            let template = common.usable_template().map(ToString::to_string);
            Some((name, template))
        };
        let named = |name: &str, template: Option<&str>| {
            Some((Some(name.to_owned()), template.map(str::to_owned)))
        };

        assert_eq!(together(&["a:b:c", "a:b:c"], None), named("a:b:c", None));
        assert_eq!(together(&["a:b:c", "a:b:d"], None), named("a:b", None));
        assert_eq!(together(&["a:b:c", "a:e:d"], None), named("a", None));
        assert_eq!(together(&["a:b:c", "f:b:c"], None), None);
        let both = named("a:b", Some("a:*"));
        assert_eq!(together(&["a:b:c", "a:b:d"], Some("a:*")), both);
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
            let common = client.common_destination(destinations.iter(), |_| iter::empty());
            let known = common.as_ref().map(|common| {
                let name = common.low_cardinality_name();
                (
                    name.map_or("", StringValue::as_str),
                    common.usable_name().is_none(),
                )
            });
            assert_eq!(known, expected, "{destinations:?}");
        }
    }
}
