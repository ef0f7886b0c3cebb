//! Messages that are published under one call.

use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::jetstream::ContextBuilder;
use async_nats::jetstream::context::PublishErrorKind as JetStreamErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::message::OutboundMessage;
use futures::{FutureExt as _, StreamExt as _};
use integration::metrics::{and, of_type, operation_duration, sent_messages};
use integration::nats::measured;
use integration::nats::{client, in_time, subscribed};
use integration::whole;
use integration::{assert_warned, logging, unique};
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanKind, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SpanData;
use otel_messaging::nats::jetstream;
use otel_messaging::policy::{Policy, Rule};
use otel_messaging::testing::{ExpectedSpan, Recorder};

use crate::shop::{FRESH, Orders, STALE, fresh, named, only, traceparent};

const PRODUCER: SpanKind = SpanKind::Producer;
const CLIENT: SpanKind = SpanKind::Client;

pub(crate) fn order(payload: &'static str) -> PublishMessage {
    PublishMessage::build().payload(payload.into())
}

pub(crate) fn message(
    subject: &str,
    payload: Vec<u8>,
    headers: Option<HeaderMap>,
) -> OutboundMessage {
    OutboundMessage {
        subject: subject.into(),
        payload: payload.into(),
        reply: None,
        headers,
    }
}

/// The whole span of creating one message, of which nobody knows what became.
pub(crate) fn create_span(subject: &str) -> ExpectedSpan {
    whole::span(format!("create {subject}"), PRODUCER)
        .attribute("messaging.system.name", "nats")
        .attribute("messaging.operation.name", "create")
        .attribute("messaging.operation.type", "create")
        .attribute("messaging.destination.name", subject.to_owned())
}

/// The same where the stream keeps the message.
pub(crate) fn kept_as(span: ExpectedSpan, orders: &Orders, sequence: i64) -> ExpectedSpan {
    span.attribute("nats.stream.name", orders.name.clone())
        .attribute("nats.stream.sequence", sequence)
}

/// The whole span of publishing so many messages, to one subject or to several.
pub(crate) fn publish_span(kind: SpanKind, subject: Option<&str>, messages: i64) -> ExpectedSpan {
    let name = subject.map_or_else(
        || "publish".to_owned(),
        |subject| format!("publish {subject}"),
    );
    let span = whole::span(name, kind)
        .attribute("messaging.system.name", "nats")
        .attribute("messaging.operation.name", "publish")
        .attribute("messaging.operation.type", "send")
        .attribute("messaging.batch.message_count", messages);
    match subject {
        Some(subject) => span.attribute("messaging.destination.name", subject.to_owned()),
        None => span,
    }
}

pub(crate) fn spans_of(recorder: &Recorder, operation: &str) -> Vec<SpanData> {
    let spans = recorder.spans().into_iter();
    spans
        .filter(|span| span.name.starts_with(operation))
        .collect()
}

pub(crate) fn linking<'a>(
    span: ExpectedSpan,
    spans: impl IntoIterator<Item = &'a SpanData>,
) -> ExpectedSpan {
    let spans = spans.into_iter();
    spans.fold(span, |span, linked| span.link(&linked.span_context))
}

/// The context of some service before ours.
fn upstream() -> Context {
    Context::new().with_remote_span_context(named(STALE))
}

