//! Records that are sent under one call.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test panics where it fails"
)]

use integration::Header;
use integration::kafka::{
    PATIENCE, config, create_span, delivered, in_only_partition, informed_producer, measured,
    raw_headers, read, sent_batch, topic, wire_headers,
};
use integration::metrics::sent_messages;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanContext, SpanKind};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SpanData;
use otel_messaging::policy::{Policy, Record, Rule};
use otel_messaging::testing::{ExpectedSpan, Recorder};
use rdkafka::error::KafkaError;
use rdkafka::producer::FutureRecord;
use rdkafka::producer::future_producer::OwnedDeliveryResult;

use crate::wire::{FRESH, STALE, STRAY, header, named, texts, traceparent, upstream};

pub(crate) const KEY: &str = "order-7";

pub(crate) fn record<'a>(
    topic: &'a str,
    payload: &'a str,
    headers: &[Header],
) -> FutureRecord<'a, str, str> {
    let mut record = FutureRecord::to(topic).key(KEY).payload(payload);
    record.headers = raw_headers(headers);
    record
}

/// Offsets of records that were delivered, and errors of the others.
pub(crate) fn outcomes(results: &[OwnedDeliveryResult]) -> Vec<Result<i64, KafkaError>> {
    let outcome = |result: &OwnedDeliveryResult| match result {
        Ok(delivery) => Ok(delivery.offset),
        Err((error, _)) => Err(error.clone()),
    };
    results.iter().map(outcome).collect()
}

/// Those whose name begins so.
pub(crate) fn spans_of(recorder: &Recorder, operation: &str) -> Vec<SpanData> {
    let spans = recorder.spans().into_iter();
    spans
        .filter(|span| span.name.starts_with(operation))
        .collect()
}

pub(crate) fn linking<'a>(
    span: ExpectedSpan,
    spans: impl IntoIterator<Item = &'a SpanData>,
) -> ExpectedSpan {
    let spans = spans.into_iter();
    spans.fold(span, |span, linked| span.link(&linked.span_context))
}

