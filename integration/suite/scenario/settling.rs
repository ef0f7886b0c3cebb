//! To what settling belongs.

use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanContext, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry_sdk::trace::SpanData;
use otel_messaging::policy::{Incoming, Policy, Rule};
use otel_messaging::testing::Recorder;
use otel_messaging::{Batch, Received};
use tracing::instrument::WithSubscriber as _;
use tracing::{Instrument as _, info_span};

use super::in_tracing::{Nothing, SetUp};
use super::{send_bare, upstream, upstream_headers, upstream_span};
use crate::Settler;

/// An order from a service before ours.
async fn order<S: Settler>(broker: &S, orders: &str) -> Received<S::Message> {
    send_bare(broker, orders, upstream_headers()).await;
    broker.receive_unsettled(orders).await
}

/// The span of the last settling.
fn settled<S: Settler>(recorder: &Recorder, broker: &S, orders: &str) -> SpanData {
    recorder.span(&broker.settle_name(orders))
}

/// Settling belongs to the process span of its message, during it and after it, whatever else is
/// active: a service that settles is no service that is called.
pub async fn settling_belongs_to_the_process_span<S: Settler>() {
    let recorder = Recorder::new();
    let broker = S::connect(&recorder.telemetry()).await;
    let orders = broker.declare("orders").await;
    let tracer = recorder.tracer_provider().tracer("scenario");
    let looping = Context::new().with_span(tracer.start("consume"));

    for around in [Context::new(), looping] {
        for is_inside in [true, false] {
            recorder.clear();
            let received = order(&broker, &orders).await;
            received
                .process(async |received| {
                    if is_inside {
                        broker.settle(received).await;
                    }
                })
                .await;
            if !is_inside {
                let settling = broker.settle(&received);
                settling.with_context(around.clone()).await;
            }

            let process = recorder.span(&broker.process_name(&orders)).span_context;
            broker
                .settle_span(&orders, &received)
                .child_of(&process)
                .link(&upstream_span())
                .assert(&settled(&recorder, &broker, &orders));
        }
    }
}

/// A message that was not processed is settled in what is active; where that is nothing, its span has
/// a link alone.
pub async fn without_a_process_span_settling_belongs_to_what_is_active<S: Settler>() {
    let recorder = Recorder::new();
    let broker = S::connect(&recorder.telemetry()).await;
    let orders = broker.declare("orders").await;
    let tracer = recorder.tracer_provider().tracer("scenario");
    let active = Context::new().with_span(tracer.start("consume"));

    for around in [Context::new(), active] {
        recorder.clear();
        let received = order(&broker, &orders).await;
        broker.settle(&received).with_context(around.clone()).await;

        let expected = broker.settle_span(&orders, &received);
        let parent = around.span().span_context().clone();
        let expected = match parent.is_valid() {
            true => expected.child_of(&parent),
            false => expected,
        };
        let expected = expected.link(&upstream_span());
        expected.assert(&settled(&recorder, &broker, &orders));
    }
}

/// A context that was in the payload is linked to as one in the headers is.
pub async fn settling_links_to_a_context_that_was_in_the_payload<S: Settler>() {
    let recorder = Recorder::new();
    let broker = S::connect(&recorder.telemetry()).await;
    let orders = broker.declare("orders").await;
    send_bare(&broker, &orders, Vec::new()).await;
    let received = broker.receive_unsettled(&orders).await;
    let received = received.fallback_context(upstream("01"));

    broker.settle(&received).await;

    let expected = broker.settle_span(&orders, &received);
    let expected = expected.link(&upstream_span());
    expected.assert(&settled(&recorder, &broker, &orders));
}

