//! Which batches are sampled.

use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{
    SpanContext, TraceContextExt as _, TraceFlags, Tracer as _, TracerProvider as _,
};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, ShouldSample};
use otel_messaging::policy::{Policy, Rule};
use otel_messaging::testing::Recorder;
use otel_messaging::{Batch, LinkedSampler};

use super::batches::{received, span, traceparent};
use super::{header, send_bare, upstream};
use crate::metrics::{process_duration, sent_messages};
use crate::{Broker, Message, Settler};

const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/// Spans of producers that sample so many of their traces.
fn produced(count: usize, ratio: f64) -> Vec<SpanContext> {
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio)));
    let provider = SdkTracerProvider::builder().with_sampler(sampler).build();
    let tracer = provider.tracer("producer");
    let span = |_| {
        let span = tracer.start_with_context("send", &Context::new());
        let context = Context::new().with_span(span);
        context.span().span_context().clone()
    };
    (0..count).map(span).collect()
}

/// Where the sampler is known to follow the parent it is not asked for a trace that is not sampled: the
/// context that came is current in the handler and goes out, and all is counted.
pub async fn a_sampler_that_follows_the_parent_is_not_asked_in_vain<B: Broker>() {
    // It would record, if it were asked.
    let recorder = Recorder::with_sampler(Sampler::AlwaysOn);
    let telemetry = recorder.telemetry().sampler_follows_parent(true);
    let broker = B::connect(&telemetry).await;
    let [orders, payments] = [
        broker.declare("orders").await,
        broker.declare("payments").await,
    ];

    send_bare(&broker, &orders, vec![header("traceparent", UNSAMPLED)]).await;
    let received = broker.receive(&orders).await;
    let in_handler = received
        .process(async |_| {
            broker.send(&payments, &Message::new("payment-7")).await;
            Ok::<_, String>(Context::current().span().span_context().clone())
        })
        .await;
    let forwarded = broker.receive(&payments).await;
    let batch = Batch::from(vec![forwarded]);

    assert_eq!(recorder.spans().len(), 0);
    let creation = received.creation_context().span().span_context().clone();
    assert_eq!(in_handler.as_ref(), Ok(&creation));
    for message in &*batch {
        let carried = message.creation_context().span().span_context().clone();
        assert_eq!(carried, creation);
    }
    sent_messages()
        .of(broker.sent(&payments), 1)
        .assert(&recorder);
    process_duration()
        .of(broker.processed(&orders), 1)
        .assert(&recorder);

    // A batch has no parent to follow, and a sampled one is recorded as ever.
    batch.process(async |_| ()).await;
    broker
        .send(&orders, &Message::new("order-8"))
        .with_context(upstream("01"))
        .await;
    let names = recorder.spans().into_iter().map(|span| span.name);
    assert_eq!(
        names.collect::<Vec<_>>(),
        [broker.process_name(&payments), broker.send_name(&orders)]
    );
}

/// A batch inside a span that is not sampled has no span, and its messages are processed and shown in
/// traces of their own all the same, whether or not the sampler was asked about the batch.
pub async fn a_batch_that_is_not_sampled_leaves_the_traces_of_its_messages_alone<B: Broker>() {
    for follows in [false, true] {
        let sampler = Sampler::ParentBased(Box::new(Sampler::AlwaysOn));
        let recorder = Recorder::with_sampler(sampler);
        let policy = Policy::new().rule(Rule::of("*").fan_back(9));
        let telemetry = recorder.telemetry().policy(policy);
        let broker = B::connect(&telemetry.sampler_follows_parent(follows)).await;
        let orders = broker.declare("orders").await;
        let contexts = [0, 1].map(|number| span(number, number, TraceFlags::SAMPLED));
        let headers = contexts.iter().map(|one| vec![traceparent(one)]);
        let batch = received(&broker, &orders, headers).await;

        batch
            .process(async |orders| {
                for order in orders {
                    order.process(async |_| ()).await;
                }
            })
            .with_context(upstream("00"))
            .await;

        let found: Vec<_> = recorder
            .spans()
            .into_iter()
            .map(|span| (span.name, span.span_context.trace_id(), span.parent_span_id))
            .collect();
        let of_each = [broker.process_name(&orders), format!("batch {orders}")];
        let expected = of_each.iter().flat_map(|name| {
            let in_trace = |one: &SpanContext| (name.clone().into(), one.trace_id(), one.span_id());
            contexts.each_ref().map(in_trace)
        });
        assert_eq!(found, expected.collect::<Vec<_>>(), "{follows}");
    }
}

