//! The partition of operations on many messages.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test panics where it fails"
)]

use std::sync::{Arc, Mutex, PoisonError};

use integration::kafka::{
    PATIENCE, commit_span, config, in_only_partition, informed_producer, polled_batch,
    processed_batch, sent_batch, topic_of,
};
use integration::unique;
use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};
use otel_messaging::testing::{ExpectedSpan, Recorder};
use rdkafka::consumer::{CommitMode, Consumer as _};

use crate::batch_sends::{KEY, record, spans_of};
use crate::numbered::{PARTITION, assigned, in_time, linked, send};
use crate::wire::{STALE, named, within};

/// Name of a span, and the partition that a sampler was shown of it.
type Shown = (String, Option<String>);

#[derive(Clone, Debug, Default)]
struct Witness(Arc<Mutex<Vec<Shown>>>);

impl Witness {
    /// That of the span of this name.
    fn shown(&self, name: &str) -> Option<String> {
        let shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, partition) = shown.iter().find(|(shown, _)| shown == name)?;
        partition.clone()
    }
}

impl ShouldSample for Witness {
    fn should_sample(
        &self,
        _: Option<&Context>,
        _: TraceId,
        name: &str,
        _: &SpanKind,
        attributes: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        let mut attributes = attributes.iter();
        let partition = attributes.find(|one| one.key.as_str() == PARTITION);
        let partition = partition.map(|one| one.value.to_string());
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shown.push((name.to_owned(), partition));
        SamplingResult {
            decision: SamplingDecision::RecordAndSample,
            attributes: Vec::new(),
            trace_state: TraceState::NONE,
        }
    }
}

/// Places of two messages, and the topic and partition that they have in common.
type Row<'a> = ([(&'a str, i32); 2], Option<&'a str>, Option<i32>);

fn rows<'a>(orders: &'a str, payments: &'a str) -> [Row<'a>; 3] {
    [
        ([(orders, 1), (orders, 1)], Some(orders), Some(1)),
        ([(orders, 0), (orders, 1)], Some(orders), None),
        ([(orders, 1), (payments, 1)], None, None),
    ]
}

fn in_partition(span: ExpectedSpan, partition: Option<i32>) -> ExpectedSpan {
    match partition {
        Some(partition) => span.attribute(PARTITION, partition.to_string()),
        None => span,
    }
}

fn named_by(verb: &str, topic: Option<&str>) -> String {
    topic.map_or_else(|| verb.to_owned(), |topic| format!("{verb} {topic}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sent_batch_has_a_partition_from_its_start_if_all_records_were_given_the_same() {
    let (orders, payments) = (topic_of("orders", 2).await, topic_of("payments", 2).await);
    for (places, topic, partition) in rows(&orders, &payments) {
        let witness = Witness::default();
        let recorder = Recorder::with_sampler(witness.clone());
        let producer = informed_producer(&recorder.telemetry(), &config());

        let records =
            places.map(|(topic, partition)| record(topic, "two books", &[]).partition(partition));
        let results = producer.send_batch(records, PATIENCE).await;

        assert!(results.iter().all(Result::is_ok), "{results:?}");
        let name = named_by("send", topic);
        assert_eq!(witness.shown(&name), partition.map(|one| one.to_string()));
        let creates = spans_of(&recorder, "create");
        let expected = sent_batch(SpanKind::Client, topic, 2).attribute("kafka.message.key", KEY);
        let creates = creates.iter().map(|create| &create.span_context);
        creates
            .fold(in_partition(expected, partition), ExpectedSpan::link)
            .assert(&recorder.span(&name));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_the_broker_chose_is_that_of_the_batch_once_all_are_delivered() {
    let witness = Witness::default();
    let recorder = Recorder::with_sampler(witness.clone());
    let producer = informed_producer(&recorder.telemetry(), &config());
    let orders = topic_of("orders", 1).await;

    let records = ["two books", "a lamp"].map(|payload| record(&orders, payload, &[]));
    let results = producer.send_batch(records, PATIENCE).await;

    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let name = format!("send {orders}");
    assert_eq!(witness.shown(&name), None);
    let expected = sent_batch(SpanKind::Client, Some(&orders), 2);
    let expected = in_only_partition(expected).attribute("kafka.message.key", KEY);
    let creates = spans_of(&recorder, "create");
    let creates = creates.iter().map(|create| &create.span_context);
    creates
        .fold(expected, ExpectedSpan::link)
        .assert(&recorder.span(&name));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_received_batch_has_a_partition_from_its_start_if_all_messages_are_from_one() {
    for row in 0..3 {
        let (orders, payments) = (topic_of("orders", 2).await, topic_of("payments", 2).await);
        let (places, topic, partition) = rows(&orders, &payments)[row];
        let witness = Witness::default();
        let recorder = Recorder::with_sampler(witness.clone());
        let group = unique("group");
        send(&places, 0..2).await;
        let partitions = match partition {
            Some(_) => &places[..1],
            None => &places,
        };
        let consumer = assigned(&recorder.telemetry(), &group, partitions);

        let batch = in_time(consumer.batches(2, PATIENCE).recv()).await;
        batch.process(async |_| ()).await;
        let offsets = batch.offsets().expect("offsets");
        let around = Context::new().with_remote_span_context(named(STALE));
        within(&around, || consumer.commit(&offsets, CommitMode::Sync)).expect("a commit");

        let expected = [
            polled_batch(topic, &group, 2),
            processed_batch(topic, &group, 2),
        ];
        let order = batch.iter().map(|message| {
            let context = message.creation_context().span().span_context().clone();
            usize::try_from(u128::from_be_bytes(context.trace_id().to_bytes())).map(|one| one - 1)
        });
        let order: Vec<_> = order
            .map(|number| number.expect("a small number"))
            .collect();
        for (verb, expected) in ["poll", "process"].into_iter().zip(expected) {
            let name = named_by(verb, topic);
            assert_eq!(witness.shown(&name), partition.map(|one| one.to_string()));
            let expected = expected
                .any("kafka.cluster.id")
                .attribute("kafka.message.key", KEY);
            linked(in_partition(expected, partition), order.clone()).assert(&recorder.span(&name));
        }
        let name = named_by("commit", topic);
        assert_eq!(witness.shown(&name), partition.map(|one| one.to_string()));
        in_partition(commit_span(topic, &group), partition)
            .child_of(&named(STALE))
            .assert(&recorder.span(&name));
    }
}
