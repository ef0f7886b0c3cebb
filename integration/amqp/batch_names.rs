//! What names messages together that are not of quite the same destination.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use integration::amqp::{
    DELIVERY_TAG, PATIENCE, client_attributes, delivery_tag, measured, published_batch,
};
use integration::metrics::{of_type, operation_duration, process_duration};
use integration::unique;
use integration::whole;
use lapin::message::Delivery;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Confirmation, ExchangeKind};
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanKind, TraceContextExt as _};
use opentelemetry_sdk::trace::SpanData;
use otel_messaging::Batch;
use otel_messaging::amqp::Publish;
use otel_messaging::policy::{Policy, Rule};
use otel_messaging::testing::{ExpectedSpan, Recorder};
use tokio::time::timeout;

use crate::shop::Shop;

const NAME: &str = "messaging.destination.name";
const KEY: &str = "rabbitmq.destination.routing_key";

/// An exchange that passes on to the orders what has one of these keys.
async fn bound(shop: &Shop, name: &str, keys: &[&str]) -> String {
    let name = unique(name);
    let options = ExchangeDeclareOptions {
        auto_delete: true,
        ..ExchangeDeclareOptions::default()
    };
    let exchange = ShortString::from(&*name);
    let table = FieldTable::default;
    let declared =
        shop.channel()
            .exchange_declare(exchange.clone(), ExchangeKind::Direct, options, table());
    declared.await.expect("an exchange");
    for key in keys {
        let options = QueueBindOptions::default();
        let (queue, key) = (shop.orders.clone(), (*key).into());
        let bound = shop
            .channel()
            .queue_bind(queue, exchange.clone(), key, options, table());
        bound.await.expect("a binding");
    }
    name
}

/// Publishes to these exchanges with these routing keys, and receives all of it as one batch.
async fn published_and_received(shop: &Shop, to: &[(&str, &str)]) -> Batch<Delivery> {
    let messages = to
        .iter()
        .map(|(exchange, key)| Publish::new(*exchange, *key, b"two books"));
    for sent in shop.producer.publish_batch(messages).await {
        assert_eq!(sent.expect("a confirm"), Confirmation::Ack(None));
    }
    let mut batches = shop.consumer().await.batches(to.len(), 2 * PATIENCE);
    let batch = timeout(PATIENCE, batches.recv()).await;
    batch
        .expect("a batch in time")
        .expect("a batch")
        .expect("no error")
}

fn received_batch(
    (verb, of_type, kind): (&'static str, &'static str, SpanKind),
    name: &str,
    messages: i64,
) -> ExpectedSpan {
    client_attributes(whole::span(format!("{verb} {name}"), kind))
        .attribute("messaging.operation.name", verb)
        .attribute("messaging.operation.type", of_type)
        .attribute("messaging.batch.message_count", messages)
        .attribute(NAME, name.to_owned())
}

fn on_links(span: &SpanData) -> Vec<Vec<KeyValue>> {
    let links = span.links.iter();
    links.map(|link| link.attributes.clone()).collect()
}

