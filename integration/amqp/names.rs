//! Names of which there is no end, and that are few on spans and metrics nevertheless.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use integration::amqp::{DELIVERY_TAG, client_attributes, consume, delivery_tag, next as take};
use integration::metrics::{consumed_messages, sent_messages};
use integration::unique;
use integration::whole;
use lapin::options::{BasicPublishOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Confirmation};
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use otel_messaging::amqp::{Producer, Publish};
use otel_messaging::testing::{ExpectedSpan, Recorder};

use crate::shop::{Shop, next};

async fn publish(producer: &Producer, exchange: &'static str, routing_key: &ShortString) {
    let published = producer.basic_publish(
        exchange.into(),
        routing_key.clone(),
        BasicPublishOptions::default(),
        b"in stock",
        BasicProperties::default(),
    );
    let confirmation = published.await.expect("a publish").await;
    assert_eq!(confirmation.expect("a confirm"), Confirmation::Ack(None));
}

/// A span that is known by a template.
fn known_as(template: &str, verb: &'static str, kind: SpanKind, name: String) -> ExpectedSpan {
    client_attributes(whole::span(format!("{verb} {template}"), kind))
        .attribute("messaging.operation.name", verb)
        .attribute("messaging.destination.name", name)
        .attribute("messaging.destination.template", template.to_owned())
}

/// What it is counted with.
fn counted_as(template: &str, verb: &'static str) -> Vec<KeyValue> {
    let mut attributes = integration::amqp::measured(verb, template);
    attributes.retain(|attribute| attribute.key.as_str() != "messaging.destination.name");
    let template = template.to_owned();
    attributes.push(KeyValue::new("messaging.destination.template", template));
    attributes
}

/// Spring declares such a queue for the replies to its requests, and for each consumer without a group.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_to_another_client_have_the_name_of_all_its_reply_queues() {
    let recorder = Recorder::new();
    let shop = Shop::open(&recorder.telemetry()).await;
    let replies = ShortString::from(unique("spring.gen"));
    let options = QueueDeclareOptions::exclusive();
    let channel = shop.channel();
    let declared = channel.queue_declare(replies.clone(), options, FieldTable::default());
    declared.await.expect("a queue");
    let mut consumer = shop.consumer_of(&replies).await;

    publish(&shop.producer, "", &replies).await;
    let reply = next(&mut consumer).await;
    reply.process(async |_| ()).await;

    let marked = |verb, kind| {
        known_as("spring.gen", verb, kind, replies.to_string())
            .attribute("messaging.destination.temporary", true)
            .attribute("messaging.destination.anonymous", true)
            .attribute("rabbitmq.destination.routing_key", replies.to_string())
    };
    let replied = recorder.span("publish spring.gen");
    marked("publish", SpanKind::Producer)
        .attribute("messaging.operation.type", "send")
        .assert(&replied);
    marked("process", SpanKind::Consumer)
        .attribute("messaging.operation.type", "process")
        .attribute(DELIVERY_TAG, delivery_tag(&reply))
        .child_of(&replied.span_context)
        .link(&replied.span_context)
        .assert(&recorder.span("process spring.gen"));
    let sent = counted_as("spring.gen", "publish");
    sent_messages().of(sent, 1).assert(&recorder);
    let consumed = counted_as("spring.gen", "consume");
    consumed_messages().of(consumed, 1).assert(&recorder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routing_keys_of_the_topic_exchange_that_every_broker_has_are_no_names() {
    let recorder = Recorder::new();
    let shop = Shop::open(&recorder.telemetry()).await;
    let about = unique("order");
    let bound = shop.channel().queue_bind(
        shop.orders.clone(),
        "amq.topic".into(),
        format!("{about}.*").into(),
        QueueBindOptions::default(),
        FieldTable::default(),
    );
    bound.await.expect("a binding");
    let mut consumer = shop.consumer().await;

    let keys = ["4711", "4712"].map(|id| ShortString::from(format!("{about}.{id}")));
    for key in &keys {
        recorder.clear();
        publish(&shop.producer, "amq.topic", key).await;
        let order = next(&mut consumer).await;
        order.process(async |_| ()).await;

        let with_key = |span: ExpectedSpan| {
            span.attribute("rabbitmq.destination.routing_key", key.to_string())
        };
        let published = recorder.span("publish amq.topic");
        let name = format!("amq.topic:{key}");
        with_key(known_as("amq.topic", "publish", SpanKind::Producer, name))
            .attribute("messaging.operation.type", "send")
            .assert(&published);
        let template = format!("amq.topic:{}", shop.orders);
        let name = format!("amq.topic:{key}:{}", shop.orders);
        with_key(known_as(&template, "process", SpanKind::Consumer, name))
            .attribute("messaging.operation.type", "process")
            .attribute(DELIVERY_TAG, delivery_tag(&order))
            .child_of(&published.span_context)
            .link(&published.span_context)
            .assert(&recorder.span(&format!("process {template}")));
    }
    let sent = counted_as("amq.topic", "publish");
    sent_messages().of(sent, 2).assert(&recorder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_a_batch_that_differ_in_an_id_have_a_name_in_common() {
    let recorder = Recorder::new();
    let shop = Shop::open(&recorder.telemetry()).await;
    let mut consumer = consume(shop.channel(), &shop.orders).await;
    let about = unique("order");
    let bound = shop.channel().queue_bind(
        shop.orders.clone(),
        "amq.direct".into(),
        format!("{about}.6ba7b810-9dad-11d1-80b4-00c04fd430c8").into(),
        QueueBindOptions::default(),
        FieldTable::default(),
    );
    bound.await.expect("a binding");

    let messages = ["6ba7b810", "6ba7b811"].map(|id| {
        let key = format!("{about}.{id}-9dad-11d1-80b4-00c04fd430c8");
        Publish::new("amq.direct", key, b"two books")
    });
    for sent in shop.producer.publish_batch(messages).await {
        assert_eq!(sent.expect("a confirm"), Confirmation::Ack(None));
    }

    take(&mut consumer).await;
    let template = format!("amq.direct:{about}.{{uuid}}");
    let names = recorder.spans().into_iter().map(|span| span.name);
    let [create, publish] = ["create", "publish"].map(|verb| format!("{verb} {template}"));
    assert_eq!(Vec::from_iter(names), [create.clone(), create, publish]);
    let sent = counted_as(&template, "publish");
    sent_messages().of(sent, 2).assert(&recorder);
}
