//! Attributes, wherever they are: on spans, links, events and points.

use opentelemetry::{Array, Value};

use crate::model::{Attributes, Scene};
use crate::names::{
    ANONYMOUS, CAPTURED, DESTINATION, ERROR, GROUP, OURS, PARTITION, REGISTERED, ROUTING_KEY,
    TEMPORARY, form, is_deprecated,
};
use crate::verdict::{Bench, Rule};

pub(super) const RULES: [Rule; 11] = [
    Rule {
        id: "attribute.current",
        says: "no attribute has a deprecated name",
        spec: "registry § Messaging attributes, deprecated",
        check: current,
    },
    Rule {
        id: "attribute.known",
        says: "each attribute is of the conventions, or is documented as not of them",
        spec: "naming § Recommendations for application developers",
        check: known,
    },
    Rule {
        id: "attribute.type",
        says: "each value is of the attribute's type",
        spec: "registry § Messaging attributes",
        check: typed,
    },
    Rule {
        id: "attribute.empty",
        says: "what is empty is not set",
        spec: "common § Attribute; messaging-spans, \"if not empty\"",
        check: empty,
    },
    Rule {
        id: "attribute.once",
        says: "a key is there once",
        spec: "common § Attribute collections, unique keys",
        check: once,
    },
    Rule {
        id: "attribute.listed",
        says: "an attribute stands on those types of spans whose tables list it",
        spec: "messaging-spans § Messaging attributes; kafka; rabbitmq",
        check: listed,
    },
    Rule {
        id: "attribute.only-true",
        says: "messaging.destination.temporary, messaging.destination.anonymous and kafka.message.tombstone are set \
               only if true",
        spec: "rabbitmq § Span attributes; kafka § Span attributes",
        check: only_true,
    },
    Rule {
        id: "attribute.ours",
        says: "without a registered counterpart an attribute is opt-in, or tells what is out of the ordinary",
        spec: "attribute-requirement-level § Opt-In",
        check: ours,
    },
    Rule {
        id: "attribute.partition",
        says: "messaging.destination.partition.id is text, and that of one partition",
        spec: "registry § Messaging attributes, messaging.destination.partition.id",
        check: partition,
    },
    Rule {
        id: "attribute.rabbitmq.destination",
        says: "the destination's name is what is not empty of exchange, routing key and queue, joined by colons",
        spec: "rabbitmq § Destination name",
        check: rabbitmq_destination,
    },
    Rule {
        id: "attribute.group",
        says: "messaging.consumer.group.name is not for RabbitMQ, and for Kafka is on each receiving span",
        spec: "kafka § Span attributes; rabbitmq § Span attributes",
        check: group,
    },
];

/// All sets of attributes with the names of what they are on.
fn everywhere(scene: &Scene) -> Vec<(String, &Attributes)> {
    let mut all = Vec::new();
    for span in &scene.spans {
        all.push((format!("span `{}`", span.name), &span.attributes));
        for link in &span.links {
            all.push((format!("a link of span `{}`", span.name), &link.attributes));
        }
        for event in &span.events {
            let what = format!("event `{}` of span `{}`", event.name, span.name);
            all.push((what, &event.attributes));
        }
    }
    for point in &scene.points {
        all.push((format!("metric `{}`", point.metric), &point.attributes));
    }
    all
}

/// Each attribute by itself.
fn each(scene: &Scene, mut judge: impl FnMut(String, &str, &Value)) {
    for (what, attributes) in everywhere(scene) {
        for (key, value) in &attributes.0 {
            judge(format!("{key} on {what}"), key, value);
        }
    }
}

fn current(scene: &Scene, bench: &mut Bench) {
    each(scene, |what, key, _| {
        bench.that(what, !is_deprecated(key), "deprecated");
    });
}

fn known(scene: &Scene, bench: &mut Bench) {
    each(scene, |what, key, _| {
        bench.that(
            what,
            form(key).is_some() || is_deprecated(key),
            "nobody knows it",
        );
    });
}

fn typed(scene: &Scene, bench: &mut Bench) {
    each(scene, |what, key, value| {
        if let Some(form) = form(key) {
            let found = format_args!("{value:?} is no {form:?}");
            bench.that(what, form.fits(value), found);
        }
    });
}

