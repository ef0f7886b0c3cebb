//! Messages that are published again.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test panics where it fails"
)]

use futures::future::join_all;
use integration::kafka::{
    PATIENCE, config, consumer_in, create_span, in_common, informed_producer, next, process_span,
    processed_batch, send_span, sent_batch, topic, wire_headers,
};
use integration::unique;
use opentelemetry::trace::SpanKind;
use otel_messaging::Batch;
use otel_messaging::policy::{Policy, Rule};
use otel_messaging::testing::Recorder;
use rdkafka::message::{Message as _, OwnedMessage};
use rdkafka::producer::FutureRecord;

use crate::wire::{header, order, receipt, traceparent};

/// The same message for another topic, as a retry sends it: with all headers that it came with.
fn again<'a>(topic: &'a str, message: &'a OwnedMessage) -> FutureRecord<'a, [u8], [u8]> {
    let mut record = FutureRecord::to(topic);
    (record.key, record.payload) = (message.key(), message.payload());
    record.headers = message.headers().cloned();
    record
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_attempt_over_retry_topics_links_to_the_one_before_it() {
    let recorder = Recorder::new();
    let producer = informed_producer(&recorder.telemetry(), &config());
    let group = unique("group");
    let topics = ["orders", "orders-retry-1", "orders-retry-2", "orders-dead"].map(topic);
    let topics = join_all(topics).await;
    let orders = &topics[0];
    let delivery = receipt(producer.send(order(orders, &[]), PATIENCE).await);
    let sent = recorder.span(&format!("send {orders}"));
    send_span(orders, "order-7", &delivery).assert(&sent);

    let mut before = sent.span_context;
    for pair in topics.windows(2) {
        let (from, to) = (&pair[0], &pair[1]);
        let consumer = consumer_in(&group, &recorder.telemetry(), from);
        let attempt = next(&consumer).await.detach();
        let mut delivery = None;
        let outcome = attempt
            .process(async |attempt| {
                let sent = producer.send(again(to, attempt), PATIENCE).await;
                delivery = Some(receipt(sent));
                Err::<(), _>("no stock")
            })
            .await;

        assert_eq!(outcome, Err("no stock"));
        let process = recorder.span(&format!("process {from}"));
        process_span(&attempt, &group)
            .child_of(&before)
            .link(&before)
            .error("&str")
            .exception("&str")
            .assert(&process);
        let send = recorder.span(&format!("send {to}"));
        send_span(to, "order-7", &delivery.expect("a delivery"))
            .child_of(&process.span_context)
            .link(&before)
            .assert(&send);
        before = send.span_context;
    }
    let dead = &topics[3];
    let kept = next(&consumer_in(&group, &recorder.telemetry(), dead))
        .await
        .detach();
    assert_eq!(
        wire_headers(&kept),
        [header("traceparent", traceparent(&before))]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_a_batch_sends_again_link_to_their_own_attempt_before() {
    for creates in [true, false] {
        let recorder = Recorder::new();
        let policy = Policy::new().rule(Rule::of("*").create_spans(creates));
        let producer = informed_producer(&recorder.telemetry().policy(policy), &config());
        let (orders, retries) = (topic("orders").await, topic("orders-retry").await);
        let group = unique("group");
        for _ in 0..2 {
            receipt(producer.send(order(&orders, &[]), PATIENCE).await);
        }
        let attempts = recorder.spans();
        recorder.clear();
        let consumer = consumer_in(&group, &recorder.telemetry(), &orders);
        let failed = [
            next(&consumer).await.detach(),
            next(&consumer).await.detach(),
        ];

        let batch = Batch::from(Vec::from(failed));
        let results = batch
            .process(async |orders| -> Result<_, String> {
                let records = orders.iter().map(|order| again(&retries, order));
                Ok(producer.send_batch(records, PATIENCE).await)
            })
            .await
            .expect("results");

        assert!(results.iter().all(Result::is_ok), "{results:?}");
        let process = recorder.span(&format!("process {orders}"));
        let expected = in_common(processed_batch(Some(&orders), &group, 2), &batch[0]);
        expected
            .link(&attempts[0].span_context)
            .link(&attempts[1].span_context)
            .assert(&process);
        let send = recorder.span(&format!("send {retries}"));
        let mut spans = recorder.spans();
        spans.retain(|span| span.name.starts_with("create"));
        let (kind, linked) = match creates {
            true => (SpanKind::Client, &spans),
            false => (SpanKind::Producer, &attempts),
        };
        sent_batch(kind, Some(&retries), 2)
            .child_of(&process.span_context)
            .link(&linked[0].span_context)
            .link(&linked[1].span_context)
            .assert(&send);
        assert_eq!(spans.len(), if creates { 2 } else { 0 });
        for (create, attempt) in spans.iter().zip(&attempts) {
            create_span(&retries, "order-7")
                .child_of(&process.span_context)
                .link(&attempt.span_context)
                .assert(create);
        }
    }
}
