//! Which batches are sampled.

use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, TraceContextExt as _, TraceFlags, Tracer as _, TracerProvider as _,
};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, ShouldSample};
use otel_messaging::testing::Recorder;
use otel_messaging::{Batch, LinkedSampler};

use super::{header, send_bare};
use crate::Broker;

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
