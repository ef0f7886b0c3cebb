//! Messages and spans in one tree: a message is below the span that sent it, and above those that took it.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use super::Hop;
use crate::seen::Place;
use crate::spans::{Id, Kind, Span};

/// A message or a span.
#[derive(Clone, Copy)]
pub(super) enum Node<'a> {
    Message(&'a Hop),
    Span(&'a Span),
}

/// What is missing or broken at a place in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gap {
    /// The message is of another trace, or of none.
    Breaks,
    /// No span says that the message was sent.
    Unsent,
    /// No span says that the message was taken.
    Untaken,
    /// The parent of the span is not among the spans.
    Orphan,
}

impl Gap {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Breaks => "here the trace breaks: the id is that of another message of it",
            Self::Unsent => "no span here says who sent it",
            Self::Untaken => "no span here says who took it",
            Self::Orphan => "its parent is not there",
        }
    }
}

/// A message or a span at its place in the tree.
pub(super) struct Placed<'a> {
    pub(super) node: Node<'a>,
    /// The place of what it is below, which comes before.
    pub(super) parent: Option<usize>,
    pub(super) depth: usize,
    /// How long the message waited that is taken here.
    pub(super) waited: Option<Duration>,
    pub(super) gaps: Vec<Gap>,
}

impl Node<'_> {
    pub(super) fn time(&self) -> Option<SystemTime> {
        match self {
            Self::Message(hop) => hop.time(),
            Self::Span(span) => Some(span.start),
        }
    }
}

/// The tree, each after what it is below, and else in the order of time.
pub(super) fn joined<'a>(hops: &'a [Hop], spans: &'a [Span]) -> Vec<Placed<'a>> {
    let tree = Tree::of(hops, spans);
    let parents = tree.parents();
    let mut children: HashMap<Option<usize>, Vec<usize>> = HashMap::new();
    for (own, parent) in parents.iter().enumerate() {
        children.entry(*parent).or_default().push(own);
    }
    for below in children.values_mut() {
        // The latest first, as it is taken from the end, and before it what has no time.
        below.sort_by_key(|own| {
            let time = tree.nodes.get(*own).and_then(Node::time);
            Reverse((time.is_none(), time))
        });
    }
    let mut open: Vec<_> = children.get(&None).into_iter().flatten().collect();
    let mut open: Vec<(usize, Option<usize>)> = open.drain(..).map(|own| (*own, None)).collect();
    let mut placed: Vec<Placed<'a>> = Vec::new();
    while let Some((own, parent)) = open.pop() {
        let Some(node) = tree.nodes.get(own).copied() else {
            continue;
        };
        let below = children.get(&Some(own)).map_or(&[][..], Vec::as_slice);
        let above = parent.and_then(|parent: usize| placed.get(parent));
        let next = Placed {
            node,
            parent,
            depth: above.map_or(0, |above| above.depth + 1),
            waited: waited(node, above, &placed),
            gaps: tree.gaps(node, parent.is_some(), below),
        };
        placed.push(next);
        let place = placed.len() - 1;
        open.extend(below.iter().map(|below| (*below, Some(place))));
    }
    placed
}

/// Messages first, then spans.
struct Tree<'a> {
    nodes: Vec<Node<'a>>,
    spans: HashMap<Id, usize>,
    /// Of one context there can be several: batches, and copies in several queues.
    messages: HashMap<Id, Vec<usize>>,
    /// Those of Kafka, by partition and offset too.
    records: HashMap<(Id, i64, i64), usize>,
}

/// Messages of one context that are compared with a span, in which there can be as many.
const MOST_ALIKE: usize = 1_000;

impl<'a> Tree<'a> {
    fn of(hops: &'a [Hop], spans: &'a [Span]) -> Self {
        let nodes = hops.iter().map(Node::Message);
        let nodes: Vec<_> = nodes.chain(spans.iter().map(Node::Span)).collect();
        let mut tree = Self {
            nodes: Vec::new(),
            spans: HashMap::new(),
            messages: HashMap::new(),
            records: HashMap::new(),
        };
        for (place, node) in nodes.iter().enumerate() {
            match node {
                Node::Span(span) => {
                    tree.spans.insert(span.id, place);
                }
                Node::Message(hop) => {
                    if let Some(id) = hop.creation() {
                        tree.messages.entry(id).or_default().push(place);
                        if let Place::Offset { partition, offset } = hop.seen.place {
                            let key = (id, i64::from(partition), offset);
                            tree.records.entry(key).or_insert(place);
                        }
                    }
                }
            }
        }
        tree.nodes = nodes;
        tree
    }

    /// What each is below. Links may lead in a circle: it is opened where it is noticed.
    fn parents(&self) -> Vec<Option<usize>> {
        let parents = self.nodes.iter().map(|node| self.parent(*node));
        let mut parents: Vec<_> = parents.collect();
        let mut is_well = vec![false; parents.len()];
        for start in 0..parents.len() {
            let mut way = Vec::new();
            let mut next = Some(start);
            let mut seen_on_way = std::collections::HashSet::new();
            while let Some(own) = next.filter(|own| is_well.get(*own) == Some(&false)) {
                if !seen_on_way.insert(own) {
                    if let Some(parent) = parents.get_mut(own) {
                        *parent = None;
                    }
                    break;
                }
                way.push(own);
                next = parents.get(own).copied().flatten();
            }
            for own in way {
                if let Some(own) = is_well.get_mut(own) {
                    *own = true;
                }
            }
        }
        parents
    }

