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
    /// One more message says this of itself. `None` if all before it say the same, else what they say and it
    /// does not.
    #[inline]
    pub(crate) fn add(&mut self, own: &[KeyValue]) -> Option<Vec<KeyValue>> {
        self.messages += 1;
        if self.messages == 1 {
            self.attributes = own.to_vec();
        }
        (self.attributes != own).then(|| {
            let differing = self.attributes.extract_if(.., |one| !own.contains(one));
            differing.collect()
        })
    }

    /// What all have of so many; nothing while some have said nothing.
    pub(crate) fn attributes_of_all(self, messages: usize) -> Vec<KeyValue> {
        match self.messages == messages {
            true => self.attributes,
            false => Vec::new(),
        }
    }
}

/// The links of the messages of a batch, each message's with what not all say of themselves.
pub(crate) struct MessageLinks<'a> {
    operation: &'a Operation<'a>,
    /// In the order of the messages.
    links: Vec<Link>,
    /// Which of them are not the first of their message.
    further: Vec<usize>,
    in_common: InCommon,
    /// What the message says that is added.
    own: Vec<KeyValue>,
}

impl<'a> MessageLinks<'a> {
    /// None yet, of a batch that is known so far.
    pub(crate) fn new(operation: &'a Operation<'a>) -> Self {
        Self {
            operation,
            links: Vec::with_capacity(operation.batch.unwrap_or_default()),
            further: Vec::new(),
            in_common: InCommon::default(),
            own: Vec::new(),
        }
    }

    /// Adds a message. What it says of itself is on the first of its links.
    pub(crate) fn add(
        &mut self,
        mut place: Place<'_>,
        say: impl FnOnce(&mut Vec<KeyValue>),
        links: impl IntoIterator<Item = Link>,
    ) {
        self.own.clear();
        say(&mut self.own);
        if self.operation.batch == Some(1) {
            self.own.extend(place.number.take());
        }
        match self.in_common.add(&self.own) {
            None => self.own.clear(),
            Some(differing) => {
                self.set_on_those_before(&differing);
                let common = &self.in_common.attributes;
                self.own.retain(|one| !common.contains(one));
            }
        }
        let mut links = links.into_iter();
        if let Some(mut link) = links.next() {
            set_apart(self.operation, place, &mut self.own);
            link.attributes = self.own.drain(..).collect();
            self.links.push(link);
            for link in links {
                self.further.push(self.links.len());
                self.links.push(link);
            }
        }
    }

    /// Puts what all messages so far say, and the next one does not, onto the first link of each. The order of
    /// attributes means nothing.
    fn set_on_those_before(&mut self, attributes: &[KeyValue]) {
        if attributes.is_empty() {
            return;
        }
        for (index, link) in self.links.iter_mut().enumerate() {
            if self.further.binary_search(&index).is_err() {
                link.attributes.splice(..0, attributes.iter().cloned());
            }
        }
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
        (self.links, self.in_common.attributes)
    }
}

/// Says where a message is from or goes to, as far as that is not one place for all.
fn set_apart(operation: &Operation<'_>, place: Place<'_>, own: &mut Vec<KeyValue>) {
    if let Some(number) = place.number {
        own.push(number);
    }
    let destination = place.destination;
    // Nearly always it is the very one.
    let is_of_all = operation.destination.is_some_and(|all| {
        ptr::eq(&**all, destination) || all.usable_name() == destination.usable_name()
    });
    if !is_of_all {
        own.extend(destination_name(destination));
    }
    if let Some(partition) = place.partition
        && operation.partition.is_none()
    {
        own.push(partition_id(partition));
    }
}
