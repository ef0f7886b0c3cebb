//! Deprecated names beside the present ones, for back ends that know no others.

use std::collections::BTreeMap;
use std::env;

use opentelemetry::KeyValue;
use opentelemetry_sdk::trace::SpanData;
use otel_messaging::Batch;
use otel_messaging::testing::Recorder;

use super::batches::at;
use super::{send_bare, upstream_headers};
use crate::{Broker, Message, again_with};

const OPT_IN: &str = "OTEL_SEMCONV_STABILITY_OPT_IN";

const RENAMED: [(&str, &str); 7] = [
    ("messaging.system.name", "messaging.system"),
    ("kafka.offset", "messaging.kafka.offset"),
    ("kafka.message.key", "messaging.kafka.message.key"),
    (
        "kafka.message.tombstone",
        "messaging.kafka.message.tombstone",
    ),
    ("kafka.cluster.id", "messaging.kafka.cluster.id"),
    (
        "rabbitmq.destination.routing_key",
        "messaging.rabbitmq.destination.routing_key",
    ),
    (
        "rabbitmq.message.delivery_tag",
        "messaging.rabbitmq.message.delivery_tag",
    ),
];

/// Takes the deprecated twins out; each has the value of its successor, and each renamed attribute
/// has one. Says how many there were.
fn take_twins(attributes: &mut Vec<KeyValue>) -> usize {
    let twin = |one: &KeyValue| {
        let renamed = RENAMED.iter().find(|(new, _)| *new == one.key.as_str());
        renamed.map(|(_, old)| ((*old).to_owned(), one.value.clone()))
    };
    let expected: BTreeMap<_, _> = attributes.iter().filter_map(twin).collect();
    let is_twin = |one: &KeyValue| RENAMED.iter().any(|(_, old)| *old == one.key.as_str());
    let twins = attributes.iter().filter(|one| is_twin(one));
    let twins = twins.map(|one| (one.key.to_string(), one.value.clone()));
    let found: BTreeMap<_, _> = twins.collect();
    assert_eq!(format!("{found:?}"), format!("{expected:?}"));
    attributes.retain(|one| !is_twin(one));
    found.len()
}

/// The span without what is only there for old back ends.
fn without_twins(mut span: SpanData) -> SpanData {
    assert!(take_twins(&mut span.attributes) > 0, "{span:?}");
    for link in &mut span.links.links {
        take_twins(&mut link.attributes);
    }
    span
}

/// With `messaging/dup` in the environment each renamed attribute is also there under its deprecated
/// name, on spans, links and metrics; all else is as without.
pub async fn deprecated_names_are_added_where_they_are_asked_for<B: Broker>() {
    if env::var_os(OPT_IN).is_some() {
        return with_deprecated_names::<B>().await;
    }
    again_with(
        "deprecated_names_are_added_where_they_are_asked_for",
        OPT_IN,
        "http/dup,messaging/dup",
    );
}

async fn with_deprecated_names<B: Broker>() {
    let recorder = Recorder::new();
    let broker = B::connect(&recorder.telemetry()).await;
    let orders = broker.declare("orders").await;
    let order = Message::new("order-7");

    let receipt = broker.send(&orders, &order).await;
    let received = broker.receive(&orders).await;
    received.process(async |_| ()).await;

    let send = recorder.span(&broker.send_name(&orders));
    let process = recorder.span(&broker.process_name(&orders));
    broker
        .send_span(&orders, &order, &receipt)
        .assert(&without_twins(send.clone()));
    broker
        .process_span(&orders, &received)
        .child_of(&send.span_context)
        .link(&send.span_context)
        .assert(&without_twins(process));

    let points = [
        "messaging.client.operation.duration",
        "messaging.process.duration",
    ]
    .map(|name| recorder.histogram(name));
    let points = points.into_iter().flatten().map(|point| point.attributes);
    let counts = [
        "messaging.client.sent.messages",
        "messaging.client.consumed.messages",
    ]
    .map(|name| recorder.counter(name));
    let counts = counts
        .into_iter()
        .flatten()
        .map(|(attributes, _)| attributes);
    let all: Vec<_> = points.chain(counts).collect();
    assert_eq!(all.len(), 4, "{all:?}");
    for mut attributes in all {
        assert_eq!(take_twins(&mut attributes), 1);
    }

    recorder.clear();
    let mut messages = Vec::new();
    for _ in 0..2 {
        send_bare(&broker, &orders, upstream_headers()).await;
        messages.push(broker.receive(&orders).await);
    }
    let batch = Batch::from(messages);
    batch.process(async |_| ()).await;

    let on_links: Vec<_> = batch.iter().map(|one| broker.on_link(one)).collect();
    let mut span = without_twins(recorder.span(&broker.process_name(&orders)));
    for (number, link) in span.links.links.iter_mut().enumerate() {
        let expected = at(&on_links, number);
        assert_eq!(format!("{:?}", link.attributes), format!("{expected:?}"));
    }
}
