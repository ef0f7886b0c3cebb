//! What the messages of a batch carry, each of them and together.

use std::collections::HashMap;

use opentelemetry::trace::{Link, SpanContext};
use opentelemetry::{Context, KeyValue};

use crate::envelope::{Destination, Envelope};
use crate::link::{FanBack, untrusted};
use crate::policy::{Incoming, Record};
use crate::received::{Message, Received};
use crate::semconv::attributes::{destination_name, partition_id};

/// What one message carries.
pub(super) struct Member {
    creation: Option<SpanContext>,
    conflicting: Option<SpanContext>,
    /// Its trace may have a span for the batch.
    is_trusted: bool,
    attributes: Vec<KeyValue>,
}

impl Member {
    pub(super) fn of<M: Message>(
        message: &Received<M>,
        destination: &Destination,
        envelope: &Envelope<'_>,
    ) -> Self {
        let rule = &destination.rule;
        let carried = message.carried(&Context::new(), envelope, rule);
        let trust = message.trust(rule);
        let seen = |context: SpanContext| match trust {
            Incoming::Continue | Incoming::LinkOnly => Some(context),
            Incoming::Restart => Some(untrusted(context)),
            Incoming::Ignore => None,
        };
        if rule.recorded() != Record::Full {
            return Self {
                creation: None,
                conflicting: None,
                is_trusted: false,
                attributes: Vec::new(),
            };
        }
        let mut attributes = message.own_attributes(rule);
        if envelope.destination.is_none() {
            attributes.push(destination_name(destination));
        }
        if envelope.partition.is_none() {
            attributes.extend(message.message().partition().map(partition_id));
        }
        Self {
            creation: carried.creation.and_then(seen),
            conflicting: carried.conflicting.and_then(seen),
            is_trusted: matches!(trust, Incoming::Continue | Incoming::LinkOnly),
            attributes,
        }
    }
}

/// What the messages of a batch carry, in their order.
pub(super) struct Members(pub(super) Vec<Member>);

impl Members {
    /// A link for each message that has a context, with what differs between the messages, and what
    /// does not.
    ///
    /// Spec: messaging-spans § Attributes, on batches, 1.44.0.
    pub(super) fn links(self) -> (Vec<Link>, Vec<KeyValue>) {
        let mut members = self.0.iter();
        let mut common = match members.next() {
            Some(first) => first.attributes.clone(),
            None => Vec::new(),
        };
        for member in members {
            if common.is_empty() {
                break;
            }
            common.retain(|one| member.attributes.contains(one));
        }

        let mut links = Vec::with_capacity(self.0.len());
        for mut member in self.0 {
            if !common.is_empty() {
                member.attributes.retain(|one| !common.contains(one));
            }
            if let Some(creation) = member.creation {
                links.push(Link::new(creation, member.attributes, 0));
            }
            links.extend(member.conflicting.map(Link::with_context));
        }
        (links, common)
    }

    /// The traces that the messages are from, at most so many.
    pub(super) fn origins(&self, limit: usize) -> FanBack {
        if limit == 0 {
            return FanBack::default();
        }
        let mut places = HashMap::new();
        let mut origins: Vec<(SpanContext, usize)> = Vec::new();
        for member in self.0.iter().filter(|member| member.is_trusted) {
            let Some(creation) = &member.creation else {
                continue;
            };
            let place = *places.entry(creation.trace_id()).or_insert(origins.len());
            match origins.get_mut(place) {
                Some((_, messages)) => *messages += 1,
                None => origins.push((creation.clone(), 1)),
            }
        }
        let left_out = origins.len().saturating_sub(limit);
        origins.truncate(limit);
        FanBack { origins, left_out }
    }
}
