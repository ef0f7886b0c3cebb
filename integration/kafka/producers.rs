//! What spans say of the records that are sent, and what becomes of the records' contexts.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]
#![expect(clippy::result_large_err, reason = "the client's own result types")]

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::{join_all, poll_immediate};
use integration::kafka::{
    CLIENT_ID, PATIENCE, config, consumer_in, delivered, flush, informed_producer, next,
    processing_span, read, send_span, sending_span, servers, topic, wire_headers,
};
use integration::unique;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};
use otel_messaging::testing::{ExpectedSpan, Recorder};
use rdkafka::consumer::CommitMode;
use rdkafka::producer::{FutureRecord, Producer as _};

use crate::wire::{
    FRESH, STALE, STRAY, header, named, order, queued, receipt, texts, traceparent, upstream,
    within,
};

const KEY: &str = "kafka.message.key";
const PARTITION: &str = "messaging.destination.partition.id";
const TOMBSTONE: &str = "kafka.message.tombstone";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_context_that_the_user_chose_is_kept_as_it_is_and_linked() {
    let recorder = Recorder::new();
    let telemetry = recorder.telemetry().keep_existing_context(true);
    let producer = informed_producer(&telemetry, &config());
    let orders = topic("orders").await;
    let chosen = [
        (b"null".to_vec(), None),
        header("traceparent", FRESH),
        header("Tracestate", "vendor=1"),
        header("baggage", b"tenant=\xff"),
        header(b"\xff\xfe", "note"),
    ];
    let chosen_twice = texts(&[("TRACEPARENT", FRESH), ("TRACEPARENT", STRAY)]);
    let record = |headers| order(&orders, headers);
    let expected = |delivery| {
        delivered(sending_span(SpanKind::Client, &orders), delivery)
            .attribute(KEY, "order-7")
            .child_of(&named(STALE))
    };
    let name = format!("send {orders}");

    let delivery = receipt(within(&upstream(), || producer.send(record(&chosen), PATIENCE)).await);
    expected(&delivery)
        .link(&named(FRESH))
        .assert(&recorder.span(&name));

    recorder.clear();
    let queued = queued(within(&upstream(), || {
        producer.send_result(record(&chosen_twice))
    }));
    let delivery = receipt(queued.await.expect("a report"));
    expected(&delivery)
        .link(&named(STRAY))
        .link(&named(FRESH))
        .assert(&recorder.span(&name));

    let messages = read(&orders, 2).await;
    assert_eq!(
        messages.iter().map(wire_headers).collect::<Vec<_>>(),
        [&chosen[..], &chosen_twice]
    );
}

/// The client makes up numbers then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_no_broker_acknowledges_has_no_offset() {
    let recorder = Recorder::new();
    let mut config = config();
    config.set("acks", "0");
    let producer = informed_producer(&recorder.telemetry(), &config);
    let orders = topic("orders").await;

    let records = [1, 2].map(|_| order(&orders, &[]));
    let mut deliveries = producer.send_batch(records, PATIENCE).await;
    deliveries.push(producer.send(order(&orders, &[]), PATIENCE).await);

    let deliveries = deliveries.into_iter().map(receipt);
    let partitions: Vec<_> = deliveries.map(|delivery| delivery.partition).collect();
    assert_eq!(partitions, [0; 3]);
    let spans = recorder.spans();
    let offsets = spans.iter().flat_map(|span| &span.attributes);
    let offsets = offsets.filter(|attribute| attribute.key.as_str() == "kafka.offset");
    assert_eq!((spans.len(), offsets.count()), (4, 0), "{spans:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_without_a_context_to_keep_is_given_that_of_its_span() {
    let recorder = Recorder::new();
    let telemetry = recorder.telemetry().keep_existing_context(true);
    let producer = informed_producer(&telemetry, &config());
    let orders = topic("orders").await;
    let unusable = texts(&[("note", "1"), ("traceparent", "00-0-0-00")]);

    for headers in [&[][..], &unusable] {
        let record = order(&orders, headers);
        let delivery = receipt(within(&upstream(), || producer.send(record, PATIENCE)).await);

        let spans = recorder.spans();
        let send = spans.last().expect("a span");
        send_span(&orders, "order-7", &delivery)
            .child_of(&named(STALE))
            .assert(send);
    }

    let spans = recorder.spans();
    let mut contexts = spans.iter().map(|span| traceparent(&span.span_context));
    let mut written = || header("traceparent", contexts.next().expect("a span"));
    let messages = read(&orders, 2).await;
    assert_eq!(
        messages.iter().map(wire_headers).collect::<Vec<_>>(),
        [vec![written()], vec![header("note", "1"), written()]]
    );
}

