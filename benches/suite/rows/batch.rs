//! Messages that are processed together, for each of them; the handler does nothing.

use crate::by_hand;
use crate::harness::{Report, Run, Sample, Way, many};
use crate::messages;
use crate::sample::{self, Broker, CLIENT_ID, GROUP, KEY, TOPIC, ready};
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{
    Link, SpanBuilder, SpanKind, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use otel_messaging::Received;
use otel_messaging::kafka::MessageHeaders as _;
use otel_messaging::{Batch, Telemetry};
use rdkafka::Message as _;
use rdkafka::message::{BorrowedMessage, OwnedHeaders, OwnedMessage};

const SIZES: [usize; 4] = [1, 128, 1_000, 10_000];
/// Messages of a round, or somewhat more.
const MESSAGES: usize = 2_000;

pub(crate) fn measure(report: &Report, broker: &Broker) {
    let provider = sample::recording();
    for size in SIZES {
        report.row(
            &format!("links: {size} of as many traces"),
            [
                (Way::Ours, linked(links(size, size), &provider)),
                (Way::ByHand, linked_by_hand(links(size, size), &provider)),
            ],
        );
    }
    report.row(
        "links: 10000 of 100 traces",
        [
            (Way::Ours, linked(links(10_000, 100), &provider)),
            (Way::ByHand, linked_by_hand(links(10_000, 100), &provider)),
        ],
    );

    for (name, provider) in [
        ("recorded", sample::recording()),
        ("not sampled", sample::unsampled()),
    ] {
        let telemetry = Telemetry::new().tracer_provider(provider.clone());
        for size in SIZES {
            let headers = Vec::from_iter((0..size).map(traced));
            let batch = broker.received_together(&telemetry, Some(KEY), headers);
            report.row(
                &format!("batch of {size}: {name}"),
                [
                    (Way::Ours, ours(&batch)),
                    (Way::ByHand, with_hand(&batch, &provider)),
                    (Way::OneByOne, one_by_one(&batch)),
                ],
            );
        }
    }
}

fn traced(number: usize) -> OwnedHeaders {
    let trace = sample::numbered_trace(number as u64);
    by_hand::inject(&trace, sample::other_headers(2))
}

/// So many links, each with an attribute, to so many traces.
fn links(count: usize, traces: usize) -> Vec<Link> {
    let links = (0..count).map(|number| {
        let trace = sample::numbered_trace((number % traces) as u64);
        let offset = KeyValue::new("kafka.offset", number as i64);
        Link::new(trace.span().span_context().clone(), vec![offset], 0)
    });
    links.collect()
}

fn linked<'a>(links: Vec<Link>, provider: &SdkTracerProvider) -> Run<'a> {
    let wrapped = messages::traced(provider.clone());
    rounds(links.len(), move |sample| {
        let links = links.clone();
        sample.measure(|| wrapped.processed_together(links));
    })
}

/// One span that is given all links, of which it keeps the first 128.
fn linked_by_hand<'a>(links: Vec<Link>, provider: &SdkTracerProvider) -> Run<'a> {
    let tracer = provider.tracer("by hand");
    rounds(links.len(), move |sample| {
        let links = links.clone();
        sample.measure(|| {
            let builder = builder(links.len()).with_links(links);
            drop(tracer.build_with_context(builder, &Context::new()));
        });
    })
}

fn ours<'a>(batch: &'a Batch<BorrowedMessage<'_>>) -> Run<'a> {
    rounds(batch.len(), move |sample| {
        let batch = batch.detach();
        sample.measure(|| ready(batch.process(async |_| ())));
    })
}

fn one_by_one<'a>(batch: &'a Batch<BorrowedMessage<'_>>) -> Run<'a> {
    rounds(batch.len(), move |sample| {
        let batch = batch.detach();
        sample.measure(|| {
            for message in &*batch {
                ready(message.process(async |_| ()));
            }
        });
    })
}

/// The same span, with all that is known before written down.
fn with_hand<'a>(batch: &'a Batch<BorrowedMessage<'_>>, provider: &SdkTracerProvider) -> Run<'a> {
    let tracer = provider.tracer("by hand");
    rounds(batch.len(), move |sample| {
        let batch = batch.detach();
        sample.measure(|| process(&tracer, &batch));
    })
}

fn process(tracer: &SdkTracer, batch: &[Received<OwnedMessage>]) {
    let links = batch.iter().filter_map(|message| {
        let context = by_hand::extract(message.borrowed_headers()?);
        let offset = KeyValue::new("kafka.offset", message.offset());
        Some(Link::new(
            context.span().span_context().clone(),
            vec![offset],
            0,
        ))
    });
    let builder = builder(batch.len()).with_links(links.collect());
    let span = tracer.build_with_context(builder, &Context::new());
    let context = Context::new().with_span(span);
    ready(async {}.with_context(context.clone()));
    context.span().end();
}

fn builder(messages: usize) -> SpanBuilder {
    SpanBuilder::from_name("process orders")
        .with_kind(SpanKind::Consumer)
        .with_attributes([
            KeyValue::new("messaging.system.name", "kafka"),
            KeyValue::new("messaging.operation.name", "process"),
            KeyValue::new("messaging.operation.type", "process"),
            KeyValue::new("messaging.destination.name", TOPIC),
            KeyValue::new("messaging.destination.partition.id", "0"),
            KeyValue::new("messaging.batch.message_count", messages as i64),
            KeyValue::new("messaging.consumer.group.name", GROUP),
            KeyValue::new("messaging.client.id", CLIENT_ID),
            KeyValue::new("kafka.message.key", KEY),
        ])
}

/// Batches of so many messages, so many that a round takes a while.
fn rounds<'a>(size: usize, mut run: impl FnMut(&mut Sample) + 'a) -> Run<'a> {
    let batches = MESSAGES.div_ceil(size);
    let messages = u32::try_from(batches * size).unwrap_or(u32::MAX);
    many(messages, move |sample, _| {
        for _ in 0..batches {
            run(sample);
        }
    })
}
