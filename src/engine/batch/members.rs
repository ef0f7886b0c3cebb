//! What the messages of a batch carry, each of them and together.

use std::sync::Arc;

use opentelemetry::trace::{Link, SpanContext};
use opentelemetry::{Context, KeyValue};

use crate::engine::attributes::destination_name;
use crate::engine::destination::Destination;
use crate::engine::fan_back::{FanBack, Origins};
use crate::engine::operation::Operation;
use crate::engine::parent::untrusted;
use crate::engine::received::{Message, Received};
use crate::engine::refused::Refused;
use crate::policy::{Incoming, Record};
use crate::semconv::attributes::partition_id;

/// What the messages of a batch carry.
pub(super) struct BatchMembers {
    /// In the order of the messages, as yet with all that each says of itself.
    links: Vec<Link>,
    /// What all messages so far say; `None` before the first.
    common: Option<Vec<KeyValue>>,
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

impl BatchMembers {
    /// None yet of so many; at most so many traces are remembered for the way back.
    pub(super) fn new(messages: usize, most_origins: usize, refused: Option<Refused>) -> Self {
        Self {
            links: Vec::with_capacity(messages),
            common: None,
            origins: Origins::at_most(most_origins),
            refused,
        }
    }

    pub(super) fn add<M: Message>(
        &mut self,
        message: &Received<M>,
        destination: &Arc<Destination>,
        operation: &Operation<'_>,
    ) {
        let rule = &destination.rule;
        let carried = message.carried(&Context::new(), operation, rule);
        let incoming = message.incoming(rule);
        if let Some(refused) = &mut self.refused {
            refused.add(&carried, incoming, destination);
        }
        if rule.recorded() != Record::Full {
            self.common = Some(Vec::new());
            return;
        }
        let seen = |context: SpanContext| match incoming {
            Incoming::Continue | Incoming::LinkOnly => Some(context),
            Incoming::Restart => Some(untrusted(context)),
            Incoming::Ignore => None,
        };
        let creation = carried.creation.and_then(seen);
        if matches!(incoming, Incoming::Continue | Incoming::LinkOnly) {
            self.origins.add(creation.as_ref());
        }

        let mut attributes = message.own_attributes(rule);
        if operation
            .destination
            .is_none_or(|common| common.stands_for_several)
        {
            attributes.extend(destination_name(destination));
        }
        if operation.partition.is_none() {
            attributes.extend(message.message().partition().map(partition_id));
        }
        match &mut self.common {
            None => self.common = Some(attributes.clone()),
            Some(common) => common.retain(|one| attributes.contains(one)),
        }
        self.links
            .extend(creation.map(|creation| Link::new(creation, attributes, 0)));
        let conflicting = carried.conflicting.and_then(seen);
        self.links.extend(conflicting.map(Link::with_context));
    }

    /// Parts what differs between the messages from what does not.
    ///
    /// Spec: messaging-spans, table of attributes, on batches, 1.45.0.
    pub(super) fn parted(mut self) -> PartedAttributes {
        let common = self.common.unwrap_or_default();
        if !common.is_empty() {
            let is_common = |one: &KeyValue| common.iter().any(|other| other.key == one.key);
            for link in &mut self.links {
                link.attributes.retain(|one| !is_common(one));
            }
        }
        PartedAttributes {
            links: self.links,
            common,
            fan_back: self.origins.found,
            refused: self.refused,
        }
    }
}
