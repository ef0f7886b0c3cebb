//! Messages that are known by their numbers, and batches of them.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test panics where it fails"
)]

use integration::kafka::{PATIENCE, config};
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanContext;
use opentelemetry_sdk::trace::SpanData;
use otel_messaging::testing::ExpectedSpan;
use otel_messaging::{Batch, Telemetry, kafka};
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::KafkaResult;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::producer::FutureProducer;
use rdkafka::{Offset, TopicPartitionList};

use crate::wire::{named, order, receipt, texts};

pub(crate) const PARTITION: &str = "messaging.destination.partition.id";

/// The creation context of a message by its number.
pub(crate) fn creation(number: usize) -> SpanContext {
    named(&traceparent(number))
}

pub(crate) fn traceparent(number: usize) -> String {
    format!("00-{:032x}-{:016x}-01", number + 1, number + 1)
}

/// Sends messages of these numbers, in order, by a bare client.
pub(crate) async fn send(to: &[(&str, i32)], numbers: impl IntoIterator<Item = usize>) {
    let producer: FutureProducer = config().create().expect("a producer");
    let mut queued = Vec::new();
    for number in numbers {
        let (topic, partition) = to[number % to.len()];
        let record = order(topic, &texts(&[("traceparent", &traceparent(number))]));
        let record = producer.send_result(record.partition(partition));
        let record = record.map_err(|(error, _)| error);
        queued.push(record.expect("a place in the queue"));
    }
    for queued in queued {
        receipt(queued.await.expect("a report"));
    }
}

/// A consumer of these partitions from their beginnings, which has no group to join first.
pub(crate) fn assigned(
    telemetry: &Telemetry,
    group: &str,
    partitions: &[(&str, i32)],
) -> kafka::Consumer {
    let client: StreamConsumer = config()
        .set("group.id", group)
        .create()
        .expect("a consumer");
    let consumer = kafka::Consumer::wrap(telemetry, client);
    let mut assignment = TopicPartitionList::new();
    for (topic, partition) in partitions {
        assignment
            .add_partition_offset(topic, *partition, Offset::Offset(0))
            .expect("an offset");
    }
    consumer.assign(&assignment).expect("an assignment");
    consumer
}

pub(crate) async fn in_time<T>(received: impl Future<Output = KafkaResult<T>>) -> T {
    let received = tokio::time::timeout(PATIENCE, received).await;
    received.expect("a batch in time").expect("a batch")
}

pub(crate) fn offsets(batch: &Batch<BorrowedMessage<'_>>) -> Vec<i64> {
    batch.iter().map(|message| message.offset()).collect()
}

/// Adds the links to messages of these numbers.
pub(crate) fn linked(span: ExpectedSpan, numbers: impl IntoIterator<Item = usize>) -> ExpectedSpan {
    let mut numbers = numbers.into_iter();
    numbers
        .by_ref()
        .fold(span, |span, number| span.link(&creation(number)))
}

/// Asserts what each link says of its message alone.
pub(crate) fn assert_links(span: &SpanData, expected: &[Vec<KeyValue>]) {
    let links = span.links.iter().map(|link| &link.attributes);
    assert_eq!(
        links.collect::<Vec<_>>(),
        expected.iter().collect::<Vec<_>>()
    );
}

pub(crate) fn offset(offset: i64) -> KeyValue {
    KeyValue::new("kafka.offset", offset)
}