    fn parent(&self, node: Node<'_>) -> Option<usize> {
        let span = match node {
            Node::Message(hop) => return self.spans.get(&hop.creation()?).copied(),
            Node::Span(span) => span,
        };
        let own = span.parent.map(|parent| (span.id.0, parent));
        let by_parent = own.and_then(|own| {
            let message = || self.message(own, span);
            let above = || self.spans.get(&own).copied();
            match span.is_taking() || self.is_elsewhere(own, span) {
                true => message().or_else(above),
                false => above().or_else(message),
            }
        });
        let by_link = || {
            let mut links = span.links.iter().copied();
            links.find_map(|link| {
                let above = || self.spans.get(&link).copied();
                self.message(link, span).or_else(above)
            })
        };
        by_parent.or_else(by_link)
    }

    /// Whether it is of another service than its parent: then a message may be between them.
    fn is_elsewhere(&self, parent: Id, span: &Span) -> bool {
        let parent = self.spans.get(&parent);
        let parent = parent.and_then(|parent| self.nodes.get(*parent));
        matches!(parent, Some(Node::Span(parent)) if parent.service != span.service)
    }

    /// Of the messages with this context the one that the span is about, as far as it tells, or else the first.
    fn message(&self, context: Id, span: &Span) -> Option<usize> {
        let record = record(span).and_then(|(partition, offset)| {
            self.records.get(&(context, partition, offset)).copied()
        });
        let messages = self.messages.get(&context)?.iter().copied();
        // With copies in several topics, the name tells more.
        let alike = messages.take(MOST_ALIKE).chain(record);
        alike.min_by_key(|place| match self.nodes.get(*place) {
            Some(Node::Message(hop)) => Reverse(likeness(hop, span)),
            _ => Reverse(0),
        })
    }

    fn gaps(&self, node: Node<'_>, has_parent: bool, below: &[usize]) -> Vec<Gap> {
        let mut gaps = Vec::new();
        match node {
            Node::Message(hop) => {
                if hop.is_outside {
                    gaps.push(Gap::Breaks);
                }
                if !has_parent {
                    gaps.push(Gap::Unsent);
                }
                if below.is_empty() {
                    gaps.push(Gap::Untaken);
                }
            }
            Node::Span(span) => {
                let parent = span.parent.map(|parent| (span.id.0, parent));
                let is_known = |id| self.spans.contains_key(&id) || self.messages.contains_key(&id);
                if parent.is_some_and(|parent| !is_known(parent)) {
                    gaps.push(Gap::Orphan);
                }
            }
        }
        gaps
    }
}

/// Partition and offset of the record of Kafka that the span is about, if it tells them.
fn record(span: &Span) -> Option<(i64, i64)> {
    let number = |text: &Option<String>| text.as_ref()?.parse().ok();
    number(&span.facts.partition).zip(number(&span.facts.offset))
}

/// How much of where the message is the span tells too.
fn likeness(hop: &Hop, span: &Span) -> u8 {
    let is_there = match hop.seen.place {
        Place::Offset { partition, offset } => record(span) == Some((partition.into(), offset)),
        Place::Number(_) | Place::Sequence(_) => false,
    };
    let name = hop.seen.destination.split_once(':').map(|(_, name)| name);
    let is_in = name
        .zip(span.facts.destination.as_deref())
        .is_some_and(|(name, told)| {
            // RabbitMQ's have parts: exchange, routing key, queue; a subject is one of a stream.
            let mut parts = told.split(':').chain([told]);
            parts.any(|part| {
                !part.is_empty() && (part == name || name.ends_with(&format!("/{part}")))
            })
        });
    let is_before = hop
        .time()
        .is_some_and(|time| time <= span.start + Duration::from_secs(1));
    u8::from(is_there) * 4 + u8::from(is_in) * 2 + u8::from(is_before)
}

/// From when a message was there, or could be at the earliest, to when it was taken.
fn waited(node: Node<'_>, above: Option<&Placed<'_>>, placed: &[Placed<'_>]) -> Option<Duration> {
    let Node::Span(span) = node else {
        return None;
    };
    let above = above?;
    let since = match above.node {
        Node::Message(hop) => {
            let sender = above.parent.and_then(|sender| placed.get(sender));
            // To the second alone is what some brokers tell.
            let sent = sender.and_then(|sender| sender.node.time());
            let known = hop.seen.time.into_iter().chain(sent);
            known.filter(|time| *time <= span.start).max()?
        }
        Node::Span(sender) if span.is_taking() && sender.kind == Kind::Producer => {
            let end = sender.start.checked_add(sender.duration);
            end.filter(|end| *end <= span.start).unwrap_or(sender.start)
        }
        Node::Span(_) => return None,
    };
    span.start.duration_since(since).ok()
}
