//! Batches for which a context has no room at once.

use std::net::TcpListener;
use std::time::Duration;

use async_nats::ConnectOptions;
use async_nats::jetstream::ContextBuilder;
use async_nats::jetstream::context::PublishErrorKind;
use futures::future::{poll_fn, poll_immediate};
use integration::metrics::{and, of_type, operation_duration, sent_messages};
use integration::nats::measured;
use integration::nats::publish_span as alone;
use integration::nats::{client, in_time, url};
use integration::unique;
use opentelemetry::trace::SpanKind;
use otel_messaging::nats;
use otel_messaging::nats::jetstream::Producer;
use otel_messaging::testing::Recorder;
use tokio::time::timeout;

use crate::batch_sends::{create_span, kept_as, linking, order, publish_span, spans_of};
use crate::shop::{Orders, traceparent};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_messages_than_may_be_on_their_way_wait_for_acknowledgements() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    let context = ContextBuilder::new()
        .max_ack_inflight(2)
        .build(client().await);
    let producer = Producer::wrap(&recorder.telemetry(), context);

    let messages = (0..50).map(|id| (orders.subject(&id.to_string()), order("two books")));
    let results = in_time(producer.publish_batch(messages)).await;

    let sequences = results.into_iter().map(|ack| ack.expect("an ack").sequence);
    assert_eq!(sequences.collect::<Vec<_>>(), (1..=50).collect::<Vec<_>>());
    assert_eq!(recorder.counter_total("messaging.client.sent.messages"), 50);
}

