//! A received message, from its headers to the end of its process span; the handler does nothing.

use crate::harness::{Report, Run, Way, each};
use crate::sample::{self, Broker, CLIENT_ID, GROUP, KEY, TOPIC, ready};
use crate::{by_hand, header_map, stock, table};
use lapin::BasicProperties;
use lapin::message::Delivery;
use opentelemetry::context::FutureExt as _;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{
    Link, SpanBuilder, SpanKind, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use otel_messaging::kafka::MessageHeaders as _;
use otel_messaging::policy::Record;
use otel_messaging::{Message, Received, Telemetry, amqp, nats};
use rdkafka::Message as _;
use rdkafka::message::OwnedMessage;

pub(crate) fn measure(report: &Report, broker: &Broker) {
    rows(report, "process", |telemetry, context| {
        let headers = by_hand::inject(context, sample::other_headers(2));
        broker.received(telemetry, Some(KEY), headers)
    });
    rows(report, "nats process", |telemetry, context| {
        let consumer = broker.nats_consumer(telemetry);
        let headers = header_map::inject_by_hand(context, header_map::others(2));
        consumer.deliver(nats::TestMessage::of(TOPIC).headers(headers))
    });
    rows(report, "amqp process", |telemetry, context| {
        let connection = amqp::ConnectionInfo::new().server("127.0.0.1", 5672);
        let consumer = amqp::TestConsumer::new(telemetry, &connection, TOPIC);
        let headers = table::inject_by_hand(context, table::other_headers(2));
        let properties = BasicProperties::default().with_headers(headers);
        consumer.deliver(amqp::TestMessage::of(TOPIC).properties(properties))
    });
}

/// A message in each of the ways in which it can be recorded.
fn rows<M: Handled>(
    report: &Report,
    name: &str,
    received: impl Fn(&Telemetry, &Context) -> Received<M>,
) {
    for (how, provider) in [
        ("recorded", sample::recording()),
        ("not sampled", sample::unsampled()),
    ] {
        let telemetry = Telemetry::new().tracer_provider(provider.clone());
        let message = received(&telemetry, &sample::trace());
        report.row(
            &format!("{name}: {how}"),
            [
                (Way::Ours, ours(&message)),
                (Way::Stock, with_stock(&*message, &provider)),
                (Way::ByHand, with_hand(&*message, &provider)),
            ],
        );
    }
    for (how, telemetry, context) in [
        (
            "known not to be sampled",
            sample::following_parents(),
            sample::unsampled_trace(),
        ),
        (
            "propagation alone",
            sample::recorded_as(Record::PropagateOnly),
            sample::trace(),
        ),
        ("off", sample::recorded_as(Record::Off), sample::trace()),
    ] {
        let message = received(&telemetry, &context);
        let ways = [(Way::Ours, ours(&message)), (Way::Bare, bare(&*message))];
        report.row(&format!("{name}: {how}"), ways);
    }
}

/// A client's message, as one handles it who does without this crate.
trait Handled: Message {
    fn name(&self) -> &str;
    fn extract_by_hand(&self) -> Context;
    fn extract_with_stock(&self, propagator: &dyn TextMapPropagator) -> Context;
    fn known(&self, destination: Value) -> Vec<KeyValue>;
}

impl Handled for OwnedMessage {
    fn name(&self) -> &str {
        self.topic()
    }

    fn extract_by_hand(&self) -> Context {
        self.borrowed_headers()
            .map_or_else(Context::new, by_hand::extract)
    }

    fn extract_with_stock(&self, propagator: &dyn TextMapPropagator) -> Context {
        self.borrowed_headers()
            .map_or_else(Context::new, |headers| stock::extract(propagator, headers))
    }

    fn known(&self, destination: Value) -> Vec<KeyValue> {
        let key = self.key().and_then(|key| str::from_utf8(key).ok());
        let mut attributes = attributes("kafka", destination, 9092);
        attributes.extend([
            KeyValue::new("messaging.client.id", CLIENT_ID),
            KeyValue::new("messaging.consumer.group.name", GROUP),
            KeyValue::new(
                "messaging.destination.partition.id",
                self.partition().to_string(),
            ),
            KeyValue::new("kafka.offset", self.offset()),
            KeyValue::new("kafka.cluster.id", "mock"),
        ]);
        attributes.extend(key.map(|key| KeyValue::new("kafka.message.key", key.to_owned())));
        attributes
    }
}

impl Handled for async_nats::Message {
    fn name(&self) -> &str {
        &self.subject
    }

    fn extract_by_hand(&self) -> Context {
        let headers = self.headers.as_ref();
        headers.map_or_else(Context::new, header_map::extract_by_hand)
    }

    fn extract_with_stock(&self, propagator: &dyn TextMapPropagator) -> Context {
        let headers = self.headers.as_ref();
        headers.map_or_else(Context::new, |headers| {
            header_map::extract(propagator, headers)
        })
    }

    fn known(&self, destination: Value) -> Vec<KeyValue> {
        let mut attributes = attributes("nats", destination, 4222);
        attributes.push(KeyValue::new("messaging.client.id", CLIENT_ID));
        attributes
    }
}

impl Handled for Delivery {
    fn name(&self) -> &str {
        self.routing_key.as_str()
    }

    fn extract_by_hand(&self) -> Context {
        let headers = self.properties.headers().as_ref();
        headers.map_or_else(Context::new, table::extract_by_hand)
    }

    fn extract_with_stock(&self, propagator: &dyn TextMapPropagator) -> Context {
        let headers = self.properties.headers().as_ref();
        headers.map_or_else(Context::new, |headers| table::extract(propagator, headers))
    }

    fn known(&self, destination: Value) -> Vec<KeyValue> {
        let mut attributes = attributes("rabbitmq", destination, 5672);
        let tag = i64::try_from(self.delivery_tag).unwrap_or(i64::MAX);
        attributes.push(KeyValue::new("rabbitmq.message.delivery_tag", tag));
        attributes
    }
}

fn attributes(system: &'static str, destination: Value, port: i64) -> Vec<KeyValue> {
    let mut attributes = Vec::with_capacity(12);
    attributes.extend([
        KeyValue::new("messaging.system.name", system),
        KeyValue::new("messaging.operation.name", "process"),
        KeyValue::new("messaging.operation.type", "process"),
        KeyValue::new("messaging.destination.name", destination),
        KeyValue::new("server.address", "127.0.0.1"),
        KeyValue::new("server.port", port),
    ]);
    attributes
}

fn ours<M: Message>(message: &Received<M>) -> Run<'_> {
    each(move || ready(message.process(handled)))
}

