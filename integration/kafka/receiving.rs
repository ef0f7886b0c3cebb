//! Spans of receiving, where a policy asks for them.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::time::SystemTime;

use futures::StreamExt as _;
use integration::kafka::clients::{Callbacks, Clients, Futures, Queues};
use integration::kafka::{
    PATIENCE, client_attributes, config, consumer_in, measured, process_span, topic,
};
use integration::metrics::{consumed_messages, of_type, operation_duration};
use integration::unique;
use integration::whole;
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanKind, TraceContextExt as _};
use opentelemetry_sdk::trace::SpanData;
use otel_messaging::Received;
use otel_messaging::Telemetry;
use otel_messaging::kafka;
use otel_messaging::policy::{Policy, Rule};
use otel_messaging::testing::{ExpectedSpan, Recorder};
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::{Message, OwnedMessage};
use rdkafka::{Offset, TopicPartitionList};

use crate::wire::{FRESH, STALE, named, send_raw, texts};

fn asking(recorder: &Recorder) -> Telemetry {
    let policy = Policy::new().rule(Rule::of("orders*").receive_spans(true));
    recorder.telemetry().policy(policy)
}

/// The whole span of receiving a message of this suite.
fn poll_span(message: &impl Message, group: &str) -> ExpectedSpan {
    let topic = message.topic();
    client_attributes(whole::span(format!("poll {topic}"), SpanKind::Client))
        .attribute("messaging.operation.name", "poll")
        .attribute("messaging.operation.type", "receive")
        .attribute("messaging.destination.name", topic.to_owned())
        .attribute(
            "messaging.destination.partition.id",
            message.partition().to_string(),
        )
        .attribute("messaging.consumer.group.name", group.to_owned())
        .attribute("kafka.message.key", "order-7")
        .attribute("kafka.offset", message.offset())
        .link(&named(FRESH))
}

/// Asserts that one message was received in a span, and returns the span.
fn received_in_span(recorder: &Recorder, received: &impl Message, group: &str) -> SpanData {
    let orders = received.topic();
    let poll = recorder.span(&format!("poll {orders}"));
    poll_span(received, group).assert(&poll);
    assert_eq!(recorder.spans().len(), 1, "a wait for nothing has no span");
    let polled = || measured("poll", orders, Some(group));
    operation_duration()
        .of(of_type(polled(), "receive"), 1)
        .assert(recorder);
    consumed_messages().of(polled(), 1).assert(recorder);
    let histograms = recorder.histogram("messaging.client.operation.duration");
    let sums: Vec<_> = histograms.iter().map(|histogram| histogram.sum).collect();
    let waited = poll.end_time.duration_since(poll.start_time);
    assert_eq!(sums, [waited.expect("an end").as_secs_f64()]);
    poll
}

async fn a_client_has_a_receive_span<C: Clients>() {
    let recorder = Recorder::new();
    let orders = topic("orders").await;
    let config = config();
    let group = config.get("group.id").expect("a group");
    let consumer = C::consumer(&asking(&recorder), &config, &orders);
    send_raw(&orders, &texts(&[("traceparent", FRESH)])).await;

    let received = C::receive(&consumer).await;

    received_in_span(&recorder, &received, group);
    received.process(async |_| ()).await;
    process_span(&received, group)
        .child_of(&named(FRESH))
        .link(&named(FRESH))
        .assert(&recorder.span(&format!("process {orders}")));
    consumed_messages()
        .of(measured("poll", &orders, Some(group)), 1)
        .assert(&recorder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_has_a_receive_span_is_counted_once() {
    a_client_has_a_receive_span::<Futures>().await;
    a_client_has_a_receive_span::<Callbacks>().await;
    a_client_has_a_receive_span::<Queues>().await;
}

async fn received_by(receive: impl AsyncFnOnce(&kafka::Consumer, &str) -> Received<OwnedMessage>) {
    let recorder = Recorder::new();
    let (orders, group) = (topic("orders").await, unique("group"));
    let client: StreamConsumer = config()
        .set("group.id", &group)
        .create()
        .expect("a consumer");
    let consumer = kafka::Consumer::wrap(&asking(&recorder), client);
    let mut partition = TopicPartitionList::new();
    partition
        .add_partition_offset(&orders, 0, Offset::Offset(0))
        .expect("an offset");
    consumer.assign(&partition).expect("an assignment");

    let receiving = tokio::time::timeout(PATIENCE, receive(&consumer, &orders));
    // Polled after it, when the consumer waits.
    let sending = async {
        let sent = SystemTime::now();
        send_raw(&orders, &texts(&[("traceparent", FRESH)])).await;
        sent
    };
    let (received, sent) = futures::join!(receiving, sending);

    let received = received.expect("a message in time");
    let poll = received_in_span(&recorder, &received, &group);
    assert!(poll.start_time <= sent, "the wait is a part of it");
    assert!(sent < poll.end_time, "it ends with the message");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receive_span_is_from_the_wait_to_the_message() {
    received_by(async |consumer, _| consumer.recv().await.expect("a message").detach()).await;
    received_by(async |consumer, _| {
        let received = consumer.stream().next().await;
        received.expect("no end").expect("a message").detach()
    })
    .await;
    received_by(async |consumer, orders| {
        let queue = consumer.split_partition_queue(orders, 0).expect("a queue");
        tokio::select! {
            received = queue.recv() => received.expect("a message").detach(),
            _ = consumer.recv() => unreachable!("all comes by the queue"),
        }
    })
    .await;
    received_by(async |consumer, orders| {
        let queue = consumer.split_partition_queue(orders, 0).expect("a queue");
        let mut stream = queue.stream();
        tokio::select! {
            received = stream.next() => received.expect("no end").expect("a message").detach(),
            _ = consumer.recv() => unreachable!("all comes by the queue"),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receive_span_belongs_to_what_is_current_and_a_topic_that_asks_for_none_has_none() {
    let recorder = Recorder::new();
    let group = unique("group");
    let (orders, payments) = (topic("orders").await, topic("payments").await);
    let upstream = Context::new().with_remote_span_context(named(STALE));
    for topic in [&orders, &payments] {
        send_raw(topic, &texts(&[("traceparent", FRESH)])).await;
    }

    let consumer = consumer_in(&group, &asking(&recorder), &orders);
    let receiving = integration::kafka::next(&consumer);
    let received = receiving.with_context(upstream.clone()).await;
    let unasked = consumer_in(&group, &asking(&recorder), &payments);
    let receiving = integration::kafka::next(&unasked);
    receiving.with_context(upstream).await;

    let spans = recorder.spans();
    let [span] = &*spans else {
        unreachable!("one span: {spans:?}")
    };
    poll_span(&received, &group)
        .child_of(&named(STALE))
        .assert(span);
    operation_duration()
        .of(
            of_type(measured("poll", &orders, Some(&group)), "receive"),
            1,
        )
        .assert(&recorder);
}