fn written(context: &SpanContext) -> Vec<Header> {
    vec![header("traceparent", traceparent(context))]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_begins_when_it_is_polled() {
    let recorder = Recorder::new();
    let producer = informed_producer(&recorder.telemetry(), &config());
    let orders = topic("orders").await;

    drop(producer.send_batch([record(&orders, "two books", &[])], PATIENCE));
    assert_eq!(recorder.spans().len(), 0);
    let sending = producer.send_batch([record(&orders, "two books", &[])], PATIENCE);
    let results = sending.with_context(upstream()).await;

    assert_eq!(outcomes(&results), [Ok(0)], "the first of the topic");
    let create = recorder.span(&format!("create {orders}"));
    let delivery = results.first().and_then(|result| result.as_ref().ok());
    let delivery = delivery.expect("a delivery");
    delivered(create_span(&orders, KEY), delivery)
        .child_of(&named(STALE))
        .assert(&create);
    let send = sent_batch(SpanKind::Client, Some(&orders), 1).attribute("kafka.message.key", KEY);
    delivered(send, delivery)
        .child_of(&named(STALE))
        .link(&create.span_context)
        .assert(&recorder.span(&format!("send {orders}")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contexts_that_the_user_chose_are_kept_and_linked_beside_those_that_are_created() {
    let orders = topic("orders").await;
    let (chosen, other) = (
        texts(&[("traceparent", FRESH)]),
        texts(&[("traceparent", STRAY)]),
    );
    // Which records have a context, whether others are given a span, and the kind of the send span.
    let rows: [(&[&[Header]], bool, SpanKind); 3] = [
        (&[&chosen, &[], &other], true, SpanKind::Client),
        (&[&chosen, &[], &other], false, SpanKind::Producer),
        (&[&chosen, &other], false, SpanKind::Client),
    ];

    let mut read_before = 0;
    for (headers, creates, kind) in rows {
        let recorder = Recorder::new();
        let policy = Policy::new().rule(Rule::of("*").create_spans(creates));
        let telemetry = recorder
            .telemetry()
            .policy(policy)
            .keep_existing_context(true);
        let producer = informed_producer(&telemetry, &config());
        let records = headers
            .iter()
            .map(|headers| record(&orders, "two books", headers));
        let results = producer.send_batch(records, PATIENCE).await;

        assert!(results.iter().all(Result::is_ok), "{results:?}");
        let send = recorder.span(&format!("send {orders}"));
        let created = spans_of(&recorder, "create");
        assert_eq!(created.len(), usize::from(creates));
        let bare = created.first().map_or(&send, |created| created);
        let expected = in_only_partition(sent_batch(kind, Some(&orders), headers.len()))
            .attribute("kafka.message.key", KEY)
            .link(&named(FRESH));
        linking(expected, &created)
            .link(&named(STRAY))
            .assert(&send);
        let messages = read(&orders, read_before + headers.len()).await;
        let carried: Vec<_> = messages
            .iter()
            .skip(read_before)
            .map(wire_headers)
            .collect();
        let expected = headers.iter().map(|headers| match headers {
            [] => written(&bare.span_context),
            kept => kept.to_vec(),
        });
        assert_eq!(carried, expected.collect::<Vec<_>>());
        read_before += headers.len();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_record_of_several_topics_follows_the_rule_of_its_own() {
    let (orders, payments) = (topic("orders").await, topic("payments").await);
    // The batch as a whole follows the rules for any topic.
    for of_batch in [Record::Full, Record::Off] {
        let recorder = Recorder::new();
        let policy = Policy::new()
            .rule(Rule::of("*").record(of_batch))
            .rule(Rule::of("orders*").record(Record::Full))
            .rule(Rule::of("payments*").record(Record::Off));
        let producer = informed_producer(&recorder.telemetry().policy(policy), &config());

        let records = [&orders, &payments].map(|topic| record(topic, "two books", &[]));
        let results = producer.send_batch(records, PATIENCE).await;

        assert!(results.iter().all(Result::is_ok), "{results:?}");
        let create = recorder.span(&format!("create {orders}"));
        in_only_partition(create_span(&orders, KEY))
            .any("kafka.offset")
            .assert(&create);
        let sends = spans_of(&recorder, "send");
        assert_eq!(sends.len(), usize::from(of_batch == Record::Full));
        for send in sends {
            let expected = sent_batch(SpanKind::Client, None, 2);
            expected.link(&create.span_context).assert(&send);
            let on_link = [
                KeyValue::new("kafka.message.key", KEY),
                KeyValue::new("messaging.destination.name", orders.clone()),
            ];
            assert_eq!(send.links[0].attributes, on_link);
        }
        let last = async |topic| {
            read(topic, 1)
                .await
                .pop()
                .map(|message| wire_headers(&message))
        };
        if of_batch == Record::Full {
            assert_eq!(last(&orders).await, Some(written(&create.span_context)));
            assert_eq!(last(&payments).await, Some(Vec::new()));
        }
        sent_messages()
            .of(measured("send", &orders, None), 1)
            .assert(&recorder);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suppressed_telemetry_and_an_empty_batch_leave_nothing() {
    let recorder = Recorder::new();
    let producer = informed_producer(&recorder.telemetry(), &config());
    let orders = topic("orders").await;
    let kept = texts(&[("traceparent", FRESH)]);

    let nothing = producer.send_batch::<str, str, _>([], PATIENCE).await;
    let suppressed = Context::new().with_telemetry_suppressed();
    let records = [record(&orders, "two books", &kept)];
    let results = producer
        .send_batch(records, PATIENCE)
        .with_context(suppressed)
        .await;

    assert_eq!((nothing.len(), outcomes(&results)), (0, vec![Ok(0)]));
    assert_eq!(recorder.spans().len(), 0);
    assert_eq!(recorder.counter("messaging.client.sent.messages"), []);
    let messages = read(&orders, 1).await;
    assert_eq!(
        messages.iter().map(wire_headers).collect::<Vec<_>>(),
        [kept]
    );
}
