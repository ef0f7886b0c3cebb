//! Receiving that fails, in each of the ways that there are.

use async_nats::jetstream::consumer::pull;
use futures::StreamExt as _;
use integration::metrics::{and, of_type, operation_duration};
use integration::nats::in_time;
use integration::nats::{measured, receive_span, without_subject};
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanKind, Status};
use otel_messaging::policy::{Policy, Rule};
use otel_messaging::testing::{ExpectedSpan, Recorder};

use crate::numbered::all;
use crate::shop::Orders;

const TEMPLATE: &str = "messaging.destination.template";

/// The whole span of a wait for what a pattern, or a stream, stands for.
fn of_template(template: &str) -> ExpectedSpan {
    without_subject("next", "receive", SpanKind::Client)
        .named(format!("next {template}"))
        .attribute(TEMPLATE, template.to_owned())
}

/// Attributes with which it is measured.
fn measured_as(template: &str) -> Vec<KeyValue> {
    let mut attributes = measured("next", template);
    attributes.retain(|one| one.key.as_str() != "messaging.destination.name");
    and(attributes, TEMPLATE, template)
}

/// The server lets a consumer ask for one message at a time.
fn narrow(config: pull::Config) -> pull::Config {
    pull::Config {
        max_batch: 1,
        ..config
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_consumer_asked_for_stands_for_its_messages() {
    let orders = Orders::open().await;
    let [seven, eight] = ["7", "8"].map(|id| orders.subject(id));
    let one = pull::Config {
        filter_subject: seven.clone(),
        ..pull::Config::default()
    };
    let several = pull::Config {
        filter_subjects: vec![seven.clone(), eight],
        ..pull::Config::default()
    };
    let pattern = orders.subject("*");
    let rows = [
        (one, receive_span(&*seven), measured("next", &seven)),
        (all(&orders), of_template(&pattern), measured_as(&pattern)),
        (
            several,
            of_template(&orders.name),
            measured_as(&orders.name),
        ),
        (
            pull::Config::default(),
            of_template(&orders.name),
            measured_as(&orders.name),
        ),
    ];

    for (config, span, duration) in rows {
        let recorder = Recorder::new();
        let policy = Policy::new().rule(Rule::of("*").receive_spans(true));
        let telemetry = recorder.telemetry().policy(policy);
        let consumer = orders.consumer(&telemetry, narrow(config)).await;

        let asking = consumer.stream().max_messages_per_batch(5);
        let mut messages = asking.messages().await.expect("messages");
        let error = in_time(messages.next()).await.expect("no end");
        let error = error.expect_err("it asks for too much");
        let fetch = consumer.fetch().max_messages(5).messages().await;
        let fetched = in_time(fetch.expect("messages").next()).await;
        let opaque = fetched.expect("no end").expect_err("it asks for too much");
        assert!(in_time(messages.next()).await.is_none(), "the end");

        let spans = recorder.spans();
        let expected = [
            ("request_limit_exceeded", error.to_string()),
            ("_OTHER", opaque.to_string()),
        ];
        assert_eq!(spans.len(), expected.len(), "{spans:?}");
        for (found, (error_type, text)) in spans.iter().zip(expected) {
            span.clone()
                .attribute("nats.stream.name", orders.name.clone())
                .error(error_type)
                .assert(found);
            assert_eq!(found.status, Status::error(text));
        }
        let failed = |error| and(of_type(duration.clone(), "receive"), "error.type", error);
        operation_duration()
            .of(failed("request_limit_exceeded"), 1)
            .of(failed("_OTHER"), 1)
            .assert(&recorder);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_that_finds_nothing_is_no_failure() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    let policy = Policy::new().rule(Rule::of("*").receive_spans(true));
    let telemetry = recorder.telemetry().policy(policy);
    let consumer = orders.consumer(&telemetry, all(&orders)).await;

    let fetch = consumer.fetch().max_messages(5).messages().await;
    let fetched = in_time(fetch.expect("messages").next()).await;

    assert!(fetched.is_none(), "{fetched:?}");
    assert_eq!(recorder.spans().len(), 0);
    assert_eq!(recorder.metrics(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_can_ask_no_more_fails_to_receive() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    let policy = Policy::new().rule(Rule::of("*").receive_spans(true));
    let telemetry = recorder.telemetry().policy(policy);
    let consumer = orders.consumer(&telemetry, all(&orders)).await;
    let mut batches = consumer.sequence(5).expect("batches");
    let drained = orders.context.client().drain().await;
    drained.expect("a client that takes no more");
    while orders.context.client().flush().await.is_ok() {
        tokio::task::yield_now().await;
    }

    let fetched = consumer.fetch().max_messages(5).messages().await;
    let fetched = fetched.map(drop).expect_err("no more");
    let batch = in_time(batches.next()).await.expect("no end");
    let batch = batch.map(drop).expect_err("no more");

    let spans = recorder.spans();
    assert_eq!(spans.len(), 2, "{spans:?}");
    for (found, text) in spans.iter().zip([fetched.to_string(), batch.to_string()]) {
        of_template(&orders.subject("*"))
            .attribute("nats.stream.name", orders.name.clone())
            .error("pull_failed")
            .assert(found);
        assert_eq!(found.status, Status::error(text));
    }
}
