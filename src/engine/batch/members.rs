//! What the messages of a received batch carry, each of them and together.

use opentelemetry::KeyValue;
use opentelemetry::trace::Link;

use crate::engine::fan_back::{FanBack, Origins};
use crate::engine::in_common::{MessageLinks, Place};
use crate::engine::operation::Operation;
use crate::engine::parent::links_to;
use crate::engine::received::{Message, Received};
use crate::engine::refused::Refused;
use crate::policy::{Incoming, Record};

/// What the messages of a batch carry.
pub(super) struct BatchMembers<'a> {
    operation: &'a Operation<'a>,
    members: MessageLinks<'a>,
    origins: Origins,
    /// What they were not allowed to bring in, where that has to be remembered.
    refused: Option<Refused>,
}

/// The same, parted.
pub(super) struct PartedAttributes {
    /// A link for each message that has a context, with what differs between the messages.
    pub(super) links: Vec<Link>,
    /// What does not differ.
    pub(super) common: Vec<KeyValue>,
    /// The traces that the messages are from.
    pub(super) fan_back: FanBack,
    /// What the messages were not allowed to bring in.
    pub(super) refused: Option<Refused>,
}

impl<'a> BatchMembers<'a> {
    /// None yet; at most so many traces are remembered for the way back.
    pub(super) fn new(
        operation: &'a Operation<'a>,
        most_origins: usize,
        refused: Option<Refused>,
    ) -> Self {
        Self {
            operation,
            members: MessageLinks::new(operation),
            origins: Origins::at_most(most_origins),
            refused,
        }
    }

    pub(super) fn add<M: Message>(&mut self, message: &Received<M>) {
        let destination = message.destination();
        let rule = &destination.rule;
        let named = message.named_for(self.operation, rule);
        let incoming = message.incoming(rule);
        if let Some(refused) = &mut self.refused {
            refused.add(named, incoming, destination);
        }
        let mut place = Place {
            destination,
            partition: message.message().partition(),
            number: None,
        };
        if rule.recorded() != Record::Full {
            self.members.add(place, |_| (), None);
            return;
        }
        if let Some(creation) = &named.creation
            && incoming == Incoming::Continue
        {
            self.origins.add(creation, self.members.links());
        }
        let links = links_to(named, incoming);
        place.number = message.message().number();
        let say = |own: &mut Vec<_>| {
            message.own_attributes(rule, &mut |one| own.push(one));
            let baggage = message.shown_baggage().into_iter();
            own.extend(baggage.flat_map(|baggage| &baggage.on_spans).cloned());
        };
        self.members.add(place, say, links);
    }

    pub(super) fn parted(self) -> PartedAttributes {
        let (links, common) = self.members.parted();
        PartedAttributes {
            fan_back: self.origins.with_links(&links),
            links,
            common,
            refused: self.refused,
        }
    }
}
