//! Publishing: when a span ends, and what it says then.

use async_nats::HeaderMap;
use async_nats::client::PublishErrorKind;
use async_nats::jetstream::context::PublishErrorKind as JetStreamErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream;
use futures::future::join_all;
use integration::nats::{acknowledged, publish_span, without_subject};
use integration::nats::{client, in_time};
use integration::{assert_warned, logging, unique};
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanKind, TraceContextExt as _};
use otel_messaging::nats::{Producer, jetstream};
use otel_messaging::testing::Recorder;

use crate::shop::{FRESH, Orders, STALE, fresh, named, only, traceparent};

const PRODUCER: SpanKind = SpanKind::Producer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_client_refuses_is_an_error_of_the_span() {
    let recorder = Recorder::new();
    let producer = Producer::wrap(&logging(&recorder), client().await);
    let subject = unique("orders");
    let too_much = vec![0; producer.inner().max_payload() + 1];

    let malformed = producer.publish("not a subject", "two books".into()).await;
    let large = producer.publish(subject.clone(), too_much.into()).await;

    let nowhere = producer.publish("", "two books".into()).await;

    let failed = [malformed, large, nowhere].map(Result::unwrap_err);
    let [malformed, large, nowhere] = failed.each_ref().map(ToString::to_string);
    let kinds = failed.map(|error| Err::<(), _>(error.kind()));
    assert_eq!(
        kinds,
        [
            Err(PublishErrorKind::InvalidSubject),
            Err(PublishErrorKind::MaxPayloadExceeded),
            Err(PublishErrorKind::InvalidSubject),
        ]
    );
    let warned = |span: &str, text: &str| {
        let span = recorder.span(span).span_context;
        let exception = ("async_nats::error::Error", text);
        assert_warned(&recorder, "send", &span, Some(exception));
    };
    warned("publish", &nowhere);
    warned("publish not a subject", &malformed);
    warned(&format!("publish {subject}"), &large);
    without_subject("publish", "send", PRODUCER)
        .error("invalid_subject")
        .description(&*nowhere)
        .assert(&recorder.span("publish"));
    publish_span(PRODUCER, "not a subject")
        .error("invalid_subject")
        .description(&*malformed)
        .assert(&recorder.span("publish not a subject"));
    publish_span(PRODUCER, &*subject)
        .error("max_payload_exceeded")
        .description(&*large)
        .assert(&recorder.span(&format!("publish {subject}")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_acknowledges_and_tells_what_it_had_before() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    let producer = jetstream::Producer::wrap(&recorder.telemetry(), orders.context.clone());
    let subject = orders.subject("7");

    let mut acks = Vec::new();
    for _ in 0..2 {
        let message = PublishMessage::build()
            .payload("two books".into())
            .message_id("order-7");
        let published = producer.send_publish(subject.clone(), message).await;
        acks.push(
            published
                .expect("a publish")
                .await
                .expect("an acknowledgement"),
        );
    }

    let [first, second] = &recorder.spans()[..] else {
        panic!("a span for each");
    };
    let expected = |ack| {
        acknowledged(publish_span(PRODUCER, &*subject), ack)
            .attribute("messaging.message.id", "order-7")
    };
    expected(&acks[0]).assert(first);
    expected(&acks[1])
        .attribute("nats.message.duplicate", true)
        .assert(second);
    assert_eq!([acks[0].duplicate, acks[1].duplicate], [false, true]);
    assert_eq!(acks[0].sequence, acks[1].sequence);
    let stored = orders.stream.get_raw_message(1).await.expect("the message");
    assert_eq!(
        only(Some(&stored.headers), "traceparent"),
        Some(&*traceparent(&first.span_context))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stream_refuses_is_told_apart() {
    let recorder = Recorder::new();
    let config = stream::Config {
        max_message_size: 1000,
        ..stream::Config::default()
    };
    let orders = Orders::with(config).await;
    let nowhere = unique("nowhere");
    let producer = jetstream::Producer::wrap(&recorder.telemetry(), orders.context.clone());
    let build = PublishMessage::build;
    let rows = [
        (
            nowhere,
            build(),
            JetStreamErrorKind::StreamNotFound,
            "stream_not_found",
        ),
        (
            orders.subject("1"),
            build().expected_last_sequence(7),
            JetStreamErrorKind::WrongLastSequence,
            "wrong_last_sequence",
        ),
        (
            orders.subject("2"),
            build().expected_last_message_id("order-6"),
            JetStreamErrorKind::WrongLastMessageId,
            "wrong_last_message_id",
        ),
        (
            orders.subject("3"),
            build().payload(vec![0; 1001].into()),
            JetStreamErrorKind::Other,
            "jetstream_10054",
        ),
    ];

    for (subject, message, kind, error_type) in rows {
        let published = producer.send_publish(subject.clone(), message).await;
        let refused = published.expect("a publish").await.expect_err("a refusal");

        assert_eq!(refused.kind(), kind);
        publish_span(PRODUCER, &*subject)
            .error(error_type)
            .assert(&recorder.span(&format!("publish {subject}")));
    }
}

/// Twenty in flight; some are awaited together, one in a task, and some not at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledgements_may_be_collected_spawned_and_dropped() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    let producer = jetstream::Producer::wrap(&recorder.telemetry(), orders.context.clone());
    let mut acks = Vec::new();
    for order in 0..20 {
        let subject = orders.subject(&order.to_string());
        acks.push(
            producer
                .publish(subject, "two books".into())
                .await
                .expect("a publish"),
        );
    }

    drop(acks.split_off(15));
    let last = acks.pop().expect("many");
    let last = tokio::spawn(last).await.expect("no panic");
    let mut acks: Vec<_> = join_all(acks)
        .await
        .into_iter()
        .collect::<Result<_, _>>()
        .expect("acknowledgements");
    acks.push(last.expect("an acknowledgement"));

    assert_eq!(recorder.spans().len(), 20);
    for (order, ack) in acks.iter().enumerate() {
        let subject = orders.subject(&order.to_string());
        acknowledged(publish_span(PRODUCER, &*subject), ack)
            .assert(&recorder.span(&format!("publish {subject}")));
    }
    for order in 15..20 {
        let subject = orders.subject(&order.to_string());
        publish_span(PRODUCER, &*subject).assert(&recorder.span(&format!("publish {subject}")));
    }
    let stored = || async {
        orders
            .stream
            .get_info()
            .await
            .expect("its state")
            .state
            .messages
    };
    in_time(async {
        while stored().await < 20 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_context_that_the_user_chose_can_be_kept() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    let telemetry = recorder.telemetry().keep_existing_context(true);
    let producer = jetstream::Producer::wrap(&telemetry, orders.context.clone());
    let subject = orders.subject("7");

    let published = producer.publish_with_headers(subject.clone(), fresh(), "two books".into());
    let ack = published
        .await
        .expect("a publish")
        .await
        .expect("an acknowledgement");

    acknowledged(publish_span(SpanKind::Client, &*subject), &ack)
        .link(&named(FRESH))
        .assert(&recorder.span(&format!("publish {subject}")));
    let stored = orders.stream.get_raw_message(1).await.expect("the message");
    assert_eq!(stored.headers, fresh());
}

/// In a task nothing is current when the future is polled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_context_of_the_first_poll_counts_and_else_that_of_the_call() {
    let recorder = Recorder::new();
    let producer = Producer::wrap(&recorder.telemetry(), client().await);
    let (called, polled) = (unique("called"), unique("polled"));
    let context = |traceparent| Context::new().with_remote_span_context(named(traceparent));

    let (subject, in_task) = (called.clone(), producer.clone());
    let task = async move {
        let publish = {
            let _current = context(STALE).attach();
            in_task.publish(subject, "two books".into())
        };
        publish.await
    };
    tokio::spawn(task)
        .await
        .expect("no panic")
        .expect("a publish");
    let publish = {
        let _current = context(STALE).attach();
        producer.publish_with_headers(polled.clone(), HeaderMap::new(), "two books".into())
    };
    publish
        .with_context(context(FRESH))
        .await
        .expect("a publish");

    publish_span(PRODUCER, &*called)
        .child_of(&named(STALE))
        .assert(&recorder.span(&format!("publish {called}")));
    publish_span(PRODUCER, &*polled)
        .child_of(&named(FRESH))
        .assert(&recorder.span(&format!("publish {polled}")));
}