/// Key and payload of a record, and what its spans say of them.
type Content = (Option<&'static [u8]>, Option<&'static [u8]>, Vec<KeyValue>);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_are_no_text_and_tombstones_are_told_as_the_conventions_have_it() {
    let recorder = Recorder::new();
    let producer = informed_producer(&recorder.telemetry(), &config());
    let (orders, group) = (topic("orders").await, unique("group"));
    let consumer = consumer_in(&group, &recorder.telemetry(), &orders);
    let text = |key: &'static str| KeyValue::new(KEY, key);
    let tombstone = KeyValue::new(TOMBSTONE, true);
    let contents: [Content; 6] = [
        (None, Some(b"two books"), vec![]),
        (None, None, vec![tombstone.clone()]),
        (Some(b"order-7"), None, vec![text("order-7"), tombstone]),
        (Some("größe".as_bytes()), Some(b""), vec![text("größe")]),
        (Some(&[0xff, 0xfe]), Some(b"two books"), vec![]),
        (Some(&[0, 0, 0, 7]), Some(b"two books"), vec![]),
    ];

    for (key, payload, attributes) in contents {
        recorder.clear();
        let mut record = FutureRecord::<[u8], [u8]>::to(&orders);
        (record.key, record.payload) = (key, payload);
        let delivery = receipt(producer.send(record, PATIENCE).await);
        let received = next(&consumer).await;
        received.process(async |_| ()).await;

        let with_attributes = |span: ExpectedSpan| {
            let add = |span: ExpectedSpan, added: &KeyValue| {
                span.attribute(added.key.clone(), added.value.clone())
            };
            attributes.iter().fold(span, add)
        };
        let send = recorder.span(&format!("send {orders}"));
        let sending = delivered(sending_span(SpanKind::Producer, &orders), &delivery);
        with_attributes(sending).assert(&send);
        with_attributes(processing_span(&received, &group))
            .child_of(&send.span_context)
            .link(&send.span_context)
            .assert(&recorder.span(&format!("process {orders}")));
    }
}

/// What a sampler was shown: name, kind, sorted attributes, linked spans.
type Shown = (String, SpanKind, Vec<String>, Vec<String>);

#[derive(Clone, Debug, Default)]
struct Witness(Arc<Mutex<Vec<Shown>>>);

