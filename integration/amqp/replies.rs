//! Requests and the replies to them.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use integration::amqp::{
    DELIVERY_TAG, client_attributes, delivery_tag, process_span, publish_span, queue, settle_span,
};
use integration::whole;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Confirmation};
use opentelemetry::trace::SpanKind;
use otel_messaging::amqp::{Consumer, Producer};
use otel_messaging::testing::Recorder;

use crate::shop::{Shop, next};

const CONVERSATION: &str = "messaging.message.conversation_id";
/// Replies to whoever asks next.
async fn reply(producer: &Producer, requests: &mut Consumer) {
    let request = next(requests).await;
    request
        .process(async |request| {
            let reply_to = request.properties.reply_to().clone();
            let correlation_id = request.properties.correlation_id().clone();
            let properties = BasicProperties::default()
                .with_correlation_id(correlation_id.expect("a correlation id"));
            let confirm = producer.basic_publish(
                "".into(),
                reply_to.expect("where to reply to"),
                BasicPublishOptions::default(),
                b"in stock",
                properties,
            );
            let confirm = confirm.await.expect("a publish");
            let confirmation = confirm.await.expect("a confirm");
            assert_eq!(confirmation, Confirmation::Ack(None));
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_and_reply_are_one_trace_and_one_conversation() {
    let recorder = Recorder::new();
    let shop = Shop::open(&recorder.telemetry()).await;
    let replies = queue(shop.channel(), "replies").await;
    let mut requests = shop.consumer().await;
    let mut answers = shop.consumer_of(&replies).await;
    let id = ShortString::from("request-7");

    let properties = BasicProperties::default()
        .with_reply_to(replies.clone())
        .with_correlation_id(id.clone());
    shop.publish(&shop.orders, properties).await;
    reply(&shop.producer, &mut requests).await;
    let answer = next(&mut answers).await;
    answer.process(async |_| ()).await;
    let acked = answer.ack(BasicAckOptions::default()).await;

    assert!(acked.expect("an answer"));
    assert_eq!(answer.properties.correlation_id(), &Some(id));
    let span = |name: String| recorder.span(&name);
    let asked = span(format!("publish {}", shop.orders));
    let processed = span(format!("process {}", shop.orders));
    let replied = span(format!("publish {replies}"));
    publish_span("", shop.orders.as_str())
        .attribute(CONVERSATION, "request-7")
        .assert(&asked);
    let requested = processed.parent_span_id;
    assert_eq!(requested, asked.span_context.span_id());
    publish_span("", replies.as_str())
        .attribute(CONVERSATION, "request-7")
        .child_of(&processed.span_context)
        .assert(&replied);
    let answered = span(format!("process {replies}"));
    process_span(&answer)
        .attribute(CONVERSATION, "request-7")
        .child_of(&replied.span_context)
        .link(&replied.span_context)
        .assert(&answered);
    settle_span("ack", &answer)
        .child_of(&answered.span_context)
        .link(&replied.span_context)
        .assert(&span(format!("ack {replies}")));
}

/// RabbitMQ's own way to reply, without a queue: the name to reply to is another one each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_without_a_queue_have_few_names() {
    let recorder = Recorder::new();
    let shop = Shop::open(&recorder.telemetry()).await;
    let mut requests = shop.consumer().await;
    let options = BasicConsumeOptions {
        no_ack: true,
        ..BasicConsumeOptions::default()
    };
    let reply_to = ShortString::from("amq.rabbitmq.reply-to");
    let mut answers = Consumer::wrap(&recorder.telemetry(), &shop.known, shop.channel().clone())
        .basic_consume(reply_to.clone(), "".into(), options, FieldTable::default())
        .await
        .expect("a consumer");

    let properties = BasicProperties::default()
        .with_reply_to(reply_to)
        .with_correlation_id("request-7".into());
    shop.publish(&shop.orders, properties).await;
    reply(&shop.producer, &mut requests).await;
    let answer = next(&mut answers).await;
    answer.process(async |_| ()).await;

    let replied = recorder.span("publish amq.rabbitmq.reply-to");
    let key = answer.routing_key.to_string();
    assert!(key.starts_with("amq.rabbitmq.reply-to."), "{key}");
    let marked = |name: &str, kind, destination: String| {
        client_attributes(whole::span(name, kind))
            .attribute("messaging.destination.name", destination)
            .attribute("messaging.destination.template", "amq.rabbitmq.reply-to")
            .attribute("messaging.destination.temporary", true)
            .attribute("messaging.destination.anonymous", true)
            .attribute("rabbitmq.destination.routing_key", key.clone())
            .attribute(CONVERSATION, "request-7")
    };
    let processed = recorder.span(&format!("process {}", shop.orders));
    marked(
        "publish amq.rabbitmq.reply-to",
        SpanKind::Producer,
        key.clone(),
    )
    .attribute("messaging.operation.name", "publish")
    .attribute("messaging.operation.type", "send")
    .child_of(&processed.span_context)
    .assert(&replied);
    marked(
        "process amq.rabbitmq.reply-to",
        SpanKind::Consumer,
        format!("{key}:amq.rabbitmq.reply-to"),
    )
    .attribute("messaging.operation.name", "process")
    .attribute("messaging.operation.type", "process")
    .attribute(DELIVERY_TAG, delivery_tag(&answer))
    .child_of(&replied.span_context)
    .link(&replied.span_context)
    .assert(&recorder.span("process amq.rabbitmq.reply-to"));
}
