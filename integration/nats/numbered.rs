//! Orders that are numbered, each from a trace of its own, and the spans of several of them.

use std::ops::Range;
use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::pull;
use integration::nats::header_map;
use integration::whole;
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use opentelemetry_sdk::trace::SpanData;
use otel_messaging::Batch;
use otel_messaging::testing::ExpectedSpan;

use crate::shop::{Orders, named};

/// Long enough for what is there, short enough for what is not.
pub(crate) const SOON: Duration = Duration::from_millis(300);

/// Verb, type and kind of the span of an operation.
type Operation = (&'static str, &'static str, SpanKind);

pub(crate) const NEXT: Operation = ("next", "receive", SpanKind::Client);
pub(crate) const PROCESS: Operation = ("process", "process", SpanKind::Consumer);

pub(crate) fn all(orders: &Orders) -> pull::Config {
    pull::Config {
        filter_subject: orders.subject("*"),
        ..pull::Config::default()
    }
}

/// What the message of this number carries.
pub(crate) fn origin(number: usize) -> String {
    format!("00-{:032x}-{:016x}-01", number + 1, number + 1)
}

pub(crate) async fn publish(orders: &Orders, numbers: Range<usize>) {
    for number in numbers {
        let headers = header_map(&[("traceparent", &origin(number))]);
        orders.publish(&number.to_string(), headers).await;
    }
}

pub(crate) fn sequences(batch: &Batch<Message>) -> Vec<u64> {
    let infos = batch.iter().map(|order| order.info());
    infos
        .map(|info| info.expect("a message of JetStream").stream_sequence)
        .collect()
}

/// The whole span of so many messages of the subjects that a name stands for.
pub(crate) fn batch_span(
    (verb, operation_type, kind): Operation,
    name: &str,
    messages: i64,
) -> ExpectedSpan {
    whole::span(format!("{verb} {name}"), kind)
        .attribute("messaging.system.name", "nats")
        .attribute("messaging.operation.name", verb)
        .attribute("messaging.operation.type", operation_type)
        .attribute("messaging.batch.message_count", messages)
}

/// The same of JetStream, where all have subjects of their own below one pattern.
pub(crate) fn of_pattern(operation: Operation, orders: &Orders, messages: i64) -> ExpectedSpan {
    batch_span(operation, &orders.subject("*"), messages)
        .attribute("messaging.destination.template", orders.subject("*"))
        .attribute("nats.stream.name", orders.name.clone())
}

/// Compares a span, its links to messages of these numbers, and what each has of its own.
pub(crate) fn assert_linked(
    expected: ExpectedSpan,
    orders: &Orders,
    numbers: Range<usize>,
    span: &SpanData,
) {
    let origins = numbers.clone().map(|number| named(&origin(number)));
    origins
        .fold(expected, |expected, origin| expected.link(&origin))
        .assert(span);
    let on_links = span.links.iter().map(|link| {
        let mut attributes = link.attributes.clone();
        attributes.sort_by(|one, other| one.key.cmp(&other.key));
        attributes
    });
    let own = numbers.map(|number| {
        let subject = orders.subject(&number.to_string());
        let sequence = i64::try_from(number + 1).expect("a small number");
        vec![
            KeyValue::new("messaging.destination.name", subject),
            KeyValue::new("nats.stream.sequence", sequence),
        ]
    });
    assert_eq!(on_links.collect::<Vec<_>>(), own.collect::<Vec<_>>());
}