/// A context that does not wait for room by itself.
async fn refusing(orders: &Orders, recorder: &Recorder, room: usize) -> (Producer, String) {
    let context = ContextBuilder::new()
        .max_ack_inflight(room)
        .backpressure_on_inflight(false)
        .build(client().await);
    let producer = Producer::wrap(&recorder.telemetry(), context);
    (producer, orders.subject("7"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_context_that_refuses_what_it_has_no_room_for_loses_no_message_of_a_batch() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    let (producer, subject) = refusing(&orders, &recorder, 10).await;

    let messages = (0..1000).map(|id| (subject.clone(), order("").message_id(id.to_string())));
    let results = in_time(producer.publish_batch(messages)).await;

    let sequences = results.into_iter().map(|ack| ack.expect("an ack").sequence);
    let expected = (1..=1000).collect::<Vec<_>>();
    assert_eq!(sequences.collect::<Vec<_>>(), expected);
    let creates = spans_of(&recorder, "create");
    assert_eq!(creates.len(), 1000);
    for ((id, create), sequence) in creates.iter().enumerate().zip(1..) {
        kept_as(create_span(&subject), &orders, sequence)
            .attribute("messaging.message.id", id.to_string())
            .assert(create);
    }
    let publish = recorder.span(&format!("publish {subject}"));
    let expected = publish_span(SpanKind::Client, Some(&subject), 1000)
        .attribute("nats.stream.name", orders.name.clone());
    linking(expected, &creates[..128]).assert(&publish);
    for sequence in [1, 11, 12, 1000] {
        let stored = orders.stream.get_raw_message(sequence).await;
        let headers = stored.expect("the message").headers;
        let create = &creates[usize::try_from(sequence).expect("a few") - 1];
        let carried = headers.get("traceparent").map(ToString::to_string);
        assert_eq!(carried, Some(traceparent(&create.span_context)));
    }
    let sent = || measured("publish", &subject);
    sent_messages().of(sent(), 1000).assert(&recorder);
    operation_duration()
        .of(of_type(sent(), "send"), 1)
        .assert(&recorder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_others_have_the_room_a_batch_tries_again_now_and_then() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    let (producer, subject) = refusing(&orders, &recorder, 2).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let bare = producer.inner().publish(subject.clone(), "before".into());
        held.push(bare.await.expect("room"));
    }

    let messages = (0..5).map(|_| (subject.clone(), order("two books")));
    let mut publishing = Box::pin(producer.publish_batch(messages));
    let mut polls = 0;
    let counted = poll_fn(|task| {
        polls += 1;
        publishing.as_mut().poll(task)
    });
    let waited = timeout(Duration::from_millis(100), counted).await;
    assert!(waited.is_err(), "there is no room");
    assert!((2..=40).contains(&polls), "{polls}");
    let last = held.pop();
    in_time(last.expect("two").into_future())
        .await
        .expect("an ack");
    let results = in_time(publishing).await;

    // The first of those before holds its room still.
    let sequences = results.into_iter().map(|ack| ack.expect("an ack").sequence);
    assert_eq!(sequences.collect::<Vec<_>>(), [3, 4, 5, 6, 7]);
    drop(held);
    let creates = spans_of(&recorder, "create");
    assert_eq!(creates.len(), 5);
    let expected = publish_span(SpanKind::Client, Some(&subject), 5)
        .attribute("nats.stream.name", orders.name.clone());
    linking(expected, &creates).assert(&recorder.span(&format!("publish {subject}")));
    let sent = measured("publish", &subject);
    sent_messages().of(sent, 5).assert(&recorder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_dropped_while_others_have_the_room_has_sent_nothing() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    let (producer, subject) = refusing(&orders, &recorder, 1).await;
    let bare = producer.inner().publish(subject.clone(), "before".into());
    let held = bare.await.expect("room");

    let messages = (0..2).map(|_| (subject.clone(), order("two books")));
    let publishing = producer.publish_batch(messages);
    let waited = timeout(Duration::from_millis(30), publishing).await;

    assert!(waited.is_err(), "there is no room");
    held.await.expect("an ack");
    let creates = spans_of(&recorder, "create");
    let expected = publish_span(SpanKind::Client, Some(&subject), 2);
    linking(expected, &creates).assert(&recorder.span(&format!("publish {subject}")));
    assert_eq!(recorder.counter_total("messaging.client.sent.messages"), 0);
    let state = orders.stream.get_info().await.expect("its state").state;
    assert_eq!(state.messages, 1);
}

/// A client takes what it has room for, and writes it when there is a server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_connection_is_away_the_messages_of_a_batch_wait_for_room_together() {
    let recorder = Recorder::new();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = silent.local_addr().expect("its address");
    let away = ConnectOptions::new()
        .retry_on_initial_connect()
        .client_capacity(4);
    let away = away.connect(address.to_string()).await.expect("a client");
    let timeout = Duration::from_secs(1);
    let context = ContextBuilder::new()
        .timeout(timeout)
        .ack_timeout(timeout)
        .build(away);
    let producer = Producer::wrap(&recorder.telemetry(), context);
    let subject = unique("orders");

    // A wait for each would take longer than anybody's patience.
    let messages = (0..100).map(|_| (subject.clone(), order("two books")));
    let results = in_time(producer.publish_batch(messages)).await;

    let kinds = results
        .into_iter()
        .map(|ack| ack.map_err(|error| error.kind()));
    let timed_out = vec![Err(PublishErrorKind::TimedOut); 100];
    assert_eq!(
        kinds.map(|ack| ack.map(drop)).collect::<Vec<_>>(),
        timed_out
    );
    let creates = spans_of(&recorder, "create");
    assert_eq!(creates.len(), 100);
    for create in &creates {
        create_span(&subject).error("timeout").assert(create);
    }
    let expected = publish_span(SpanKind::Client, Some(&subject), 100).error("timeout");
    linking(expected, &creates).assert(&recorder.span(&format!("publish {subject}")));
    // Those that the client took, who knows what becomes of them.
    let failed = and(measured("publish", &subject), "error.type", "timeout");
    sent_messages().of(failed, 4).assert(&recorder);
}

/// Polls a publish once, as if it was given up while there is no room for its message.
async fn given_up<T>(publishing: impl Future<Output = T>) {
    let polled = poll_immediate(publishing).await;
    assert!(polled.is_none(), "there is no room");
}

#[tokio::test]
async fn a_message_that_is_dropped_while_it_waits_for_room_was_not_sent() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    let context = ContextBuilder::new()
        .max_ack_inflight(1)
        .build(client().await);
    let producer = Producer::wrap(&recorder.telemetry(), context);
    // The client's own task does not run while nothing is waited for.
    let narrow = ConnectOptions::new().client_capacity(1);
    let narrow = narrow.connect(url()).await.expect("a connection");
    narrow.flush().await.expect("a flush");
    let core = nats::Producer::wrap(&recorder.telemetry(), narrow);
    let [subject, other] = ["7", "8"].map(|id| orders.subject(id));

    let first = producer.publish(subject.clone(), "first".into()).await;
    let first = first.expect("room");
    given_up(producer.publish(subject.clone(), "second".into())).await;
    first.await.expect("an acknowledgement");
    let taken = poll_immediate(core.publish(other.clone(), "first".into())).await;
    taken.expect("room").expect("a publish");
    given_up(core.publish(other.clone(), "second".into())).await;

    for subject in [&subject, &other] {
        let spans = spans_of(&recorder, &format!("publish {subject}"));
        assert_eq!(spans.len(), 2);
        // That which is dropped ends first, or last.
        let dropped = usize::from(subject == &other);
        alone(SpanKind::Producer, &**subject).assert(&spans[dropped]);
    }
    sent_messages()
        .of(measured("publish", &subject), 1)
        .of(measured("publish", &other), 1)
        .assert(&recorder);
    operation_duration()
        .of(of_type(measured("publish", &subject), "send"), 2)
        .of(of_type(measured("publish", &other), "send"), 2)
        .assert(&recorder);
}
