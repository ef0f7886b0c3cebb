//! Headers and contexts as these tests write and read them.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use integration::Header;
use integration::kafka::{PATIENCE, config, raw_headers};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Context, KeyValue};
use otel_messaging::kafka;
use otel_messaging::testing::Recorder;
use rdkafka::error::KafkaError;
use rdkafka::producer::future_producer::{Delivery, OwnedDeliveryResult};
use rdkafka::producer::{FutureProducer, FutureRecord};

pub(crate) const FRESH: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
pub(crate) const STALE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
pub(crate) const STRAY: &str = "00-3fa94be1ce929d0e0e473600f067aa0b-53995c3f42cd8ad8-01";

pub(crate) fn header(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Header {
    (name.as_ref().to_vec(), Some(value.as_ref().to_vec()))
}

pub(crate) fn texts(headers: &[(&str, &str)]) -> Vec<Header> {
    let headers = headers.iter();
    headers.map(|(name, value)| header(name, value)).collect()
}

/// The context that a sampled traceparent names.
pub(crate) fn named(traceparent: &str) -> SpanContext {
    let mut fields = traceparent.split('-').skip(1);
    let mut field = || fields.next().expect("a field");
    SpanContext::new(
        TraceId::from_hex(field()).expect("a trace id"),
        SpanId::from_hex(field()).expect("a span id"),
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    )
}

pub(crate) fn traceparent(context: &SpanContext) -> String {
    format!("00-{}-{}-01", context.trace_id(), context.span_id())
}

pub(crate) fn baggage(context: &Context) -> Vec<(String, String)> {
    let members = context.baggage().iter();
    let mut members: Vec<_> = members
        .map(|(key, (value, _))| (key.to_string(), value.to_string()))
        .collect();
    members.sort();
    members
}

/// A record of this suite's key and payload.
pub(crate) fn order<'a>(topic: &'a str, headers: &[Header]) -> FutureRecord<'a, str, str> {
    let mut record = FutureRecord::to(topic).key("order-7").payload("two books");
    record.headers = raw_headers(headers);
    record
}

/// Sends by a bare client.
pub(crate) async fn send_raw(topic: &str, headers: &[Header]) {
    let producer: FutureProducer = config().create().expect("a producer");
    receipt(producer.send(order(topic, headers), PATIENCE).await);
}

/// Of a record that was delivered.
pub(crate) fn receipt(report: OwnedDeliveryResult) -> Delivery {
    report.map_err(|(error, _)| error).expect("a delivery")
}

/// Of a record that was not refused at once.
pub(crate) fn queued<R>(
    result: Result<kafka::DeliveryFuture, (KafkaError, R)>,
) -> kafka::DeliveryFuture {
    result
        .map_err(|(error, _)| error)
        .expect("a place in the queue")
}

/// The context of a service before ours: that of `STALE`.
pub(crate) fn upstream() -> Context {
    Context::new().with_remote_span_context(named(STALE))
}

/// Calls with this context current; what the call returns is awaited without it.
pub(crate) fn within<T>(context: &Context, call: impl FnOnce() -> T) -> T {
    let _current = context.clone().attach();
    call()
}

/// What was wrong with contexts: destination, problem and how often.
pub(crate) fn problems(recorder: &Recorder) -> Vec<(String, String, u64)> {
    let value = |attributes: &[KeyValue], key: &str| {
        let mut found = attributes
            .iter()
            .filter(|attribute| attribute.key.as_str() == key);
        found
            .next()
            .map_or_else(String::new, |found| found.value.to_string())
    };
    let counted = recorder.counter("otel_messaging.context.problems");
    let mut counted: Vec<_> = counted
        .into_iter()
        .map(|(attributes, count)| {
            let destination = value(&attributes, "messaging.destination.name");
            let problem = value(&attributes, "otel_messaging.context.problem");
            (destination, problem, count)
        })
        .collect();
    counted.sort();
    counted
}
