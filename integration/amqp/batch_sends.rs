//! Messages that are published under one call.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::pin::pin;

use futures::FutureExt as _;
use futures::future::{self, Either};
use integration::amqp::{
    CONFIRMATION, Cable, PATIENCE, bounded, confirming, connection, consume, create_span, known,
    measured, next, published_batch, queue,
};
use integration::metrics::{and, of_type, operation_duration, sent_messages};
use integration::{assert_warned, logging, unique};
use lapin::message::Delivery;
use lapin::options::BasicPublishOptions;
use lapin::{Confirmation, Connection, ConnectionProperties, ErrorKind};
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanContext, SpanKind, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SpanData;
use otel_messaging::amqp::{self, Producer, Publish};
use otel_messaging::policy::{Policy, Rule};
use otel_messaging::testing::{ExpectedSpan, Recorder};
use otel_messaging::{Telemetry, w3c};
use tokio::time::timeout;

/// A wrapped channel that confirms.
async fn producer(telemetry: &Telemetry) -> Producer {
    let connection = connection().await;
    let channel = confirming(&connection).await;
    Producer::wrap(telemetry, known(&connection), channel)
}

fn mandatory(queue: &str) -> Publish<'static> {
    Publish::new("", queue, b"two books").options(BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    })
}

/// The spans of creating messages for these queues, in their order, each asserted with what became of
/// it.
fn created(
    recorder: &Recorder,
    queues: &[&str],
    became: impl Fn(&str, ExpectedSpan) -> ExpectedSpan,
) -> Vec<SpanContext> {
    let mut creates = recorder.spans();
    creates.retain(|span| span.name.starts_with("create"));
    assert_eq!(creates.len(), queues.len());
    for (create, queue) in creates.iter().zip(queues) {
        became(queue, create_span("", queue)).assert(create);
    }
    creates.into_iter().map(|span| span.span_context).collect()
}

/// The span of publishing messages to several queues, which have their exchange in common.
fn publishing_span(created: &[SpanContext]) -> ExpectedSpan {
    let span = published_batch(SpanKind::Client, Some("amq.default"), created.len());
    created.iter().fold(span, ExpectedSpan::link)
}

