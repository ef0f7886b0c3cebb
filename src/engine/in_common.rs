//! What the messages of a batch have in common, which is on its span, and what differs, which is on
//! their links.

use std::ptr;
use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::trace::Link;

use crate::engine::attributes::destination_name;
use crate::engine::destination::{Destination, are_one};
use crate::engine::operation::Operation;
use crate::semconv::attributes::partition_id;

/// The partition that all messages have, if there is just one and all are of one destination: the
/// partitions of several have nothing in common but their numbers.
pub(crate) fn common_partition<'a>(
    mut messages: impl Iterator<Item = (&'a Arc<Destination>, Option<i32>)> + Clone,
) -> Option<i32> {
    let destinations = messages.clone().map(|(destination, _)| destination);
    let is_one = are_one(destinations);
    let (_, first) = messages.next().filter(|_| is_one)?;
    first.filter(|_| messages.all(|(_, other)| other == first))
}

/// Where a message of a batch is from or goes to.
pub(crate) struct Place<'a> {
    pub(crate) destination: &'a Destination,
    pub(crate) partition: Option<i32>,
    /// Its number there.
    pub(crate) number: Option<KeyValue>,
}

/// Attributes that all messages have which have said anything.
#[derive(Debug, Default)]
pub(crate) struct InCommon {
    attributes: Vec<KeyValue>,
    messages: usize,
}

impl InCommon {
    /// One more message says this of itself.
    #[inline]
    pub(crate) fn add(&mut self, own: &[KeyValue]) {
        if self.messages == 0 {
            self.attributes = own.to_vec();
        } else {
            self.attributes.retain(|one| own.contains(one));
        }
        self.messages += 1;
    }

    /// What all have of so many; nothing while some have said nothing.
    pub(crate) fn attributes_of_all(self, messages: usize) -> Vec<KeyValue> {
        match self.messages == messages {
            true => self.attributes,
            false => Vec::new(),
        }
    }
}

/// The messages of a batch, each with its links and with what it says of itself.
pub(crate) struct MessageLinks<'a> {
    operation: &'a Operation<'a>,
    /// In the order of the messages, as yet with all that each says.
    links: Vec<Link>,
    in_common: InCommon,
}

impl<'a> MessageLinks<'a> {
    /// None yet, of a batch that is known so far.
    pub(crate) fn new(operation: &'a Operation<'a>) -> Self {
        Self {
            operation,
            links: Vec::with_capacity(operation.batch.unwrap_or_default()),
            in_common: InCommon::default(),
        }
    }

    /// Adds a message. What it says of itself is on the first of its links.
    pub(crate) fn add(
        &mut self,
        mut place: Place<'_>,
        mut own: Vec<KeyValue>,
        links: impl IntoIterator<Item = Link>,
    ) {
        if self.operation.batch == Some(1) {
            own.extend(place.number.take());
        }
        self.in_common.add(&own);
        let mut links = links.into_iter();
        if let Some(mut link) = links.next() {
            link.attributes = own;
            link.attributes.extend(self.apart(place));
            self.links.push(link);
            self.links.extend(links);
        }
    }

    /// Where a message is from or goes to, as far as that is not one place for all.
    fn apart(&self, place: Place<'_>) -> impl Iterator<Item = KeyValue> + use<> {
        let destination = place.destination;
        let of_all = self.operation.destination;
        // Nearly always it is the very one.
        let is_of_all = of_all.is_some_and(|all| {
            ptr::eq(&**all, destination) || all.usable_name() == destination.usable_name()
        });
        let name = (!is_of_all)
            .then(|| destination_name(destination))
            .flatten();
        let partition = place.partition;
        let partition = partition.filter(|_| self.operation.partition.is_none());
        let name_and_partition = name.into_iter().chain(partition.map(partition_id));
        place.number.into_iter().chain(name_and_partition)
    }

    /// How many links there are so far.
    pub(crate) const fn links(&self) -> usize {
        self.links.len()
    }

    /// A link for each message that has a context, with what differs between the messages, and what
    /// does not differ.
    ///
    /// Spec: [messaging-spans § Recording per-message attributes on batch operations].
    ///
    /// [messaging-spans § Recording per-message attributes on batch operations]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-spans.md#recording-per-message-attributes-on-batch-operations
    pub(crate) fn parted(self) -> (Vec<Link>, Vec<KeyValue>) {
        let common = self.in_common.attributes;
        let mut links = self.links;
        if !common.is_empty() {
            let is_common = |one: &KeyValue| common.iter().any(|other| other.key == one.key);
            for link in &mut links {
                link.attributes.retain(|one| !is_common(one));
            }
        }
        (links, common)
    }
}