/// The handler alone.
fn bare<M>(message: &M) -> Run<'_> {
    each(move || ready(handled(message)))
}

async fn handled<M>(_: &M) {}

/// The same span with the stock propagator, as one writes it who does not know the destination.
fn with_stock<'a, M: Handled>(message: &'a M, provider: &SdkTracerProvider) -> Run<'a> {
    let propagator = stock::trace_and_baggage();
    let tracer = provider.tracer("by hand");
    each(move || {
        let received = message.extract_with_stock(&propagator);
        let destination = message.name();
        let builder = SpanBuilder::from_name(format!("process {destination}"));
        let attributes = message.known(destination.to_owned().into());
        process(&tracer, builder.with_attributes(attributes), received);
    })
}

/// The same span, with all that is known before written down.
fn with_hand<'a, M: Handled>(message: &'a M, provider: &SdkTracerProvider) -> Run<'a> {
    let tracer = provider.tracer("by hand");
    each(move || {
        let received = message.extract_by_hand();
        let builder = SpanBuilder::from_name("process orders");
        let builder = builder.with_attributes(message.known(TOPIC.into()));
        process(&tracer, builder, received);
    })
}

fn process(tracer: &SdkTracer, builder: SpanBuilder, received: Context) {
    let link = Link::with_context(received.span().span_context().clone());
    let builder = builder.with_kind(SpanKind::Consumer).with_links(vec![link]);
    let span = tracer.build_with_context(builder, &received);
    let context = received.with_span(span);
    ready(async {}.with_context(context.clone()));
    context.span().end();
}
