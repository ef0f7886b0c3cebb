//! What becomes of messages that are published.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use futures::future::join_all;
use integration::amqp::{
    CONFIRMATION, bounded, channel, client_attributes, confirming, connection, known, publish_span,
    queue,
};
use integration::whole;
use integration::{assert_warned, logging, unique};
use lapin::options::{BasicPublishOptions, ExchangeDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Confirmation, ErrorKind, ExchangeKind};
use opentelemetry::trace::{SpanKind, TraceContextExt as _};
use otel_messaging::Telemetry;
use otel_messaging::amqp::{ConnectionInfo, Producer, PublisherConfirm};
use otel_messaging::policy::{Policy, Rule};
use otel_messaging::testing::Recorder;

use crate::headers::{TRACEPARENT, context};

/// A wrapped channel that confirms.
async fn producer(telemetry: &Telemetry) -> Producer {
    let connection = connection().await;
    let channel = confirming(&connection).await;
    Producer::wrap(telemetry, known(&connection), channel)
}

async fn publish(
    producer: &Producer,
    exchange: &str,
    routing_key: &str,
) -> lapin::Result<PublisherConfirm> {
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let properties = BasicProperties::default();
    producer
        .basic_publish(
            exchange.into(),
            routing_key.into(),
            options,
            b"two books",
            properties,
        )
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unroutable_mandatory_message_is_an_error_though_the_broker_acks_it() {
    let recorder = Recorder::new();
    let producer = producer(&logging(&recorder)).await;
    let nobodys = unique("nobodys");

    let confirm = publish(&producer, "", &nobodys).await.expect("a publish");
    let confirmation = confirm.await.expect("a confirm");

    assert!(confirmation.is_ack());
    let returned = confirmation.take_message().expect("the message");
    assert_eq!(returned.reply_code, 312);
    assert_eq!(returned.data, b"two books");
    publish_span("", &nobodys)
        .attribute(CONFIRMATION, "returned")
        .error("no-route")
        .description("")
        .assert(&recorder.span(&format!("publish {nobodys}")));
    let span = recorder.span(&format!("publish {nobodys}")).span_context;
    assert_warned(&recorder, "send", &span, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_a_thousand_messages_in_flight_has_its_own_outcome() {
    const MESSAGES: usize = 1000;
    let recorder = Recorder::new();
    let producer = producer(&recorder.telemetry()).await;
    let queue = bounded(producer.inner(), 400).await;

    let confirms = join_all((0..MESSAGES).map(|number| {
        let id = ShortString::from(number.to_string());
        producer.basic_publish(
            "".into(),
            queue.clone(),
            BasicPublishOptions::default(),
            b"two books",
            BasicProperties::default().with_message_id(id),
        )
    }));
    let confirms = confirms.await.into_iter();
    let confirms = confirms.map(|confirm| confirm.expect("a publish"));
    let confirmations = join_all(confirms).await;

    let spans = recorder.spans();
    assert_eq!(spans.len(), MESSAGES);
    let (mut acks, mut nacks) = (0, 0);
    for (number, confirmation) in confirmations.into_iter().enumerate() {
        let id = number.to_string();
        let expected =
            publish_span("", queue.as_str()).attribute("messaging.message.id", id.clone());
        let confirmation = confirmation.expect("a confirm");
        let expected = if confirmation.is_ack() {
            acks += 1;
            expected
        } else {
            assert!(confirmation.is_nack());
            nacks += 1;
            expected.attribute(CONFIRMATION, "nack").error("nack")
        };
        let has_id = |span: &&opentelemetry_sdk::trace::SpanData| {
            let mut attributes = span.attributes.iter();
            attributes
                .any(|one| one.key.as_str() == "messaging.message.id" && one.value.as_str() == id)
        };
        expected.assert(spans.iter().find(has_id).expect("a span for each message"));
    }
    assert!(acks >= 400 && nacks > 0, "{acks} acks, {nacks} nacks");
    let sent = recorder.counter_total("messaging.client.sent.messages");
    assert_eq!(sent, MESSAGES as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_shows_that_a_message_was_confirmed_as_usual() {
    let recorder = Recorder::new();
    let rule = Rule::of("*").unregistered_attributes(true);
    let telemetry = recorder.telemetry().policy(Policy::new().rule(rule));
    let producer = producer(&telemetry).await;
    let queue = queue(producer.inner(), "orders").await;

    let confirm = publish(&producer, "", queue.as_str()).await;
    let confirmation = confirm.expect("a publish").await;

    assert!(confirmation.expect("a confirm").is_ack());
    publish_span("", queue.as_str())
        .attribute(CONFIRMATION, "ack")
        .assert(&recorder.span(&format!("publish {queue}")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_confirms_the_span_ends_when_the_message_is_written() {
    let recorder = Recorder::new();
    let connection = connection().await;
    let channel = connection.create_channel().await.expect("a channel");
    let queue = queue(&channel, "orders").await;
    let producer = Producer::wrap(&recorder.telemetry(), known(&connection), channel);

    let confirm = publish(&producer, "", queue.as_str()).await;

    publish_span("", queue.as_str())
        .attribute(CONFIRMATION, "not_requested")
        .assert(&recorder.span(&format!("publish {queue}")));
    let confirmation = confirm.expect("a publish").await;
    assert_eq!(confirmation.expect("an answer"), Confirmation::NotRequested);
    assert_eq!(recorder.spans().len(), 1, "it ended once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_confirm_ends_the_span_and_invents_no_outcome() {
    let recorder = Recorder::new();
    let producer = producer(&recorder.telemetry()).await;
    let queue = queue(producer.inner(), "orders").await;
    let nobodys = unique("nobodys");

    drop(
        publish(&producer, "", queue.as_str())
            .await
            .expect("a publish"),
    );
    drop(publish(&producer, "", &nobodys).await.expect("a publish"));

    let waited = producer.inner().wait_for_confirms().await;
    let returned: Vec<_> = waited
        .expect("the confirms")
        .into_iter()
        .map(|message| message.routing_key.to_string())
        .collect();
    assert_eq!(returned, [&*nobodys], "as with the bare client");
    for name in [queue.as_str(), &nobodys] {
        publish_span("", name).assert(&recorder.span(&format!("publish {name}")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirm_that_is_polled_again_answers_as_the_clients_own_does() {
    let recorder = Recorder::new();
    let producer = producer(&recorder.telemetry()).await;
    let queue = queue(producer.inner(), "orders").await;

    let mut confirm = publish(&producer, "", queue.as_str())
        .await
        .expect("a publish");
    let first = (&mut confirm).await;
    let again = (&mut confirm).await.expect_err("no second answer");

    assert_eq!(first.expect("a confirm"), Confirmation::Ack(None));
    assert!(matches!(again.kind(), ErrorKind::FutureCompleted));
    assert_eq!(recorder.spans().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_errors_of_the_broker_and_of_the_client_come_back_and_are_on_the_spans() {
    let recorder = Recorder::new();
    let producer = producer(&logging(&recorder)).await;
    let missing = unique("missing");

    let confirm = publish(&producer, &missing, "info")
        .await
        .expect("a publish");
    let refused = confirm
        .await
        .map(|_| ())
        .expect_err("there is no such exchange");
    let closed = publish(&producer, "", "orders").await.map(|_| ());
    let closed = closed.expect_err("the broker has closed the channel");

    assert!(refused.is_amqp_soft_error());
    assert!(matches!(closed.kind(), ErrorKind::InvalidChannelState(..)));
    for (exchange, routing_key, error_type, error) in [
        (&*missing, "info", "not-found", refused),
        ("", "orders", "invalid-channel-state", closed),
    ] {
        let destination = if exchange.is_empty() {
            routing_key
        } else {
            &*format!("{exchange}:info")
        };
        let span = recorder.span(&format!("publish {destination}"));
        publish_span(exchange, routing_key)
            .error(error_type)
            .description(error.to_string())
            .assert(&span);
        let exception = ("lapin::error::Error", &*error.to_string());
        assert_warned(&recorder, "send", &span.span_context, Some(exception));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routing_keys_without_number_stand_behind_a_template() {
    let recorder = Recorder::new();
    let logs = unique("logs");
    let rule = Rule::of(&format!("{logs}:order.*")).template("logs:order.{id}");
    let telemetry = recorder.telemetry().policy(Policy::new().rule(rule));
    let producer = producer(&telemetry).await;
    let options = ExchangeDeclareOptions {
        auto_delete: true,
        ..ExchangeDeclareOptions::default()
    };
    producer
        .inner()
        .exchange_declare(
            logs.clone().into(),
            ExchangeKind::Topic,
            options,
            FieldTable::default(),
        )
        .await
        .expect("an exchange");

    let confirm = producer.basic_publish(
        logs.clone().into(),
        "order.4711".into(),
        BasicPublishOptions::default(),
        b"two books",
        BasicProperties::default(),
    );
    let confirm = confirm.await.expect("a publish");
    confirm.await.expect("a confirm");

    let span = whole::span("publish logs:order.{id}", SpanKind::Producer);
    client_attributes(span)
        .attribute("messaging.operation.name", "publish")
        .attribute("messaging.operation.type", "send")
        .attribute("messaging.destination.name", format!("{logs}:order.4711"))
        .attribute("messaging.destination.template", "logs:order.{id}")
        .attribute("rabbitmq.destination.routing_key", "order.4711")
        .assert(&recorder.span("publish logs:order.{id}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_for_nobody_through_the_default_exchange_names_it() {
    let recorder = Recorder::new();
    let producer = Producer::wrap(
        &recorder.telemetry(),
        ConnectionInfo::new(),
        channel().await,
    );

    let confirm = producer.basic_publish(
        "".into(),
        "".into(),
        BasicPublishOptions::default(),
        b"two books",
        BasicProperties::default(),
    );
    let confirmation = confirm.await.expect("a publish").await;

    assert_eq!(confirmation.expect("a confirm"), Confirmation::Ack(None));
    whole::span("publish amq.default", SpanKind::Producer)
        .attribute("messaging.system.name", "rabbitmq")
        .attribute("messaging.operation.name", "publish")
        .attribute("messaging.operation.type", "send")
        .attribute("messaging.destination.name", "amq.default")
        .assert(&recorder.span("publish amq.default"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_context_that_the_user_chose_is_kept_and_linked_to() {
    let recorder = Recorder::new();
    let producer = producer(&recorder.telemetry().keep_existing_context(true)).await;
    let queue = queue(producer.inner(), "orders").await;
    let mut headers = FieldTable::default();
    headers.insert(
        "traceparent".into(),
        AMQPValue::LongString(TRACEPARENT.into()),
    );

    let confirm = producer.basic_publish(
        "".into(),
        queue.clone(),
        BasicPublishOptions::default(),
        b"two books",
        BasicProperties::default().with_headers(headers.clone()),
    );
    confirm.await.expect("a publish").await.expect("a confirm");

    let mut consumer = integration::amqp::consume(producer.inner(), &queue).await;
    let delivery = integration::amqp::next(&mut consumer).await;
    assert_eq!(delivery.properties.headers(), &Some(headers));
    let span = whole::span(format!("publish {queue}"), SpanKind::Client);
    client_attributes(span)
        .attribute("messaging.operation.name", "publish")
        .attribute("messaging.operation.type", "send")
        .attribute("messaging.destination.name", queue.to_string())
        .attribute("rabbitmq.destination.routing_key", queue.to_string())
        .link(
            context(&[("traceparent", TRACEPARENT)])
                .span()
                .span_context(),
        )
        .assert(&recorder.span(&format!("publish {queue}")));
}
