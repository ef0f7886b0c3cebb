//! Settling messages that were received in batches.

use async_nats::jetstream::AckKind;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use integration::nats::{PATIENCE, in_time};
use opentelemetry::trace::Status;
use otel_messaging::testing::Recorder;

use crate::numbered::{SOON, all, publish};
use crate::shop::Orders;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_batch_that_fails_in_part_only_what_failed_comes_again() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    publish(&orders, 0..3).await;
    let consumer = orders.consumer(&recorder.telemetry(), all(&orders)).await;
    let messages = consumer.messages().await.expect("messages");
    let mut batches = messages.batches(3, SOON);

    let mut seen = Vec::new();
    while seen.len() < 4 {
        let batch = in_time(batches.recv()).await.expect("a batch");
        let batch = batch.expect("no error");
        let outcomes = batch.process(async |orders| {
            let mut outcomes = Vec::new();
            for order in orders {
                let attempt = order.info().expect("a message of JetStream").delivered;
                let stored = order.process(async |order| {
                    let failed = attempt == 1 && order.subject.ends_with(".1");
                    if failed { Err("no stock") } else { Ok(()) }
                });
                outcomes.push(stored.await);
            }
            assert!(!outcomes.is_empty(), "a batch is never empty");
            if outcomes.contains(&Err("no stock")) {
                return Err(outcomes);
            }
            Ok(outcomes)
        });
        let (Ok(outcomes) | Err(outcomes)) = outcomes.await;
        for (order, outcome) in batch.iter().zip(outcomes) {
            let settled = match outcome {
                Ok(()) => order.double_ack().await,
                Err(_) => order.double_ack_with(AckKind::Nak(None)).await,
            };
            settled.expect("it is settled");
            seen.push((order.subject.to_string(), outcome.is_ok()));
        }
    }

    let expected = [("0", true), ("1", false), ("2", true), ("1", true)];
    let expected = expected.map(|(order, is_ok)| (orders.subject(order), is_ok));
    assert_eq!(seen, expected);
    let process = format!("process {}", orders.subject("*"));
    let spans = recorder.spans().into_iter();
    let processed = spans.filter(|span| span.name == process);
    let failed = processed.map(|span| (span.parent_span_is_remote, span.status != Status::Unset));
    let each = [(true, false), (true, true), (true, false), (false, true)];
    let again = [(true, false), (false, false)];
    assert_eq!(failed.collect::<Vec<_>>(), [&each[..], &again[..]].concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_an_acknowledgement_is_of_all_before_it_the_last_one_settles_the_batch() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    publish(&orders, 0..3).await;
    let config = pull::Config {
        ack_policy: AckPolicy::All,
        ..all(&orders)
    };
    let consumer = orders.consumer(&recorder.telemetry(), config).await;
    let messages = consumer.messages().await.expect("messages");

    let batch = in_time(messages.batches(3, PATIENCE).recv()).await;
    let batch = batch.expect("a batch").expect("no error");
    let last = batch.last().expect("a message");
    last.double_ack().await.expect("an acknowledgement");

    let mut consumer = consumer.inner().clone();
    let info = consumer.info().await.expect("info");
    assert_eq!(
        (info.num_ack_pending, info.ack_floor.stream_sequence),
        (0, 3)
    );
}