/// Asserts all spans and metrics of a batch to these exchanges with these routing keys, which are known
/// by these names together.
async fn assert_known_as(
    (recorder, shop): (&Recorder, &Shop),
    to: &[(&str, &str)],
    (published, received): (Option<&str>, &str),
) {
    recorder.clear();
    let batch = published_and_received(shop, to).await;
    batch.process(async |_| ()).await;

    let count = to.len() as i64;
    let creations = batch
        .iter()
        .map(|one| one.creation_context().span().span_context().clone());
    let creations: Vec<_> = creations.collect();
    let linking = |span| creations.iter().fold(span, ExpectedSpan::link);
    let common_key = to
        .iter()
        .all(|(_, key)| Some(*key) == to.first().map(|(_, key)| *key));
    let with_key = |span: ExpectedSpan| match to.first() {
        Some((_, key)) if common_key => span.attribute(KEY, (*key).to_owned()),
        _ => span,
    };
    let key_apart = |key: &str| (!common_key).then(|| KeyValue::new(KEY, key.to_owned()));
    let apart = |name: String, together: Option<&str>| {
        (Some(&*name) != together).then(|| KeyValue::new(NAME, name.clone()))
    };
    let joined = |parts: &[&str]| {
        let parts = parts.iter().copied().filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join(":")
    };

    let publish = published.map_or_else(|| "publish".to_owned(), |name| format!("publish {name}"));
    let publish = recorder.span(&publish);
    let expected = published_batch(SpanKind::Client, published, to.len());
    linking(with_key(expected)).assert(&publish);
    let expected = to.iter().map(|(exchange, key)| {
        let name = joined(&[exchange, key]);
        let key = key_apart(key).into_iter();
        key.chain(apart(name, published)).collect::<Vec<_>>()
    });
    assert_eq!(on_links(&publish), expected.collect::<Vec<_>>());

    let expected: Vec<Vec<_>> = batch
        .iter()
        .zip(to)
        .map(|(message, (exchange, key))| {
            let queue = shop.orders.as_str();
            let name = joined(&[exchange, key, if *key == queue { "" } else { queue }]);
            let tag = KeyValue::new(DELIVERY_TAG, delivery_tag(message));
            let key = key_apart(key).into_iter();
            key.chain([tag])
                .chain(apart(name, Some(received)))
                .collect()
        })
        .collect();
    for names in [
        ("consume", "receive", SpanKind::Client),
        ("process", "process", SpanKind::Consumer),
    ] {
        let span = recorder.span(&format!("{} {received}", names.0));
        linking(with_key(received_batch(names, received, count))).assert(&span);
        assert_eq!(on_links(&span), expected);
    }
    process_duration()
        .of(measured("process", received), 1)
        .assert(recorder);
    let without_name = |verb| {
        let mut attributes = measured(verb, "");
        attributes.retain(|one| one.key.as_str() != NAME);
        attributes
    };
    let sent = match published {
        Some(name) => measured("publish", name),
        None => without_name("publish"),
    };
    operation_duration()
        .of(of_type(sent, "send"), 1)
        .of(of_type(measured("consume", received), "receive"), 1)
        .assert(recorder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_one_exchange_all_but_the_routing_key_names_a_batch() {
    let recorder = Recorder::new();
    let shop = Shop::open(&recorder.telemetry()).await;
    let logs = bound(&shop, "logs", &["info", "warn"]).await;
    let received = format!("{logs}:{}", shop.orders);
    let to = [(&*logs, "info"), (&*logs, "warn"), (&*logs, "info")];
    assert_known_as((&recorder, &shop), &to, (Some(&logs), &received)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_exchanges_the_queue_alone_names_a_batch_and_nothing_one_that_is_published() {
    for keys in [["info", "warn"], ["info", "info"]] {
        let recorder = Recorder::new();
        let shop = Shop::open(&recorder.telemetry()).await;
        let logs = bound(&shop, "logs", &keys).await;
        let audit = bound(&shop, "audit", &keys).await;
        let to = [(&*logs, keys[0]), (&*audit, keys[1])];
        let queue = shop.orders.to_string();
        assert_known_as((&recorder, &shop), &to, (None, &queue)).await;
    }
}

/// The queue itself is what the default exchange sends to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_by_the_default_exchange_has_the_name_of_the_batch() {
    let recorder = Recorder::new();
    let shop = Shop::open(&recorder.telemetry()).await;
    let logs = bound(&shop, "logs", &["info"]).await;
    let queue = shop.orders.to_string();
    let to = [("", &*queue), (&*logs, "info")];
    assert_known_as((&recorder, &shop), &to, (None, &queue)).await;
}

/// What the policy has for all of them stands beside that name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_stands_beside_what_names_a_batch() {
    let recorder = Recorder::new();
    let policy = Policy::new().rule(Rule::of("logs*:*").template("logs:{level}"));
    let shop = Shop::open(&recorder.telemetry().policy(policy)).await;
    let logs = bound(&shop, "logs", &["info", "warn"]).await;

    let to = [(&*logs, "info"), (&*logs, "warn")];
    let batch = published_and_received(&shop, &to).await;
    batch.process(async |_| ()).await;

    let creations = batch
        .iter()
        .map(|one| one.creation_context().span().span_context().clone());
    let creations: Vec<_> = creations.collect();
    for (names, name) in [
        (("publish", "send", SpanKind::Client), logs.clone()),
        (
            ("process", "process", SpanKind::Consumer),
            format!("{logs}:{}", shop.orders),
        ),
    ] {
        let span = recorder.span(&format!("{} logs:{{level}}", names.0));
        let expected = received_batch(names, &name, 2)
            .named(&*span.name)
            .attribute("messaging.destination.template", "logs:{level}");
        creations
            .iter()
            .fold(expected, ExpectedSpan::link)
            .assert(&span);
    }
}