fn empty(scene: &Scene, bench: &mut Bench) {
    each(scene, |what, _, value| {
        let is_empty = match value {
            Value::String(text) => text.as_str().trim().is_empty(),
            Value::Array(Array::String(texts)) => texts.is_empty(),
            _ => false,
        };
        bench.that(what, !is_empty, "empty");
    });
}

fn once(scene: &Scene, bench: &mut Bench) {
    for (what, attributes) in everywhere(scene) {
        for (key, _) in &attributes.0 {
            let times = attributes.0.iter().filter(|(other, _)| other == key);
            bench.that(
                &what,
                times.count() == 1,
                format_args!("{key} more than once"),
            );
        }
    }
}

fn listed(scene: &Scene, bench: &mut Bench) {
    for span in scene.operations() {
        let operation = span.operation().unwrap_or_default();
        for (key, _) in &span.attributes.0 {
            if let Some((_, _, types)) = REGISTERED.iter().find(|(own, ..)| own == key) {
                let found = format_args!("{key} on a span of type {operation}");
                bench.that(
                    format_args!("span `{}`", span.name),
                    types.contains(&&*operation),
                    found,
                );
            }
        }
    }
}

fn only_true(scene: &Scene, bench: &mut Bench) {
    each(scene, |what, key, value| {
        if [TEMPORARY, ANONYMOUS, "kafka.message.tombstone"].contains(&key) {
            bench.that(what, *value == Value::Bool(true), format_args!("{value:?}"));
        }
    });
}

fn ours(scene: &Scene, bench: &mut Bench) {
    if !scene.facts.is_ordinary {
        return;
    }
    for (what, attributes) in everywhere(scene) {
        // A metric of ours is about nothing else.
        if !what.contains("metric `otel_messaging.") {
            for (key, _) in &attributes.0 {
                // Those of NATS take the place of ids that the conventions give others, and have its own namespace.
                let is_own = key.starts_with("otel_messaging.");
                bench.that(
                    &what,
                    !is_own,
                    format_args!("{key}, which nobody asked for"),
                );
            }
        }
    }
}

fn partition(scene: &Scene, bench: &mut Bench) {
    each(scene, |what, key, value| {
        if key == PARTITION {
            let text = value.to_string();
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let is_right = matches!(value, Value::String(_)) && is_number;
            bench.that(what, is_right, format_args!("{value:?}"));
        }
    });
}

fn rabbitmq_destination(scene: &Scene, bench: &mut Bench) {
    if scene.facts.system != "rabbitmq" {
        return;
    }
    for span in scene.operations() {
        let Some(name) = span.attributes.text(DESTINATION) else {
            continue;
        };
        let key = span.attributes.text(ROUTING_KEY).unwrap_or_default();
        let parts = name.split(':');
        let is_joined = parts.clone().all(|part| !part.is_empty());
        // Several keys have no place in a name for all; the parts of one are in it, in their order.
        let has_key = key.is_empty() || format!(":{name}:").contains(&format!(":{key}:"));
        let twice = parts
            .clone()
            .zip(parts.skip(1))
            .any(|(one, next)| one == next);
        bench.span(
            span,
            is_joined && has_key && !twice,
            format_args!("{name} with routing key {key:?}"),
        );
    }
}

fn group(scene: &Scene, bench: &mut Bench) {
    for span in scene.operations() {
        let has = span.attributes.has(GROUP);
        let is_consuming = !span.is("send") && !span.is("create");
        match scene.facts.system {
            "kafka" => bench.span(span, has == is_consuming, format_args!("{GROUP}: {has}")),
            "rabbitmq" => bench.span(span, !has, format_args!("{GROUP}: {has}")),
            _ => {}
        }
    }
}

/// What is documented as ours is not in the conventions by another name.
#[test]
fn no_name_of_ours_is_one_of_the_conventions() {
    for (own, _) in OURS {
        assert!(!is_deprecated(own), "{own}");
        assert!(REGISTERED.iter().all(|(key, ..)| *key != own), "{own}");
    }
    assert!(!is_deprecated(CAPTURED) && !is_deprecated(ERROR));
}
