//! A received message, from its headers to the end of its process span; the handler does nothing.

use crate::harness::{Report, Run, Way, each};
use crate::sample::{self, Broker, CLIENT_ID, GROUP, KEY, TOPIC, ready};
use crate::{by_hand, stock};
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{
    Link, SpanBuilder, SpanKind, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::trace::SdkTracerProvider;
use otel_messaging::Received;
use otel_messaging::Telemetry;
use otel_messaging::kafka::MessageHeaders as _;
use otel_messaging::policy::Record;
use rdkafka::Message as _;
use rdkafka::message::{OwnedHeaders, OwnedMessage};

pub(crate) fn measure(report: &Report, broker: &Broker) {
    for (name, provider) in [
        ("process: recorded", sample::recording()),
        ("process: not sampled", sample::unsampled()),
    ] {
        let telemetry = Telemetry::new().tracer_provider(provider.clone());
        let message = broker.received(&telemetry, Some(KEY), traced());
        report.row(
            name,
            [
                (Way::Ours, ours(&message)),
                (Way::Stock, with_stock(&message, &provider)),
                (Way::ByHand, by_hand(&message, &provider)),
            ],
        );
    }
    let headers = by_hand::inject(&sample::unsampled_trace(), sample::other_headers(2));
    let message = broker.received(&sample::following_parents(), Some(KEY), headers);
    let ways = [(Way::Ours, ours(&message)), (Way::Bare, bare(&message))];
    report.row("process: known not to be sampled", ways);
    for (name, record) in [
        ("process: propagation alone", Record::PropagateOnly),
        ("process: off", Record::Off),
    ] {
        let message = broker.received(&sample::recorded_as(record), Some(KEY), traced());
        let ways = [(Way::Ours, ours(&message)), (Way::Bare, bare(&message))];
        report.row(name, ways);
    }
}

fn traced() -> OwnedHeaders {
    by_hand::inject(&sample::trace(), sample::other_headers(2))
}

fn ours(message: &Received<OwnedMessage>) -> Run<'_> {
    each(move || ready(message.process(|message| handled(message))))
}

/// The handler alone.
fn bare(message: &OwnedMessage) -> Run<'_> {
    each(move || ready(handled(message)))
}

async fn handled(_: &OwnedMessage) {}

/// The same span with the stock propagator, as one writes it who does not know the topic.
fn with_stock<'a>(message: &'a OwnedMessage, provider: &SdkTracerProvider) -> Run<'a> {
    let propagator = stock::trace_and_baggage();
    let tracer = provider.tracer("by hand");
    each(move || {
        let received = message
            .borrowed_headers()
            .map_or_else(Context::new, |headers| stock::extract(&propagator, headers));
        let topic = message.topic();
        let builder = SpanBuilder::from_name(format!("process {topic}"));
        let builder = builder.with_attributes(attributes(message, topic.to_owned()));
        process(&tracer, builder, received);
    })
}

/// The same span, with all that is known before written down.
fn by_hand<'a>(message: &'a OwnedMessage, provider: &SdkTracerProvider) -> Run<'a> {
    let tracer = provider.tracer("by hand");
    each(move || {
        let received = message
            .borrowed_headers()
            .map_or_else(Context::new, by_hand::extract);
        let builder = SpanBuilder::from_name("process orders");
        let builder = builder.with_attributes(attributes(message, TOPIC));
        process(&tracer, builder, received);
    })
}

fn process(tracer: &opentelemetry_sdk::trace::SdkTracer, builder: SpanBuilder, received: Context) {
    let link = Link::with_context(received.span().span_context().clone());
    let builder = builder.with_kind(SpanKind::Consumer).with_links(vec![link]);
    let span = tracer.build_with_context(builder, &received);
    let context = received.with_span(span);
    ready(async {}.with_context(context.clone()));
    context.span().end();
}

fn attributes(message: &OwnedMessage, topic: impl Into<Value>) -> Vec<KeyValue> {
    let key = message.key().and_then(|key| str::from_utf8(key).ok());
    let mut attributes = vec![
        KeyValue::new("messaging.system.name", "kafka"),
        KeyValue::new("messaging.operation.name", "process"),
        KeyValue::new("messaging.operation.type", "process"),
        KeyValue::new("messaging.destination.name", topic),
        KeyValue::new(
            "messaging.destination.partition.id",
            message.partition().to_string(),
        ),
        KeyValue::new("messaging.consumer.group.name", GROUP),
        KeyValue::new("messaging.client.id", CLIENT_ID),
        KeyValue::new("server.address", "127.0.0.1"),
        KeyValue::new("server.port", 9092),
        KeyValue::new("kafka.offset", message.offset()),
        KeyValue::new("kafka.cluster.id", "mock"),
    ];
    attributes.extend(key.map(|key| KeyValue::new("kafka.message.key", key.to_owned())));
    attributes
}
