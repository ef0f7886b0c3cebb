//! Acknowledging, and what comes again.

use std::time::Duration;

use async_nats::jetstream::AckKind;
use async_nats::jetstream::consumer::pull;
use futures::StreamExt as _;
use integration::nats::in_time;
use integration::nats::{delivered, process_span, settle_span};
use integration::{assert_warned, logging};
use opentelemetry::trace::{SpanId, Status};
use otel_messaging::policy::{Incoming, Policy, Rule};
use otel_messaging::testing::Recorder;

use crate::shop::{FRESH, Orders, fresh, named, next};

/// Long enough for what is there, short enough for what is not.
const SOON: Duration = Duration::from_millis(500);

fn all(orders: &Orders) -> pull::Config {
    pull::Config {
        filter_subject: orders.subject("*"),
        ack_wait: SOON,
        ..pull::Config::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_way_to_settle_has_a_span_that_links_to_the_trace_of_its_message() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    for _ in 0..7 {
        orders.publish("7", fresh()).await;
    }
    let consumer = orders.consumer(&recorder.telemetry(), all(&orders)).await;
    let mut messages = consumer.messages().await.expect("messages");

    let verbs = [
        "ack",
        "nak",
        "term",
        "double_ack",
        "double_nak",
        "double_term",
    ];
    for verb in verbs {
        let order = next(&mut messages).await;
        let settled = match verb {
            "ack" => order.ack().await,
            "nak" => {
                order
                    .ack_with(AckKind::Nak(Some(Duration::from_secs(300))))
                    .await
            }
            "term" => order.ack_with(AckKind::Term).await,
            "double_ack" => order.double_ack().await,
            "double_nak" => {
                let later = AckKind::Nak(Some(Duration::from_secs(300)));
                order.double_ack_with(later).await
            }
            _ => order.double_ack_with(AckKind::Term).await,
        };
        settled.expect("it is settled");
    }
    let order = next(&mut messages).await;
    order.ack_with(AckKind::Progress).await.expect("more time");

    let spans = recorder.spans();
    assert_eq!(spans.len(), verbs.len(), "progress settles nothing");
    for ((span, verb), sequence) in spans.iter().zip(verbs).zip(1_i64..) {
        settle_span(verb, orders.of_all("7"))
            .attribute("nats.stream.name", orders.name.clone())
            .attribute("nats.stream.sequence", sequence)
            .link(&named(FRESH))
            .assert(span);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settling_by_a_client_that_has_stopped_is_an_error_of_the_span() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    orders.publish("7", fresh()).await;
    let consumer = orders.consumer(&logging(&recorder), all(&orders)).await;
    let order = next(&mut consumer.messages().await.expect("messages")).await;
    let client = orders.context.client();
    client.drain().await.expect("it drains");

    let error = in_time(async {
        loop {
            recorder.clear();
            if let Err(error) = order.ack().await {
                break error.to_string();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;

    let span = recorder.span(&format!("ack {}", orders.subject("*")));
    settle_span("ack", orders.of_all("7"))
        .attribute("nats.stream.name", orders.name.clone())
        .attribute("nats.stream.sequence", 1)
        .link(&named(FRESH))
        .error("send_failed")
        .description(&*error)
        .assert(&span);
    let exception = ("async_nats::error::Error", &*error);
    assert_warned(&recorder, "settle", &span.span_context, Some(exception));
}

/// A batch of which one message fails: it alone comes again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_batch_that_fails_in_part_the_failed_comes_again() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    for order in ["1", "2", "3"] {
        orders.publish(order, fresh()).await;
    }
    let consumer = orders.consumer(&recorder.telemetry(), all(&orders)).await;

    let mut seen = Vec::new();
    for _ in 0..2 {
        let batch = consumer.batch().max_messages(3).expires(SOON);
        let mut batch = batch.messages().await.expect("a batch");
        while let Some(order) = in_time(batch.next()).await {
            let order = order.expect("a message without error");
            let is_first = order.info().expect("a message of JetStream").delivered == 1;
            let outcome = order
                .process(async |order| {
                    let failed = is_first && order.subject.ends_with(".2");
                    if failed { Err("no stock") } else { Ok(()) }
                })
                .await;
            seen.push((order.subject.to_string(), outcome.is_ok()));
            match outcome {
                Ok(()) => order.double_ack().await.expect("an acknowledgement"),
                Err(_) => {
                    let nak = order.double_ack_with(AckKind::Nak(None));
                    nak.await.expect("a nak");
                }
            }
        }
    }

    let expected = [("1", true), ("2", false), ("3", true), ("2", true)];
    let expected = expected.map(|(order, is_ok)| (orders.subject(order), is_ok));
    assert_eq!(seen, expected);
    let name = format!("process {}", orders.subject("*"));
    let spans = recorder.spans();
    let processed = spans.iter().filter(|span| span.name == name);
    let failed: Vec<bool> = processed.map(|span| span.status != Status::Unset).collect();
    assert_eq!(failed, [false, true, false, false]);
    for verb in ["double_ack", "double_nak"] {
        let name = format!("{verb} {}", orders.subject("*"));
        let settled = spans.iter().filter(|span| span.name == name).count();
        assert_eq!(settled, if verb == "double_ack" { 3 } else { 1 });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_comes_again_in_its_trace_after_nak_and_after_ack_wait() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    orders.publish("7", fresh()).await;
    let consumer = orders.consumer(&recorder.telemetry(), all(&orders)).await;
    let mut messages = consumer.messages().await.expect("messages");

    for attempt in 1..=3 {
        recorder.clear();
        let order = next(&mut messages).await;
        order.process(async |_| ()).await;

        let info = order.info().expect("a message of JetStream");
        assert_eq!(info.delivered, attempt);
        let span = recorder.span(&format!("process {}", orders.subject("*")));
        delivered(process_span(orders.of_all("7")), &order)
            .child_of(&named(FRESH))
            .link(&named(FRESH))
            .assert(&span);
        if attempt == 1 {
            order.ack_with(AckKind::Nak(None)).await.expect("a nak");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_shows_a_first_attempt_too() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    let policy = Policy::new().rule(Rule::of("*").unregistered_attributes(true));
    orders.publish("7", fresh()).await;
    let consumer = orders
        .consumer(&recorder.telemetry().policy(policy), all(&orders))
        .await;
    let mut messages = consumer.messages().await.expect("messages");

    let order = next(&mut messages).await;
    order.process(async |_| ()).await;

    delivered(process_span(orders.of_all("7")), &order)
        .attribute("otel_messaging.message.delivery_attempt", 1)
        .child_of(&named(FRESH))
        .link(&named(FRESH))
        .assert(&recorder.span(&format!("process {}", orders.subject("*"))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_policy_can_link_to_what_was_delivered_before() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    let policy = Policy::new().rule(Rule::of("*").redelivered(Incoming::LinkOnly));
    orders.publish("7", fresh()).await;
    let consumer = orders
        .consumer(&recorder.telemetry().policy(policy), all(&orders))
        .await;
    let mut messages = consumer.messages().await.expect("messages");

    let mut parents = Vec::new();
    for _ in 0..2 {
        recorder.clear();
        let order = next(&mut messages).await;
        order.process(async |_| ()).await;
        let span = recorder.span(&format!("process {}", orders.subject("*")));
        assert_eq!(span.links.links.len(), 1);
        parents.push(span.parent_span_id);
        order.ack_with(AckKind::Nak(None)).await.expect("a nak");
    }

    assert_eq!(parents, [named(FRESH).span_id(), SpanId::INVALID]);
}