/// What each link says: the whole name, beside what differs in it.
fn assert_links(span: &SpanData, queues: &[&str]) {
    let on_links = span.links.iter().map(|link| link.attributes.clone());
    let expected = queues.iter().map(|queue| {
        let key = "rabbitmq.destination.routing_key";
        vec![
            KeyValue::new(key, (*queue).to_owned()),
            KeyValue::new("messaging.destination.name", (*queue).to_owned()),
        ]
    });
    assert_eq!(on_links.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}

fn carried(delivery: &Delivery) -> SpanContext {
    let context = amqp::extract(&w3c::Propagator::new(), &delivery.properties);
    context.span().span_context().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_refused_or_returned_fails_alone() {
    let recorder = Recorder::new();
    let producer = producer(&recorder.telemetry()).await;
    let orders = queue(producer.inner(), "orders").await.to_string();
    let full = bounded(producer.inner(), 0).await.to_string();
    let nobodys = unique("nobodys");
    let queues = [&*orders, &full, &nobodys, &orders];

    let messages = queues.map(mandatory);
    // As users do who publish in a task of their own.
    let publishing = tokio::spawn(async move { producer.publish_batch(messages).await });
    let results = publishing.await.expect("no panic");

    let confirmations: Vec<_> = results
        .into_iter()
        .map(|result| result.expect("a confirm"))
        .collect();
    let [first, refused, returned, last] = &confirmations[..] else {
        unreachable!("as many as were sent: {confirmations:?}")
    };
    assert_eq!([first, last], [&Confirmation::Ack(None); 2]);
    assert!(refused.is_nack(), "{refused:?}");
    assert!(
        matches!(returned, Confirmation::Ack(Some(message)) if message.routing_key.as_str() == nobodys),
        "{returned:?}"
    );
    let created = created(&recorder, &queues, |queue, span| match queue {
        queue if queue == full => span.attribute(CONFIRMATION, "nack").error("nack"),
        queue if queue == nobodys => span.attribute(CONFIRMATION, "returned").error("no-route"),
        _ => span,
    });
    let publish = recorder.span("publish amq.default");
    publishing_span(&created)
        .error("nack")
        .description("")
        .assert(&publish);
    assert_links(&publish, &queues);
    assert_eq!(recorder.spans().len(), 5);
    let sent = |queue| measured("publish", queue);
    sent_messages()
        .of(sent(&orders), 2)
        .of(and(sent(&full), "error.type", "nack"), 1)
        .of(and(sent(&nobodys), "error.type", "no-route"), 1)
        .assert(&recorder);
}

/// The client gives a returned message with whatever confirm comes next, mostly of one before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_returned_message_is_with_its_own_result() {
    const ROUNDS: u64 = 30;
    let recorder = Recorder::new();
    let producer = producer(&recorder.telemetry()).await;
    let orders = queue(producer.inner(), "orders").await.to_string();
    let (nobodys, others) = (unique("nobodys"), unique("nobodys"));
    let round = [&*orders, &orders, &nobodys, &orders, &others];

    let messages = (0..ROUNDS).flat_map(|_| round.map(mandatory));
    let results = producer.publish_batch(messages).await;

    for (result, queue) in results.into_iter().zip(round.iter().cycle()) {
        let returned = result.expect("a confirm").take_message();
        let returned = returned.map(|message| message.routing_key.to_string());
        let expected = (*queue != orders).then(|| (*queue).to_owned());
        assert_eq!(returned, expected);
    }
    let sent = |queue| measured("publish", queue);
    let unroutable = |queue| and(sent(queue), "error.type", "no-route");
    sent_messages()
        .of(sent(&orders), 3 * ROUNDS)
        .of(unroutable(&nobodys), ROUNDS)
        .of(unroutable(&others), ROUNDS)
        .assert(&recorder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_errors_of_the_broker_and_of_the_client_come_back_for_each_message() {
    let recorder = Recorder::new();
    let producer = producer(&logging(&recorder)).await;
    let missing = unique("missing");

    let refused = producer.publish_batch([Publish::new(&*missing, "", b"two books")]);
    let refused = refused.await;
    let batch = recorder.span(&format!("publish {missing}"));
    let create = recorder.span(&format!("create {missing}"));
    let closed = producer.publish_batch([mandatory("orders"), mandatory("orders")]);
    let closed = closed.await;

    let kinds = |results: &[lapin::Result<Confirmation>]| -> Vec<_> {
        let errors = results.iter().map(|result| result.as_ref().err());
        errors
            .map(|error| match error.map(lapin::Error::kind) {
                Some(ErrorKind::ProtocolError(error)) => error.get_id(),
                Some(ErrorKind::InvalidChannelState(..)) => 0,
                other => unreachable!("another error: {other:?}"),
            })
            .collect()
    };
    assert_eq!((kinds(&refused), kinds(&closed)), (vec![404], vec![0, 0]));
    let text = |results: &[lapin::Result<Confirmation>]| {
        let error = results.iter().find_map(|result| result.as_ref().err());
        error.expect("an error").to_string()
    };
    let (text, of_client) = (text(&refused), text(&closed));
    create_span(&missing, "")
        .error("not-found")
        .description(&*text)
        .assert(&create);
    assert_warned(&recorder, "send", &create.span_context, None);
    published_batch(SpanKind::Client, Some(&missing), 1)
        .link(&create.span_context)
        .error("not-found")
        .description(&*text)
        .assert(&batch);
    let exception = ("lapin::error::Error", &*text);
    assert_warned(&recorder, "send", &batch.span_context, Some(exception));
    let closed = recorder.span("publish orders").span_context;
    let exception = ("lapin::error::Error", &*of_client);
    assert_warned(&recorder, "send", &closed, Some(exception));
    let sent = |name, error| and(measured("publish", name), "error.type", error);
    let (first, others) = (
        sent(&missing, "not-found"),
        sent("orders", "invalid-channel-state"),
    );
    sent_messages().of(first.clone(), 1).assert(&recorder);
    operation_duration()
        .of(of_type(first, "send"), 1)
        .of(of_type(others, "send"), 1)
        .assert(&recorder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_confirms_the_span_ends_when_all_are_written_and_says_so() {
    let recorder = Recorder::new();
    let connection = connection().await;
    let channel = connection.create_channel().await.expect("a channel");
    let orders = queue(&channel, "orders").await.to_string();
    let producer = Producer::wrap(&recorder.telemetry(), known(&connection), channel);

    let nobodys = unique("nobodys");
    let queues = [&*orders, &nobodys];
    let results = producer.publish_batch(queues.map(mandatory)).await;

    for result in results {
        assert_eq!(result.expect("an answer"), Confirmation::NotRequested);
    }
    let created = created(&recorder, &queues, |_, span| {
        span.attribute(CONFIRMATION, "not_requested")
    });
    publishing_span(&created)
        .attribute(CONFIRMATION, "not_requested")
        .assert(&recorder.span("publish amq.default"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_dropped_half_way_says_nothing_of_what_is_on_its_way() {
    // So many of such a size that they are never all written while the future is polled once.
    const MESSAGES: usize = 300;
    let payload = vec![0; 1 << 18];
    let recorder = Recorder::new();
    let policy = Policy::new().rule(Rule::of("*").create_spans(false));
    let producer = producer(&recorder.telemetry().policy(policy)).await;
    let orders = queue(producer.inner(), "orders").await;

    let messages = (0..MESSAGES).map(|_| Publish::new("", orders.clone(), &payload));
    let publishing = producer.publish_batch(messages);
    assert_eq!(recorder.spans().len(), 0, "nothing before it is polled");
    let half = publishing.now_or_never();

    assert!(half.is_none(), "{half:?}");
    let publish = recorder.span(&format!("publish {orders}"));
    published_batch(SpanKind::Producer, Some(orders.as_str()), MESSAGES)
        .attribute("rabbitmq.destination.routing_key", orders.to_string())
        .assert(&publish);
    let sent = recorder.counter_total("messaging.client.sent.messages");
    assert!((1..MESSAGES as u64).contains(&sent), "{sent} of {MESSAGES}");
    sent_messages()
        .of(measured("publish", orders.as_str()), sent)
        .assert(&recorder);
    let mut consumer = consume(producer.inner(), &orders).await;
    for _ in 0..sent {
        let carried = carried(&next(&mut consumer).await);
        assert_eq!(carried.span_id(), publish.span_context.span_id());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_dropped_half_way_says_what_the_broker_has_said_by_then() {
    let recorder = Recorder::new();
    let cable = Cable::without_acks().await;
    let url = cable.url();
    let connection = Connection::connect(&url, ConnectionProperties::default());
    let connection = connection.await.expect("a connection by the cable");
    let producer = Producer::wrap(
        &recorder.telemetry(),
        known(&connection),
        confirming(&connection).await,
    );
    let orders = queue(producer.inner(), "orders").await.to_string();
    let full = bounded(producer.inner(), 0).await.to_string();
    let queues = [&*full, &orders];

    let mut publishing = Box::pin(producer.publish_batch(queues.map(mandatory)));
    let mut nacked = pin!(async {
        cable.nacked().await;
        // What is answered later has come later.
        queue(producer.inner(), "later").await;
    });
    let waiting = future::select(publishing.as_mut(), nacked.as_mut());
    let either = timeout(PATIENCE, waiting).await.expect("a nack in time");
    assert!(
        matches!(either, Either::Right(_)),
        "the second has no confirm"
    );
    assert!(publishing.as_mut().now_or_never().is_none());
    drop(publishing);

    let created = created(&recorder, &queues, |queue, span| match queue {
        queue if queue == full => span.attribute(CONFIRMATION, "nack").error("nack"),
        _ => span,
    });
    publishing_span(&created)
        .error("nack")
        .description("")
        .assert(&recorder.span("publish amq.default"));
    let sent = |queue| measured("publish", queue);
    sent_messages()
        .of(sent(&orders), 1)
        .of(and(sent(&full), "error.type", "nack"), 1)
        .assert(&recorder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suppressed_telemetry_and_an_empty_batch_leave_nothing() {
    let recorder = Recorder::new();
    let producer = producer(&recorder.telemetry()).await;
    let orders = queue(producer.inner(), "orders").await;

    let nothing = producer.publish_batch([]).await;
    let publishing = producer.publish_batch([mandatory(orders.as_str())]);
    let suppressed = Context::new().with_telemetry_suppressed();
    let results = publishing.with_context(suppressed).await;

    assert_eq!((nothing.len(), results.len()), (0, 1));
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(recorder.spans().len(), 0);
    assert_eq!(recorder.metrics(), [""; 0]);
    let mut consumer = consume(producer.inner(), &orders).await;
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.properties.headers(), &None);
}
