//! Code that knows no more than the client's own traits.

use std::time::{Duration, Instant};

use async_nats::client::RequestErrorKind;
use async_nats::client::traits as core;
use async_nats::jetstream::ContextBuilder;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::context::traits::{
    ClientProvider, Publisher, RequestSender, Requester, TimeoutProvider,
};
use async_nats::jetstream::message::{OutboundMessage, PublishMessage};
use async_nats::jetstream::publish::PublishAck;
use async_nats::{Message, Request, Subscriber, message};
use futures::StreamExt as _;
use integration::metrics::{and, of_type, operation_duration, sent_messages};
use integration::nats::{acknowledged, measured, publish_span, request_span};
use integration::nats::{client, header_map, in_time, subscribed};
use integration::unique;
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanKind, TraceContextExt as _};
use otel_messaging::nats::jetstream::PublishAckFuture;
use otel_messaging::nats::{Producer, jetstream};
use otel_messaging::testing::Recorder;

use crate::shop::{Orders, STALE, named, only, traceparent};

const PRODUCER: SpanKind = SpanKind::Producer;

async fn publish_core(producer: &impl core::Publisher, subject: &str) {
    let message = message::OutboundMessage {
        subject: subject.into(),
        payload: "first".into(),
        reply: None,
        headers: Some(header_map(&[("x-step", "first")])),
    };
    producer.publish_message(message).await.expect("a publish");
    producer
        .publish_with_reply(subject.to_owned(), "answers", "second".into())
        .await
        .expect("a publish");
}

async fn request_core(producer: &impl core::Requester, subject: &str, request: Request) {
    let request = producer.send_request(subject.to_owned(), request);
    let error = in_time(request).await.expect_err("nobody answers");
    assert_eq!(error.kind(), RequestErrorKind::TimedOut);
}

async fn subscribe_core(producer: &impl core::Subscriber, subject: &str) -> Subscriber {
    let subscribing = producer.subscribe(subject.to_owned());
    subscribing.await.expect("a subscription")
}

fn timeout_core(producer: &impl core::TimeoutProvider) -> Option<Duration> {
    producer.timeout()
}

async fn publish(producer: &impl Publisher, subject: &str) -> [PublishAck; 2] {
    let published = producer.publish(subject.to_owned(), "first".into()).await;
    let first = published.expect("a publish").await;
    let headers = header_map(&[("x-step", "second")]);
    let message = OutboundMessage::new(subject.into(), "second".into(), Some(headers));
    let published = producer.publish_message(message).await;
    let second = published.expect("a publish").await;
    [first, second].map(|ack| ack.expect("an acknowledgement"))
}

async fn publish_nowhere(producer: &impl Publisher) {
    let published = producer.publish("not a subject", "two books".into()).await;
    let error = published.expect_err("malformed");
    assert_eq!(error.kind(), PublishErrorKind::Other);
}

async fn limits(producer: &impl Requester) -> serde_json::Value {
    let answer: Result<serde_json::Value, _> = producer.request("INFO", b"").await;
    answer.expect("an answer")["limits"].clone()
}

async fn info<P: RequestSender + ClientProvider>(producer: &P) -> Message {
    let inbox = producer.client().new_inbox();
    let answers = producer.client().subscribe(inbox.clone()).await;
    let request = Request::new().inbox(inbox);
    let sending = producer.send_request("INFO", request);
    sending.await.expect("a request");
    in_time(answers.expect("a subscription").next())
        .await
        .expect("an answer")
}

fn timeout(producer: &impl TimeoutProvider) -> Duration {
    producer.timeout()
}

/// Both messages of [`publish_core`], with the spans that they name.
async fn expect_published(messages: &mut Subscriber, recorder: &Recorder, subject: &str) {
    let steps = [(Some("first"), None), (None, Some("answers"))];
    let spans = recorder.spans();
    assert_eq!(spans.len(), steps.len());
    for (span, (step, reply)) in spans.iter().zip(steps) {
        publish_span(PRODUCER, subject)
            .child_of(&named(STALE))
            .assert(span);
        let message = in_time(messages.next()).await.expect("a message");
        let headers = message.headers.as_ref();
        let carried = traceparent(&span.span_context);
        assert_eq!(only(headers, "traceparent"), Some(&*carried));
        assert_eq!(only(headers, "x-step"), step);
        assert_eq!(message.reply.as_deref(), reply);
    }
}

