//! Servers that stop and start, by the program that `NATS_SERVER` names.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

mod failover;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::stream::Config;
use async_nats::jetstream::{self as client};
use futures::StreamExt as _;
use integration::nats::in_time;
use integration::nats::server::Server;
use opentelemetry::trace::{SpanKind, Status};
use otel_messaging::nats::jetstream;
use otel_messaging::testing::Recorder;

const ORDERS: u64 = 20;

/// What was acknowledged before stays so, what was not comes again, each in its own trace.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_goes_on_after_its_server_was_restarted() {
    let recorder = Recorder::new();
    let telemetry = recorder.telemetry();
    let mut server = Server::start("jetstream: enabled").await;
    let context = client::new(
        async_nats::connect(server.url())
            .await
            .expect("a connection"),
    );
    let config = Config {
        name: "ORDERS".to_owned(),
        subjects: vec!["orders.*".to_owned()],
        ..Config::default()
    };
    let stream = context.create_stream(config).await.expect("a stream");
    let producer = jetstream::Producer::wrap(&telemetry, context.clone());
    for order in 0..ORDERS {
        let published = producer.publish(format!("orders.{order}"), "two books".into());
        published
            .await
            .expect("a publish")
            .await
            .expect("an acknowledgement");
    }
    let durable = pull::Config {
        durable_name: Some("billing".to_owned()),
        filter_subject: "orders.*".to_owned(),
        ack_wait: Duration::from_secs(1),
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(durable).await.expect("a consumer");
    let consumer = jetstream::Consumer::wrap(&telemetry, consumer);
    let messages = consumer
        .stream()
        .max_messages_per_batch(2)
        .heartbeat(Duration::from_millis(500))
        .expires(Duration::from_secs(2));
    let mut messages = messages.messages().await.expect("messages");

    let mut done: BTreeMap<u64, u32> = BTreeMap::new();
    let mut done_before = Vec::new();
    while done.len() < ORDERS as usize {
        let next = in_time(messages.next()).await;
        let Ok(order) = next.expect("the stream goes on") else {
            // The client tells that it has heard nothing; it goes on by itself.
            continue;
        };
        let sequence = order
            .info()
            .expect("a message of JetStream")
            .stream_sequence;
        let acknowledged = order.process(async |order| order.double_ack().await).await;
        if acknowledged.is_ok() {
            *done.entry(sequence).or_default() += 1;
        }
        if done.len() == 5 && done_before.is_empty() {
            done_before.extend(done.keys().copied());
            server.stop().await;
            server.start_again().await;
        }
    }

    // The one that was on its way may be delivered again before its acknowledgement arrives.
    assert_eq!(done_before.len(), 5);
    for sequence in &done_before {
        assert_eq!(done.get(sequence), Some(&1), "{done:?}");
    }
    let spans = recorder.spans();
    let published: HashMap<_, _> = spans
        .iter()
        .filter(|span| span.name.starts_with("publish "))
        .map(|span| (span.span_context.trace_id(), span.span_context.span_id()))
        .collect();
    assert_eq!(published.len(), ORDERS as usize, "a trace for each");
    let processed: Vec<_> = spans
        .iter()
        .filter(|span| span.name == "process orders.*")
        .collect();
    assert!(processed.len() >= ORDERS as usize);
    for span in &processed {
        let trace = span.span_context.trace_id();
        assert_eq!(published.get(&trace), Some(&span.parent_span_id));
        assert_eq!(span.links.links.len(), 1);
    }
    let succeeded = processed.iter().filter(|span| span.status == Status::Unset);
    let acknowledged: u32 = done.values().sum();
    assert_eq!(succeeded.count(), acknowledged as usize, "a span each");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishing_into_a_stream_whose_server_is_gone_is_an_error_of_the_span() {
    let recorder = Recorder::new();
    let mut server = Server::start("jetstream: enabled").await;
    let bare = async_nats::connect(server.url())
        .await
        .expect("a connection");
    let context = client::ContextBuilder::new()
        .ack_timeout(Duration::from_millis(300))
        .timeout(Duration::from_millis(300))
        .build(bare);
    let config = Config {
        name: "ORDERS".to_owned(),
        subjects: vec!["orders".to_owned()],
        ..Config::default()
    };
    context.create_stream(config).await.expect("a stream");
    let producer = jetstream::Producer::wrap(&recorder.telemetry(), context);

    server.stop().await;
    let published = producer.publish("orders", "two books".into()).await;
    let refused = match published {
        Ok(ack) => ack.await.expect_err("nobody acknowledges"),
        Err(error) => error,
    };

    assert_eq!(refused.kind(), client::context::PublishErrorKind::TimedOut);
    let span = recorder.span("publish orders");
    assert_eq!(span.span_kind, SpanKind::Producer);
    let error_type = span
        .attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == "error.type")
        .map(|attribute| attribute.value.to_string());
    assert_eq!(error_type.as_deref(), Some("timeout"));
}
