//! What a batch has that a single message has not, and the other way round.

use crate::model::{Attributes, Scene, Span};
use crate::names::{BATCH, DESTINATION, NUMBERS, OPERATIONS, PARTITION, PER_MESSAGE};
use crate::verdict::{Bench, Rule};

pub(super) const RULES: [Rule; 4] = [
    Rule {
        id: "batch.count",
        says: "messaging.batch.message_count is the number of messages on operations on batches, and on no other",
        spec: "messaging-spans § Messaging attributes, messaging.batch.message_count",
        check: count,
    },
    Rule {
        id: "batch.common",
        says: "what all messages of a received batch have in common is on its span",
        spec: "messaging-spans § Batch operations, attributes of messages",
        check: common_on_links,
    },
    Rule {
        id: "batch.common.sent",
        says: "what all messages of a sent batch have in common is on its span",
        spec: "messaging-spans § Batch operations, attributes of messages",
        check: common_to_creates,
    },
    Rule {
        id: "batch.link",
        says: "what is on the span of a batch is not on its links once more",
        spec: "messaging-spans § Batch operations, attributes of messages",
        check: either,
    },
];

fn count(scene: &Scene, bench: &mut Bench) {
    for (operation, _) in OPERATIONS {
        let done = scene.facts.done.iter();
        let done = done.filter(|one| one.operation == operation && one.has_span);
        let mut expected: Vec<_> = done.map(|one| one.batch).collect();
        let mut found: Vec<_> = scene.of(operation).map(Span::batch).collect();
        expected.sort_unstable();
        found.sort_unstable();
        // That one is missing is another rule.
        if expected.len() == found.len() && !found.is_empty() && scene.facts.are_known {
            let what = format_args!("{BATCH} of type {operation}");
            let counts = format_args!("{found:?} and not {expected:?}");
            bench.that(what, expected == found, counts);
        }
    }
    for span in scene.spans.iter().filter(|span| span.operation().is_none()) {
        bench.span(span, span.batch().is_none(), "is no operation on a batch");
    }
}

fn is_of_message(key: &str) -> bool {
    PER_MESSAGE.contains(&key) && !NUMBERS.contains(&key)
}

/// Keys of messages that all of these have, with one value.
fn in_common<'a>(all: &[&'a Attributes], is_meant: fn(&str) -> bool) -> Vec<&'a str> {
    let Some((first, others)) = all.split_first() else {
        return Vec::new();
    };
    let keys = first.0.iter().filter(|(key, _)| is_meant(key));
    keys.filter(|(key, value)| others.iter().all(|other| other.get(key) == Some(value)))
        .map(|(key, _)| key.as_str())
        .collect()
}

fn common_on_links(scene: &Scene, bench: &mut Bench) {
    for span in scene.of("receive").chain(scene.of("process")) {
        let links: Vec<_> = span.links.iter().map(|link| &link.attributes).collect();
        // Some messages may have no link to say it on.
        let is_each = span.batch() == i64::try_from(links.len()).ok();
        if is_each && !links.is_empty() {
            let common = in_common(&links, is_of_message);
            bench.span(
                span,
                common.is_empty(),
                format_args!("{common:?} on all links"),
            );
        }
    }
}

fn common_to_creates(scene: &Scene, bench: &mut Bench) {
    let is_meant = |key: &str| is_of_message(key) || key == DESTINATION || key == PARTITION;
    for span in scene.of("send").filter(|span| span.batch().is_some()) {
        let creates = scene.of("create").filter(|one| span.links_to(one.id));
        let creates: Vec<_> = creates.map(|create| &create.attributes).collect();
        if span.batch() == i64::try_from(creates.len()).ok() {
            let common = in_common(&creates, is_meant);
            // A partition is one of its topic.
            let is_one = common.contains(&DESTINATION);
            let common = common.into_iter().filter(|key| is_one || *key != PARTITION);
            let missing: Vec<_> = common.filter(|key| !span.attributes.has(key)).collect();
            bench.span(
                span,
                missing.is_empty(),
                format_args!("{missing:?} is missing"),
            );
        }
    }
}

fn either(scene: &Scene, bench: &mut Bench) {
    for span in scene.operations().filter(|span| span.batch().is_some()) {
        for link in &span.links {
            let own = link.attributes.0.iter();
            let twice = own.filter(|(key, value)| span.attributes.get(key) == Some(value));
            let twice: Vec<_> = twice.map(|(key, _)| key).collect();
            bench.span(span, twice.is_empty(), format_args!("{twice:?} on both"));
        }
    }
}