/// What the stored message of this number carries.
async fn stored(orders: &Orders, sequence: u64) -> Option<String> {
    let message = orders.stream.get_raw_message(sequence).await;
    let message = message.expect("the message");
    only(Some(&message.headers), "traceparent").map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_message_carries_its_create_span_and_the_publish_span_links_to_all() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    let producer = jetstream::Producer::wrap(&recorder.telemetry(), orders.context.clone());
    let subject = orders.subject("7");

    let messages = ["one", "two", "one"].map(|id| (subject.clone(), order(id).message_id(id)));
    let publishing = producer.publish_batch(messages);
    assert_eq!(recorder.spans().len(), 0, "nothing before it is polled");
    let results = publishing.with_context(upstream()).await;

    let acks = results.into_iter().map(|ack| ack.expect("an ack"));
    let acks = acks.map(|ack| (ack.stream, ack.sequence, ack.duplicate));
    let expected = [(1, false), (2, false), (1, true)];
    let expected = expected.map(|(number, is_old)| (orders.name.clone(), number, is_old));
    assert_eq!(acks.collect::<Vec<_>>(), expected);
    let creates = spans_of(&recorder, "create");
    assert_eq!(creates.len(), 3);
    let kept = [("one", 1, false), ("two", 2, false), ("one", 1, true)];
    for (create, (id, sequence, is_old)) in creates.iter().zip(kept) {
        let created = kept_as(create_span(&subject), &orders, sequence)
            .attribute("messaging.message.id", id)
            .child_of(&named(STALE));
        match is_old {
            true => created.attribute("nats.message.duplicate", true),
            false => created,
        }
        .assert(create);
    }
    let expected = publish_span(CLIENT, Some(&subject), 3)
        .child_of(&named(STALE))
        .attribute("nats.stream.name", orders.name.clone())
        .attribute("nats.batch.duplicate_count", 1);
    let publish = recorder.span(&format!("publish {subject}"));
    linking(expected, &creates).assert(&publish);
    for (link, (id, ..)) in publish.links.iter().zip(kept) {
        assert_eq!(link.attributes, [KeyValue::new("messaging.message.id", id)]);
    }
    for (sequence, create) in (1..).zip(&creates[..2]) {
        let carried = stored(&orders, sequence).await;
        assert_eq!(carried, Some(traceparent(&create.span_context)));
    }
    let sent = || measured("publish", &subject);
    sent_messages().of(sent(), 3).assert(&recorder);
    operation_duration()
        .of(of_type(sent(), "send"), 1)
        .assert(&recorder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_fails_in_the_middle_hinders_none_behind_it() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    let producer = jetstream::Producer::wrap(&logging(&recorder), orders.context.clone());
    let subject = orders.subject("7");
    let too_much = vec![0; orders.context.client().max_payload() + 1];
    let nowhere = unique("nowhere");

    let messages = [
        (subject.clone(), order("first")),
        (subject.clone(), order("second").expected_last_sequence(77)),
        (subject.clone(), order("").payload(too_much.into())),
        (nowhere.clone(), order("fourth")),
        (subject.clone(), order("last")),
    ];
    let results = in_time(producer.publish_batch(messages)).await;

    let text = results.iter().find_map(|result| result.as_ref().err());
    let text = text.expect("an error").to_string();
    let outcomes = results.into_iter().map(|result| match result {
        Ok(ack) => Ok(ack.sequence),
        Err(error) => Err(error.kind()),
    });
    assert_eq!(
        outcomes.collect::<Vec<_>>(),
        [
            Ok(1),
            Err(JetStreamErrorKind::WrongLastSequence),
            Err(JetStreamErrorKind::MaxPayloadExceeded),
            Err(JetStreamErrorKind::StreamNotFound),
            Ok(2),
        ]
    );
    let creates = spans_of(&recorder, "create");
    let became = [
        (&subject, Ok(1)),
        (&subject, Err("wrong_last_sequence")),
        (&subject, Err("max_payload_exceeded")),
        (&nowhere, Err("stream_not_found")),
        (&subject, Ok(2)),
    ];
    for (create, (subject, became)) in creates.iter().zip(became) {
        match became {
            Ok(sequence) => kept_as(create_span(subject), &orders, sequence),
            Err(error_type) => create_span(subject).error(error_type),
        }
        .assert(create);
    }
    let expected = publish_span(CLIENT, None, 5)
        .error("wrong_last_sequence")
        .description(&*text);
    let publish = recorder.span("publish");
    linking(expected, &creates).assert(&publish);
    let exception = ("async_nats::error::Error", &*text);
    assert_warned(&recorder, "send", &publish.span_context, Some(exception));
    for (link, (subject, _)) in publish.links.iter().zip(became) {
        let name = KeyValue::new("messaging.destination.name", subject.clone());
        assert_eq!(link.attributes, [name]);
    }
    let last = stored(&orders, 2).await;
    assert_eq!(last, Some(traceparent(&creates[4].span_context)));
    let sent = || measured("publish", &subject);
    let failed = |subject, error| and(measured("publish", subject), "error.type", error);
    sent_messages()
        .of(sent(), 2)
        .of(failed(&subject, "wrong_last_sequence"), 1)
        .of(failed(&nowhere, "stream_not_found"), 1)
        .assert(&recorder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_one_template_are_known_by_it_and_without_create_spans_keep_what_they_carry() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    let template = orders.subject("{id}");
    let rule = Rule::of(&orders.subject("*")).template(&template);
    let policy = Policy::new().rule(rule.create_spans(false));
    let telemetry = recorder.telemetry().policy(policy);
    let producer = jetstream::Producer::wrap(&telemetry, orders.context.clone());

    let messages = ["1", "2"].map(|id| (orders.subject(id), order("two books").headers(fresh())));
    let results = producer.publish_batch(messages).await;

    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let spans = recorder.spans();
    let [publish] = &spans[..] else {
        panic!("one span: {spans:?}");
    };
    whole::span(format!("publish {template}"), CLIENT)
        .attribute("messaging.system.name", "nats")
        .attribute("messaging.operation.name", "publish")
        .attribute("messaging.operation.type", "send")
        .attribute("messaging.batch.message_count", 2)
        .attribute("messaging.destination.template", template)
        .attribute("nats.stream.name", orders.name.clone())
        .link(&named(FRESH))
        .link(&named(FRESH))
        .assert(publish);
    let own = Some(traceparent(&named(FRESH)));
    let carried = [stored(&orders, 1).await, stored(&orders, 2).await];
    assert_eq!(carried, [own.clone(), own]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_nobody_acknowledges_time_out_together() {
    const TIMEOUT: Duration = Duration::from_millis(500);
    let recorder = Recorder::new();
    let (subject, mute) = (unique("orders"), client().await);
    let _listens = mute.subscribe(subject.clone()).await;
    subscribed(&mute).await;
    let context = ContextBuilder::new().timeout(TIMEOUT).build(client().await);
    let producer = jetstream::Producer::wrap(&recorder.telemetry(), context);
    let started = Instant::now();

    let messages = (0..20).map(|_| (subject.clone(), order("two books")));
    let results = in_time(producer.publish_batch(messages)).await;

    let took = started.elapsed();
    assert!((TIMEOUT..5 * TIMEOUT).contains(&took), "{took:?}");
    let kinds = results
        .into_iter()
        .map(|result| result.map_err(|error| error.kind()));
    let timed_out = |result| matches!(result, Err(JetStreamErrorKind::TimedOut));
    assert_eq!(kinds.map(timed_out).collect::<Vec<_>>(), [true; 20]);
    let failed = and(measured("publish", &subject), "error.type", "timeout");
    sent_messages().of(failed, 20).assert(&recorder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_dropped_says_nothing_of_messages_on_their_way() {
    let recorder = Recorder::new();
    let (subject, mute) = (unique("orders"), client().await);
    let mut heard = mute
        .subscribe(subject.clone())
        .await
        .expect("a subscription");
    subscribed(&mute).await;
    let context = async_nats::jetstream::new(client().await);
    let producer = jetstream::Producer::wrap(&recorder.telemetry(), context);

    let messages = (0..2).map(|_| (subject.clone(), order("two books")));
    let publishing = producer.publish_batch(messages).now_or_never();

    assert!(publishing.is_none(), "nobody acknowledges");
    for _ in 0..2 {
        in_time(heard.next()).await.expect("a message");
    }
    let creates = spans_of(&recorder, "create");
    let expected = publish_span(CLIENT, Some(&subject), 2);
    linking(expected, &creates).assert(&recorder.span(&format!("publish {subject}")));
    let sent = measured("publish", &subject);
    sent_messages().of(sent, 2).assert(&recorder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contexts_that_the_user_chose_are_kept_and_suppressed_telemetry_leaves_nothing() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    let telemetry = recorder.telemetry().keep_existing_context(true);
    let producer = jetstream::Producer::wrap(&telemetry, orders.context.clone());
    let subject = orders.subject("7");
    let messages = || {
        let chosen = order("two books").headers(fresh());
        [
            (subject.clone(), chosen),
            (subject.clone(), order("a lamp")),
        ]
    };

    let suppressed = Context::new().with_telemetry_suppressed();
    let silent = producer.publish_batch(messages()).with_context(suppressed);
    let nothing = producer.publish_batch::<String>([]).await;
    assert_eq!((silent.await.len(), nothing.len()), (2, 0));
    assert_eq!(recorder.spans().len(), 0);
    let results = producer.publish_batch(messages()).await;

    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let create = recorder.span(&format!("create {subject}"));
    publish_span(CLIENT, Some(&subject), 2)
        .attribute("nats.stream.name", orders.name.clone())
        .link(&named(FRESH))
        .link(&create.span_context)
        .assert(&recorder.span(&format!("publish {subject}")));
    let created = traceparent(&create.span_context);
    let expected = [Some(FRESH), None, Some(FRESH), Some(&*created)];
    for (sequence, expected) in (1..).zip(expected) {
        assert_eq!(stored(&orders, sequence).await.as_deref(), expected);
    }
}