/// Settling after the handler starts no trace of its own where that of the message is not sampled,
/// whether or not the sampler was asked about the handler.
pub async fn settling_is_sampled_with_its_message_after_the_handler_too<S: Settler>() {
    for (follows, is_batch) in [(false, false), (true, false), (false, true), (true, true)] {
        let sampler = Sampler::ParentBased(Box::new(Sampler::AlwaysOn));
        let recorder = Recorder::with_sampler(sampler);
        let telemetry = recorder.telemetry().sampler_follows_parent(follows);
        let broker = S::connect(&telemetry).await;
        let orders = broker.declare("orders").await;
        send_bare(&broker, &orders, vec![header("traceparent", UNSAMPLED)]).await;
        let batch = Batch::from(vec![broker.receive_unsettled(&orders).await]);

        if is_batch {
            let handling = batch.process(async |_| ());
            handling.with_context(upstream("00")).await;
        }
        for order in &batch {
            if !is_batch {
                order.process(async |_| ()).await;
            }
            broker.settle(order).await;
        }

        let names = recorder.spans().into_iter().map(|span| span.name);
        let names: Vec<_> = names.collect();
        assert!(names.is_empty(), "{names:?} {follows} {is_batch}");
    }
}

/// Sends so many messages, and asserts which of their batches are recorded where this sampler
/// decides.
pub async fn assert_kept_batches<B: Broker>(sampler: impl ShouldSample + 'static) {
    const BATCHES: usize = 24;
    const MESSAGES: usize = 4;
    let recorder = Recorder::with_sampler(sampler);
    let broker = B::connect(&recorder.telemetry()).await;
    let orders = broker.declare("orders").await;
    let mut kept = 0;

    for creations in produced(BATCHES * MESSAGES, 0.2).chunks(MESSAGES) {
        recorder.clear();
        let mut batch = Vec::with_capacity(MESSAGES);
        for creation in creations {
            let (trace, span) = (creation.trace_id(), creation.span_id());
            let flags = creation.trace_flags().to_u8();
            let value = format!("00-{trace}-{span}-{flags:02x}");
            send_bare(&broker, &orders, vec![header("traceparent", &value)]).await;
            batch.push(broker.receive(&orders).await);
        }
        let batch = Batch::from(batch);
        batch
            .process(async |orders| {
                for order in orders {
                    order.process(async |_| ()).await;
                }
            })
            .await;

        let sampled: Vec<_> = creations.iter().filter(|one| one.is_sampled()).collect();
        let spans = recorder.spans();
        // Each message's own span goes by its own trace, and the batch's by all of them.
        let own = spans.iter().filter(|span| span.parent_span_is_remote);
        let traces: Vec<_> = own.map(|span| span.span_context.trace_id()).collect();
        let expected: Vec<_> = sampled.iter().map(|one| one.trace_id()).collect();
        assert_eq!(traces, expected);
        let whole: Vec<_> = spans
            .iter()
            .filter(|span| !span.parent_span_is_remote)
            .collect();
        assert_eq!(whole.len(), usize::from(!sampled.is_empty()));
        for whole in &whole {
            let links = whole
                .links
                .iter()
                .map(|link| link.span_context.trace_flags());
            let flags: Vec<TraceFlags> = creations.iter().map(SpanContext::trace_flags).collect();
            assert_eq!(links.collect::<Vec<_>>(), flags);
        }
        kept += whole.len();
    }
    assert!((1..BATCHES).contains(&kept), "{kept} of {BATCHES} batches");
}

/// Of producers that sample some of their traces, a batch is recorded if any of its messages is,
/// however the sampler is put together with one that goes by the parent.
pub async fn a_batch_is_kept_if_any_of_its_messages_is_from_a_sampled_trace<B: Broker>() {
    let by_parent = Sampler::ParentBased(Box::new(Sampler::AlwaysOff));
    assert_kept_batches::<B>(LinkedSampler::new(by_parent)).await;
    let linked = LinkedSampler::new(Sampler::AlwaysOff);
    assert_kept_batches::<B>(Sampler::ParentBased(Box::new(linked))).await;
}