/// Inside a span of `tracing`, a message that was not processed is settled in that, whether it activates contexts
/// or not; one that was is settled in its process span.
pub async fn settling_in_a_span_of_tracing_is_below_it_if_there_is_no_process_span<S: Settler>() {
    for set_up in SetUp::ALL {
        for is_processed in [false, true] {
            let recorder = Recorder::new();
            let subscriber = set_up.subscriber(&recorder, Nothing);
            let broker = S::connect(&recorder.telemetry()).await;
            let orders = broker.declare("orders").await;
            let received = order(&broker, &orders).await;
            let settling = async {
                let settling = async {
                    if is_processed {
                        received.process(async |_| ()).await;
                    }
                    broker.settle(&received).await;
                };
                settling.instrument(info_span!("settle orders")).await;
            };
            settling.with_subscriber(subscriber).await;

            let parent = match is_processed {
                true => recorder.span(&broker.process_name(&orders)),
                false => recorder.span("settle orders"),
            };
            let expected = broker.settle_span(&orders, &received);
            let expected = expected.child_of(&parent.span_context);
            let expected = expected.link(&upstream_span());
            expected.assert(&settled(&recorder, &broker, &orders));
        }
    }
}

/// A retry in place is settled in the attempt that was the last one.
pub async fn settling_belongs_to_the_last_of_several_attempts<S: Settler>() {
    let recorder = Recorder::new();
    let broker = S::connect(&recorder.telemetry()).await;
    let orders = broker.declare("orders").await;
    let received = order(&broker, &orders).await;
    let mut attempts: Vec<SpanContext> = Vec::new();
    for _ in 0..2 {
        recorder.clear();
        received.process(async |_| ()).await;
        attempts.push(recorder.span(&broker.process_name(&orders)).span_context);
    }

    broker.settle(&received).await;

    let last = attempts.last().expect("two attempts");
    let expected = broker.settle_span(&orders, &received).child_of(last);
    let expected = expected.link(&upstream_span());
    expected.assert(&settled(&recorder, &broker, &orders));
}

/// Of a batch each message is settled in the span that it was processed in: the batch's, or its own.
pub async fn a_message_of_a_batch_is_settled_in_the_span_that_it_was_processed_in<S: Settler>() {
    for has_own in [false, true] {
        let recorder = Recorder::new();
        let broker = S::connect(&recorder.telemetry()).await;
        let orders = broker.declare("orders").await;
        let batch = Batch::from(vec![order(&broker, &orders).await]);
        batch
            .process(async |batch| {
                for order in batch.iter().filter(|_| has_own) {
                    order.process(async |_| ()).await;
                }
            })
            .await;
        let mut spans = recorder.spans();
        spans.retain(|span| span.name == broker.process_name(&orders));

        for order in &batch {
            broker.settle(order).await;
            // The message's own span ends first, and the batch's last.
            let first = spans.first().expect("a process span");
            let expected = broker.settle_span(&orders, order);
            let expected = expected
                .child_of(&first.span_context)
                .link(&upstream_span());
            expected.assert(&settled(&recorder, &broker, &orders));
        }
        assert_eq!(spans.len(), 1 + usize::from(has_own));
    }
}

/// What is not trusted is linked as little as by the process span.
pub async fn settling_links_to_what_is_trusted<S: Settler>() {
    for incoming in [Incoming::Restart, Incoming::Ignore] {
        let recorder = Recorder::new();
        let policy = Policy::new().rule(Rule::of("orders*").incoming(incoming));
        let broker = S::connect(&recorder.telemetry().policy(policy)).await;
        let orders = broker.declare("orders").await;
        let received = order(&broker, &orders).await;
        received.process(async |_| ()).await;
        let process = recorder.span(&broker.process_name(&orders)).span_context;

        broker.settle(&received).await;

        let expected = broker.settle_span(&orders, &received).child_of(&process);
        let span = settled(&recorder, &broker, &orders);
        match incoming {
            Incoming::Ignore => expected,
            _ => expected.link(&upstream_span()),
        }
        .assert(&span);
        for link in &span.links.links {
            assert!(!link.span_context.is_sampled(), "{link:?}");
        }
    }
}
