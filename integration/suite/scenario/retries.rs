//! Messages that are published again.

use opentelemetry::trace::{SpanContext, SpanKind};
use otel_messaging::policy::{Policy, Rule};
use otel_messaging::testing::Recorder;
use otel_messaging::{Batch, Received};

use super::batches::{at, traceparent};
use super::sends::{creates, linking, saying};
use crate::{BatchSender, Broker, Message};

/// The same message, as a retry sends it: with all headers that it came with.
fn again<B: Broker>(broker: &B, received: &Received<B::Message>) -> Message {
    Message {
        headers: broker.headers(received),
        ..Message::new("order-7")
    }
}

/// A message that goes from one retry destination to the next is one trace, in which each send links
/// to the attempt before.
pub async fn each_attempt_over_retry_destinations_links_to_the_one_before_it<B: Broker>() {
    let recorder = Recorder::new();
    let broker = B::connect(&recorder.telemetry()).await;
    let order = Message::new("order-7");
    let mut from = broker.declare("orders").await;
    let receipt = broker.send(&from, &order).await;
    let sent = recorder.span(&broker.send_name(&from));
    broker.send_span(&from, &order, &receipt).assert(&sent);

    let mut before = sent.span_context;
    for name in ["orders-retry-1", "orders-retry-2", "orders-dead"] {
        let to = broker.declare(name).await;
        let attempt = broker.receive(&from).await;
        let order = again(&broker, &attempt);
        let mut receipt = None;
        let outcome = attempt
            .process(async |_| {
                receipt = Some(broker.send(&to, &order).await);
                Err::<(), _>("no stock")
            })
            .await;

        assert_eq!(outcome, Err("no stock"));
        let process = recorder.span(&broker.process_name(&from));
        broker
            .process_span(&from, &attempt)
            .child_of(&before)
            .link(&before)
            .error("_OTHER")
            .description("no stock")
            .event("exception")
            .assert(&process);
        let send = recorder.span(&broker.send_name(&to));
        broker
            .send_span(&to, &order, &receipt.expect("it was sent"))
            .child_of(&process.span_context)
            .link(&before)
            .assert(&send);
        (from, before) = (to, send.span_context);
    }
    let dead = broker.receive(&from).await;
    assert_eq!(broker.headers(&dead), [traceparent(&before)]);
}

/// Messages that the handler of a batch sends again link to their own attempt before, each from its
/// create span, or all from the send span.
pub async fn messages_that_a_batch_sends_again_link_to_their_own_attempt_before<B: BatchSender>() {
    for has_creates in [true, false] {
        let recorder = Recorder::new();
        let policy = Policy::new().rule(Rule::of("*").create_spans(has_creates));
        let broker = B::connect(&recorder.telemetry().policy(policy)).await;
        let orders = broker.declare("orders").await;
        let retries = broker.declare("orders-retry").await;
        for _ in 0..2 {
            broker.send(&orders, &Message::new("order-7")).await;
        }
        let attempts = recorder.spans();
        let attempts: Vec<SpanContext> = attempts.into_iter().map(|s| s.span_context).collect();
        recorder.clear();

        let failed = [broker.receive(&orders).await, broker.receive(&orders).await];
        let batch = Batch::from(Vec::from(failed));
        let receipts = batch
            .process(async |orders| {
                let orders: Vec<_> = orders.iter().map(|order| again(&broker, order)).collect();
                Ok::<_, String>(broker.send_batch(&retries, &orders).await)
            })
            .await
            .expect("all are sent");

        let process = recorder.span(&broker.process_name(&orders));
        let expected = broker.in_common(broker.batch_span(&orders, 2), at(&batch, 0));
        linking(expected, &attempts).assert(&process);
        let created = creates(&recorder, &retries);
        assert_eq!(created.len(), if has_creates { 2 } else { 0 });
        let sent = Message::new("order-7");
        for ((create, attempt), receipt) in created.iter().zip(&attempts).zip(&receipts) {
            broker
                .create_span(&retries, &sent, receipt)
                .child_of(&process.span_context)
                .link(attempt)
                .assert(create);
        }
        let created: Vec<_> = created.into_iter().map(|span| span.span_context).collect();
        let (kind, linked) = match has_creates {
            true => (SpanKind::Client, &created),
            false => (SpanKind::Producer, &attempts),
        };
        let send = broker.sent_batch(kind, &retries, 2);
        let send = saying(send, broker.on_sent_link(&sent));
        linking(send.child_of(&process.span_context), linked)
            .assert(&recorder.span(&broker.send_name(&retries)));
    }
}