impl ShouldSample for Witness {
    fn should_sample(
        &self,
        _: Option<&Context>,
        _: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let attributes = attributes.iter();
        let mut attributes: Vec<_> = attributes
            .map(|attribute| format!("{} = {}", attribute.key, attribute.value))
            .collect();
        attributes.sort();
        let links = links.iter().map(|link| traceparent(&link.span_context));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((
            name.to_owned(),
            kind.clone(),
            attributes,
            links.collect(),
        ));
        SamplingResult {
            decision: SamplingDecision::RecordAndSample,
            attributes: Vec::new(),
            trace_state: TraceState::NONE,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn samplers_see_all_that_is_known_before_the_operation() {
    let witness = Witness::default();
    let recorder = Recorder::with_sampler(witness.clone());
    let producer = informed_producer(&recorder.telemetry(), &config());
    let (orders, group) = (topic("orders").await, unique("group"));
    let consumer = consumer_in(&group, &recorder.telemetry(), &orders);
    let record = || order(&orders, &[]);

    let delivery = receipt(producer.send(record().partition(0), PATIENCE).await);
    let sent = recorder.span(&format!("send {orders}"));
    let received = next(&consumer).await;
    received.process(async |_| ()).await;
    consumer
        .commit_message(&received, CommitMode::Sync)
        .expect("a commit");
    receipt(producer.send(record(), PATIENCE).await);

    send_span(&orders, "order-7", &delivery).assert(&sent);
    let shown = |name: &str, kind: SpanKind, of_type: &str, more: &[String], links: &[&str]| {
        let mut attributes = vec![
            format!("messaging.client.id = {CLIENT_ID}"),
            format!("messaging.destination.name = {orders}"),
            format!("messaging.operation.name = {name}"),
            format!("messaging.operation.type = {of_type}"),
            "messaging.system.name = kafka".to_owned(),
        ];
        attributes.extend_from_slice(more);
        let servers = servers();
        if let (Some((address, port)), false) = (servers.rsplit_once(':'), servers.contains(',')) {
            attributes.push(format!("server.address = {address}"));
            attributes.push(format!("server.port = {port}"));
        }
        attributes.sort();
        let links = links.iter().map(|link| (*link).to_owned()).collect();
        (format!("{name} {orders}"), kind, attributes, links)
    };
    let creation = traceparent(&sent.span_context);
    let partition = format!("{PARTITION} = 0");
    let group = format!("messaging.consumer.group.name = {group}");
    let received = [partition.clone(), group];
    assert_eq!(
        *witness.0.lock().unwrap_or_else(PoisonError::into_inner),
        [
            shown("send", SpanKind::Producer, "send", &[partition], &[]),
            shown(
                "process",
                SpanKind::Consumer,
                "process",
                &received,
                &[&creation]
            ),
            shown(
                "commit",
                SpanKind::Client,
                "settle",
                &received,
                &[&creation]
            ),
            shown("send", SpanKind::Producer, "send", &[], &[]),
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_that_is_not_waited_for_ends_its_span_without_an_outcome() {
    let recorder = Recorder::new();
    // Nothing leaves the queue before it is flushed.
    let producer = informed_producer(&recorder.telemetry(), config().set("linger.ms", "60000"));
    let orders = topic("orders").await;
    let record = || order(&orders, &[]);
    let expected = sending_span(SpanKind::Producer, &orders).attribute(KEY, "order-7");
    let name = format!("send {orders}");

    let waiting = queued(within(&upstream(), || producer.send_result(record())));
    assert_eq!(recorder.spans().len(), 0);
    drop(waiting);
    let send_result = recorder.span(&name);
    recorder.clear();
    let sending = within(&upstream(), || producer.send(record(), PATIENCE));
    assert!(poll_immediate(sending).await.is_none());
    let send = recorder.span(&name);
    recorder.clear();
    drop(producer.send(record(), PATIENCE));
    assert_eq!(
        recorder.spans().len(),
        0,
        "what was never polled was never sent"
    );
    flush(producer.client());

    let expected = expected.child_of(&named(STALE));
    expected.assert(&send_result);
    expected.assert(&send);
    let messages = read(&orders, 2).await;
    let carried = [send_result, send].map(|span| traceparent(&span.span_context));
    let mut carried = carried.map(|carried| vec![header("traceparent", carried)]);
    // What is queued before the client knows the topic may be passed by what comes after.
    let mut on_wire: Vec<_> = messages.iter().map(wire_headers).collect();
    carried.sort();
    on_wire.sort();
    assert_eq!(on_wire, carried);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_belongs_to_where_it_is_first_polled_or_else_called() {
    let recorder = Recorder::new();
    let producer = informed_producer(&recorder.telemetry(), &config());
    let orders = topic("orders").await;
    let send = || producer.send(order(&orders, &[]), PATIENCE);
    let fresh = || Context::new().with_remote_span_context(named(FRESH));
    let name = format!("send {orders}");

    let delivery = receipt(send().with_context(upstream()).await);
    let polled = send_span(&orders, "order-7", &delivery).child_of(&named(STALE));
    polled.assert(&recorder.span(&name));

    recorder.clear();
    let delivery = receipt(within(&upstream(), send).with_context(fresh()).await);
    let polled_elsewhere = send_span(&orders, "order-7", &delivery).child_of(&named(FRESH));
    polled_elsewhere.assert(&recorder.span(&name));

    recorder.clear();
    let delivery = receipt(within(&upstream(), send).await);
    let called = send_span(&orders, "order-7", &delivery).child_of(&named(STALE));
    called.assert(&recorder.span(&name));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_records_in_flight_each_span_has_its_own_offset() {
    const RECORDS: usize = 100;
    let recorder = Recorder::new();
    let producer = informed_producer(&recorder.telemetry(), &config());
    let orders = topic("orders").await;

    let keys = Vec::from_iter((0..RECORDS).map(|number| number.to_string()));
    let in_flight = keys.iter().map(|key| {
        let record = FutureRecord::to(&orders).key(key).payload("two books");
        queued(within(&upstream(), || producer.send_result(record)))
    });
    let deliveries = join_all(in_flight).await;

    let spans = recorder.spans();
    assert_eq!(spans.len(), RECORDS);
    for (key, delivery) in keys.iter().zip(deliveries) {
        let delivery = receipt(delivery.expect("a report"));
        let of_key = KeyValue::new(KEY, key.clone());
        let span = spans.iter().find(|span| span.attributes.contains(&of_key));
        send_span(&orders, key, &delivery)
            .child_of(&named(STALE))
            .assert(span.expect("a span"));
    }
}
