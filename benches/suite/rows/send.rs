//! A record, from the call that queues it to the end of its send span.
//!
//! What the client's own threads do in between is not measured: they wait until all records of a
//! round are queued, and the clock stands still while they send them.

use crate::harness::{Report, Run, Way, many};
use crate::sample::{self, Broker, CLIENT_ID, KEY, TOPIC, ready, record, reported};
use crate::{by_hand, stock};
use opentelemetry::trace::{
    SpanBuilder, SpanKind, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use otel_messaging::policy::Record;
use otel_messaging::{Telemetry, kafka};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord};

/// Records of one round.
const QUEUED: u32 = 1000;

pub(crate) fn measure(report: &Report, broker: &Broker) {
    let client = broker.producer();
    for (name, provider) in [
        ("send: recorded", sample::recording()),
        ("send: not sampled", sample::unsampled()),
    ] {
        let telemetry = Telemetry::new().tracer_provider(provider.clone());
        let wrapped = kafka::Producer::wrap(&telemetry, client.clone());
        report.row(
            name,
            [
                (Way::Ours, ours(&client, wrapped)),
                (Way::Stock, with_stock(&client, &provider)),
                (Way::ByHand, with_hand(&client, &provider)),
                (Way::Bare, bare(&client)),
            ],
        );
    }

    let unsampled = sample::unsampled_trace().attach();
    let wrapped = kafka::Producer::wrap(&sample::following_parents(), client.clone());
    let ways = [
        (Way::Ours, ours(&client, wrapped)),
        (Way::Bare, bare(&client)),
    ];
    report.row("send: known not to be sampled", ways);
    drop(unsampled);

    // What is sent on is the trace that is current.
    let _current = sample::trace().attach();
    for (name, record) in [
        ("send: propagation alone", Record::PropagateOnly),
        ("send: off", Record::Off),
    ] {
        let wrapped = kafka::Producer::wrap(&sample::recorded_as(record), client.clone());
        let ways = [
            (Way::Ours, ours(&client, wrapped)),
            (Way::Bare, bare(&client)),
        ];
        report.row(name, ways);
    }
}

fn ours(client: &FutureProducer, wrapped: kafka::Producer) -> Run<'_> {
    sends(client, move || {
        let delivery = wrapped.send_result(record());
        let delivery = delivery
            .map_err(|(error, _)| error)
            .expect("room in the queue");
        async move { delivery.await.is_ok_and(|delivery| delivery.is_ok()) }
    })
}

fn bare(client: &FutureProducer) -> Run<'_> {
    sends(client, move || {
        let delivery = queue(client, record());
        async move { delivered(delivery).await.is_some() }
    })
}

/// The same span with the stock propagator, as one writes it who does not know the topic.
fn with_stock<'a>(client: &'a FutureProducer, provider: &SdkTracerProvider) -> Run<'a> {
    let propagator = stock::trace_and_baggage();
    let tracer = provider.tracer("by hand");
    sends(client, move || {
        let record = record();
        let builder = SpanBuilder::from_name(format!("send {}", record.topic));
        let builder = builder.with_attributes(attributes(record.topic.to_owned()));
        let context = start(&tracer, builder);
        let headers = stock::inject(&propagator, &context, OwnedHeaders::new());
        let delivery = queue(client, record.headers(headers));
        async move { end(&context, delivered(delivery).await) }
    })
}

/// The same span, with all that is known before written down.
fn with_hand<'a>(client: &'a FutureProducer, provider: &SdkTracerProvider) -> Run<'a> {
    let tracer = provider.tracer("by hand");
    sends(client, move || {
        let builder = SpanBuilder::from_name("send orders");
        let context = start(&tracer, builder.with_attributes(attributes(TOPIC)));
        let headers = by_hand::inject(&context, OwnedHeaders::new());
        let delivery = queue(client, record().headers(headers));
        async move { end(&context, delivered(delivery).await) }
    })
}

fn sends<'a, F>(client: &'a FutureProducer, mut send: impl FnMut() -> F + 'a) -> Run<'a>
where
    F: Future<Output = bool> + 'a,
{
    many(QUEUED, move |sample, operations| {
        let mut deliveries = Vec::with_capacity(operations as usize);
        sample.measure(|| deliveries.extend((0..operations).map(|_| send())));
        reported(client);
        sample.measure(|| {
            for delivery in deliveries.drain(..) {
                assert!(ready(delivery), "the record is delivered");
            }
        });
    })
}

fn queue(client: &FutureProducer, record: FutureRecord<'_, str, [u8]>) -> DeliveryFuture {
    let queued = client.send_result(record);
    queued
        .map_err(|(error, _)| error)
        .expect("room in the queue")
}

/// Partition and offset.
async fn delivered(delivery: DeliveryFuture) -> Option<(i32, i64)> {
    let delivery = delivery.await.ok()?.ok()?;
    Some((delivery.partition, delivery.offset))
}

fn start(tracer: &SdkTracer, builder: SpanBuilder) -> Context {
    let parent = Context::current();
    let span = tracer.build_with_context(builder.with_kind(SpanKind::Producer), &parent);
    parent.with_span(span)
}

fn end(context: &Context, delivered: Option<(i32, i64)>) -> bool {
    let span = context.span();
    if let Some((partition, offset)) = delivered
        && span.is_recording()
    {
        span.set_attributes([
            KeyValue::new("messaging.destination.partition.id", partition.to_string()),
            KeyValue::new("kafka.offset", offset),
        ]);
    }
    span.end();
    delivered.is_some()
}

fn attributes(topic: impl Into<Value>) -> Vec<KeyValue> {
    vec![
        KeyValue::new("messaging.system.name", "kafka"),
        KeyValue::new("messaging.operation.name", "send"),
        KeyValue::new("messaging.operation.type", "send"),
        KeyValue::new("messaging.destination.name", topic),
        KeyValue::new("messaging.client.id", CLIENT_ID),
        KeyValue::new("server.address", "127.0.0.1"),
        KeyValue::new("server.port", 9092),
        KeyValue::new("kafka.message.key", KEY.to_owned()),
        KeyValue::new("kafka.cluster.id", "mock"),
    ]
}