fn upstream() -> Context {
    Context::new().with_remote_span_context(named(STALE))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_of_the_client_go_through_us() {
    let recorder = Recorder::new();
    let subject = unique("orders");
    let producer = Producer::wrap(&recorder.telemetry(), client().await);
    let mut messages = subscribe_core(&producer, &subject).await;

    publish_core(&producer, &subject)
        .with_context(upstream())
        .await;
    expect_published(&mut messages, &recorder, &subject).await;
    recorder.clear();
    let soon = Request::new().timeout(Some(Duration::from_millis(50)));
    request_core(&producer, &subject, soon).await;

    request_span(&*subject)
        .error("timeout")
        .assert(&recorder.span(&format!("request {subject}")));
    assert_eq!(timeout_core(&producer), producer.inner().timeout());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_that_a_context_has_of_the_client_go_through_us_with_its_timeout() {
    const TIMEOUT: Duration = Duration::from_millis(300);
    let recorder = Recorder::new();
    let (subject, receiver) = (unique("orders"), client().await);
    let mut messages = subscribe_core(&receiver, &subject).await;
    subscribed(&receiver).await;
    let context = ContextBuilder::new().timeout(TIMEOUT).build(client().await);
    let producer = jetstream::Producer::wrap(&recorder.telemetry(), context);

    publish_core(&producer, &subject)
        .with_context(upstream())
        .await;
    expect_published(&mut messages, &recorder, &subject).await;
    recorder.clear();
    let started = Instant::now();
    request_core(&producer, &subject, Request::new()).await;

    let took = started.elapsed();
    assert!((TIMEOUT..10 * TIMEOUT).contains(&took), "{took:?}");
    let span = recorder.span(&format!("request {subject}"));
    request_span(&*subject).error("timeout").assert(&span);
    let request = in_time(messages.next()).await.expect("a request");
    let carried = traceparent(&span.span_context);
    assert_eq!(
        only(request.headers.as_ref(), "traceparent"),
        Some(&*carried)
    );
}

/// The trait has the client's own acknowledgement, which knows of no span.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_span_of_a_publish_by_the_trait_ends_when_the_client_has_taken_the_message() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    let producer = jetstream::Producer::wrap(&recorder.telemetry(), orders.context.clone());
    let subject = orders.subject("7");

    let acks = publish(&producer, &subject).with_context(upstream()).await;
    publish_nowhere(&producer).await;

    assert_eq!(acks.map(|ack| ack.sequence), [1, 2]);
    let spans = recorder.spans();
    assert_eq!(spans.len(), 3);
    for (sequence, span) in (1..).zip(&spans[..2]) {
        publish_span(PRODUCER, &*subject)
            .child_of(&named(STALE))
            .assert(span);
        let stored = orders.stream.get_raw_message(sequence).await;
        let headers = stored.expect("the message").headers;
        let carried = traceparent(&span.span_context);
        assert_eq!(only(Some(&headers), "traceparent"), Some(&*carried));
        let step = (sequence == 2).then_some("second");
        assert_eq!(only(Some(&headers), "x-step"), step);
    }
    publish_span(PRODUCER, "not a subject")
        .error("invalid_subject")
        .assert(&spans[2]);
    sent_messages()
        .of(measured("publish", &subject), 2)
        .assert(&recorder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_method_and_a_trait_have_the_same_name_the_span_ends_with_the_acknowledgement() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    let producer = jetstream::Producer::wrap(&recorder.telemetry(), orders.context.clone());
    let subject = orders.subject("7");

    let published = producer.publish(subject.clone(), "two books".into()).await;
    let ack: PublishAckFuture = published.expect("a publish");
    assert_eq!(recorder.spans().len(), 0);
    let ack = ack.await.expect("an acknowledgement");

    acknowledged(publish_span(PRODUCER, &*subject), &ack)
        .assert(&recorder.span(&format!("publish {subject}")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_jetstreams_own_interface_have_no_span() {
    let recorder = Recorder::new();
    let context = async_nats::jetstream::new(client().await);
    let producer = jetstream::Producer::wrap(&recorder.telemetry(), context.clone());

    let answer: serde_json::Value =
        serde_json::from_slice(&info(&producer).await.payload).expect("JSON");

    let expected = limits(&context).await;
    assert!(expected.is_object(), "{expected}");
    assert_eq!(limits(&producer).await, expected);
    assert_eq!(answer["limits"], expected);
    assert_eq!(timeout(&producer), timeout(&context));
    assert_eq!(recorder.spans().len(), 0);
    assert_eq!(recorder.metrics(), [""; 0]);
}

/// So that a publish by a trait is no other than one by a method where the context refuses it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_for_which_a_context_has_no_room_fails_as_without_us() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    let context = ContextBuilder::new()
        .max_ack_inflight(1)
        .backpressure_on_inflight(false)
        .build(client().await);
    let producer = jetstream::Producer::wrap(&recorder.telemetry(), context);
    let subject = orders.subject("7");

    let first = producer.publish(subject.clone(), "first".into()).await;
    let first = first.expect("room");
    let by_method = producer
        .send_publish(subject.clone(), PublishMessage::build())
        .await
        .map(drop);
    let message = OutboundMessage::new((*subject).into(), "third".into(), None);
    let by_trait = Publisher::publish_message(&producer, message)
        .await
        .map(drop);

    for refused in [by_method, by_trait] {
        let error = refused.expect_err("no room");
        assert_eq!(error.kind(), PublishErrorKind::MaxAckPending);
    }
    first.await.expect("an acknowledgement");
    let sent = || measured("publish", &subject);
    let refused = and(sent(), "error.type", "max_ack_pending");
    sent_messages().of(sent(), 1).assert(&recorder);
    operation_duration()
        .of(of_type(sent(), "send"), 1)
        .of(of_type(refused, "send"), 2)
        .assert(&recorder);
}
