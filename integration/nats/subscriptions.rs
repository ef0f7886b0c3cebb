//! Subscriptions of core NATS.

use std::time::Duration;

use async_nats::{ConnectOptions, Event};
use futures::StreamExt as _;
use integration::metrics::consumed_messages;
use integration::nats::broker::DURABLE;
use integration::nats::wire::{Wire, block};
use integration::nats::{Subject, process_span};
use integration::nats::{client, header_map, in_time, subscribed, url};
use integration::unique;
use opentelemetry::trace::TraceContextExt as _;
use otel_messaging::nats::Consumer;
use otel_messaging::policy::{Policy, Record, Rule};
use otel_messaging::testing::Recorder;
use tokio::sync::mpsc;

use crate::shop::{CONSUMED, FRESH, STALE, fresh, named, of_fresh, receiving};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pattern_stands_for_its_subjects_and_a_group_shares_them() {
    let recorder = Recorder::new();
    let (name, sender) = (unique("orders"), client().await);
    let pattern = format!("{name}.*");
    let consumer = Consumer::wrap(&recorder.telemetry(), client().await);
    let mut members = Vec::new();
    for _ in 0..2 {
        let member = consumer.queue_subscribe(pattern.clone(), DURABLE.to_owned());
        members.push(member.await.expect("a subscription"));
    }
    subscribed(consumer.inner()).await;

    for order in 0..10 {
        let subject = format!("{name}.{order}");
        sender
            .publish_with_headers(subject, fresh(), "two books".into())
            .await
            .expect("a publish");
    }
    let mut all = futures::stream::select_all(members);
    let mut subjects = Vec::new();
    for _ in 0..10 {
        let order = in_time(all.next()).await.expect("a message");
        order.process(async |_| ()).await;
        subjects.push(order.subject.to_string());
    }

    let spans = recorder.spans();
    for (span, subject) in spans.iter().zip(&subjects) {
        of_fresh(process_span(Subject::one_of(subject, &pattern)))
            .attribute("messaging.consumer.group.name", DURABLE)
            .assert(span);
    }
    subjects.sort();
    let each = (0..10).map(|order| format!("{name}.{order}"));
    assert_eq!(subjects, each.collect::<Vec<_>>(), "each once");
    let attributes = receiving(&[
        ("messaging.destination.template", &pattern),
        ("messaging.consumer.group.name", DURABLE),
    ]);
    consumed_messages().of(attributes, 10).assert(&recorder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_policy_knows_subjects_by_their_names() {
    let recorder = Recorder::new();
    let (name, sender) = (unique("orders"), client().await);
    let policy = Policy::new()
        .rule(Rule::of("*.health").record(Record::Off))
        .rule(Rule::of("*.quiet").record(Record::PropagateOnly))
        .rule(Rule::of("*.eu.*").template("orders.eu.{id}"));
    let consumer = Consumer::wrap(&recorder.telemetry().policy(policy), client().await);
    let mut messages = consumer
        .subscribe(format!("{name}.>"))
        .await
        .expect("a subscription");
    subscribed(consumer.inner()).await;

    for leaf in ["health", "quiet", "eu.7"] {
        sender
            .publish_with_headers(format!("{name}.{leaf}"), fresh(), "two books".into())
            .await
            .expect("a publish");
        let order = in_time(messages.next()).await.expect("a message");
        let current = order
            .process(async |_| {
                let context = opentelemetry::Context::current();
                Ok::<_, String>(context.span().span_context().trace_id())
            })
            .await;
        assert_eq!(
            current,
            Ok(named(FRESH).trace_id()),
            "the trace goes on: {leaf}"
        );
    }

    let [span] = &recorder.spans()[..] else {
        panic!("one span");
    };
    of_fresh(process_span(Subject::one_of(
        &format!("{name}.eu.7"),
        "orders.eu.{id}",
    )))
    .assert(span);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conflicting_and_malformed_contexts_are_counted() {
    let recorder = Recorder::new();
    let (subject, sender) = (unique("orders"), client().await);
    let consumer = Consumer::wrap(&recorder.telemetry(), client().await);
    let mut messages = consumer
        .subscribe(subject.clone())
        .await
        .expect("a subscription");
    subscribed(consumer.inner()).await;
    let forwarded = header_map(&[("Traceparent", STALE), ("traceparent", FRESH)]);
    let hostile = header_map(&[("traceparent", "00-\u{1}-é"), ("baggage", "=;,%zz")]);

    for headers in [forwarded, hostile] {
        sender
            .publish_with_headers(subject.clone(), headers, "two books".into())
            .await
            .expect("a publish");
        in_time(messages.next())
            .await
            .expect("a message")
            .process(async |_| ())
            .await;
    }

    let [forwarded, hostile] = &recorder.spans()[..] else {
        panic!("a span for each");
    };
    of_fresh(process_span(&*subject))
        .link(&named(STALE))
        .assert(forwarded);
    process_span(&*subject).assert(hostile);
    assert!(recorder.counter_total("otel_messaging.context.problems") >= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_ends_as_the_clients_own_does() {
    let recorder = Recorder::new();
    let (subject, sender) = (unique("orders"), client().await);
    let consumer = Consumer::wrap(&recorder.telemetry(), client().await);
    let mut limited = consumer
        .subscribe(subject.clone())
        .await
        .expect("a subscription");
    let mut drained = consumer
        .subscribe(subject.clone())
        .await
        .expect("a subscription");
    let mut ended = consumer
        .subscribe(subject.clone())
        .await
        .expect("a subscription");
    limited.unsubscribe_after(2).await.expect("an end");
    ended.unsubscribe().await.expect("an end");
    subscribed(consumer.inner()).await;

    for _ in 0..3 {
        sender
            .publish(subject.clone(), "two books".into())
            .await
            .expect("a publish");
    }
    for _ in 0..3 {
        in_time(drained.next()).await.expect("a message");
    }
    drained.drain().await.expect("an end");

    let left = [
        in_time(limited.count()).await,
        in_time(drained.count()).await,
        in_time(ended.count()).await,
    ];
    assert_eq!(left, [2, 0, 0]);
    assert_eq!(recorder.counter_total(CONSUMED), 5);
}

/// The client reads no header that is not text: it connects anew, and knows nothing of the message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_kept_leaves_the_connection_to_close() {
    let (closing, mut closed) = mpsc::unbounded_channel();
    let options = ConnectOptions::new().event_callback(move |event| {
        let closing = closing.clone();
        async move {
            if event == Event::Closed {
                closing.send(()).expect("the test waits");
            }
        }
    });
    let client = options.connect(url()).await.expect("a connection");
    let consumer = Consumer::wrap(&Recorder::new().telemetry(), client.clone());
    let name = unique("orders");
    let orders = consumer.subscribe(name.clone()).await;
    let mut orders = orders.expect("a subscription");
    let published = client.publish(name, "two books".into()).await;
    published.expect("a publish");
    let order = in_time(orders.next()).await.expect("a message");

    drop((client, consumer, orders));

    in_time(closed.recv()).await.expect("an end");
    order.process(async |_| ()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_goes_on_behind_a_header_that_drops_the_connection() {
    let recorder = Recorder::new();
    let subject = unique("orders");
    let (connects, mut connected) = mpsc::unbounded_channel();
    let receiver = ConnectOptions::new()
        .event_callback(move |event| {
            if matches!(event, Event::Connected) {
                let _ = connects.send(());
            }
            async {}
        })
        .connect(url())
        .await
        .expect("a connection");
    let consumer = Consumer::wrap(&recorder.telemetry(), receiver);
    let mut messages = consumer
        .subscribe(subject.clone())
        .await
        .expect("a subscription");
    subscribed(consumer.inner()).await;
    in_time(connected.recv()).await.expect("a connection");

    let binary = b"NATS/1.0\r\ntraceparent: \xff\r\n\r\n";
    let mut wire = Wire::connect().await;
    wire.publish(&subject, binary, b"two books").await;
    in_time(connected.recv()).await.expect("another connection");
    subscribed(consumer.inner()).await;
    let traceparent = format!("traceparent: {FRESH}");
    wire.publish(&subject, &block(&[&*traceparent]), b"a lamp")
        .await;
    let order = in_time(messages.next()).await.expect("a message");
    order.process(async |_| ()).await;

    assert_eq!(order.payload, "a lamp");
    of_fresh(process_span(&*subject)).assert(&recorder.span(&format!("process {subject}")));
    assert_eq!(recorder.counter_total(CONSUMED), 1);
}

/// The client drops what a consumer is too slow for. What it delivers has its spans, and no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_consumer_has_spans_of_what_it_is_given() {
    let recorder = Recorder::new();
    let (subject, sender) = (unique("orders"), client().await);
    let (slow, mut told) = mpsc::unbounded_channel();
    let receiver = ConnectOptions::new()
        .subscription_capacity(4)
        .event_callback(move |event| {
            let _ = slow.send(matches!(event, Event::SlowConsumer(_)));
            async {}
        })
        .connect(url())
        .await
        .expect("a connection");
    let consumer = Consumer::wrap(&recorder.telemetry(), receiver);
    let mut messages = consumer
        .subscribe(subject.clone())
        .await
        .expect("a subscription");
    subscribed(consumer.inner()).await;

    for _ in 0..100 {
        sender
            .publish_with_headers(subject.clone(), fresh(), "two books".into())
            .await
            .expect("a publish");
    }
    let mut told = futures::stream::poll_fn(move |task| told.poll_recv(task));
    in_time(
        told.by_ref()
            .filter(|is_slow| std::future::ready(*is_slow))
            .next(),
    )
    .await
    .expect("the client says that it is slow");
    // The server has sent the others before the answer to this.
    sender.flush().await.expect("a connection");
    let mut received = 0;
    let soon = Duration::from_millis(200);
    while let Ok(Some(order)) = tokio::time::timeout(soon, messages.next()).await {
        order.process(async |_| ()).await;
        received += 1;
    }

    assert!((4..100).contains(&received), "{received}");
    let spans = recorder.spans();
    assert_eq!(spans.len(), received);
    for span in &spans {
        of_fresh(process_span(&*subject)).assert(span);
    }
}
