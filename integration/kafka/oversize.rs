//! Messages that leave little room for a context, or none.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]
#![expect(clippy::result_large_err, reason = "the client's own result types")]

use std::env;

use integration::kafka::{
    PATIENCE, admin, config, informed_producer, raw_headers, read, send_span, sending_span, topic,
    wire_headers,
};
use integration::{Header, unique};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{SpanContext, SpanKind, TraceContextExt as _, TraceState};
use opentelemetry::{Context, KeyValue};
use otel_messaging::kafka;
use otel_messaging::policy::{Policy, Rule};
use otel_messaging::testing::Recorder;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::producer::{
    BaseRecord, DefaultProducerContext, FutureProducer, FutureRecord, Producer as _,
    ThreadedProducer,
};

use crate::wire::{STALE, header, named, problems, receipt, traceparent, within};

const MAX_BYTES: usize = 2000;
/// What a batch has beside its records, for which there has to be room before a context is added.
const OF_BATCH: usize = 61;
const TOO_LARGE: KafkaError = KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge);

/// What the record has of its own.
fn note() -> [Header; 2] {
    [
        header(b"\xff\xfenote", b"\xff\xfe"),
        (b"null".to_vec(), None),
    ]
}

fn record<'a>(
    topic: &'a str,
    payload: &'a [u8],
    headers: &[Header],
) -> FutureRecord<'a, str, [u8]> {
    let mut record = FutureRecord::to(topic).key("order-7").payload(payload);
    record.headers = raw_headers(headers);
    record
}

/// Size of the largest payload that a bare client takes with these headers.
fn largest(client: &FutureProducer, topic: &str, headers: &[Header]) -> usize {
    let sizes = Vec::from_iter(0..MAX_BYTES);
    let too_large = sizes.partition_point(|size| {
        let payload = vec![0; *size];
        let queued = client.send_result(record(topic, &payload, headers));
        let error = queued.err().map(|(error, _)| error);
        assert!(error.as_ref().is_none_or(|error| *error == TOO_LARGE));
        error.is_none()
    });
    too_large - 1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_make_a_message_too_large_is_left_out_and_counted() {
    let recorder = Recorder::new();
    let mut config: ClientConfig = config();
    config.set("message.max.bytes", MAX_BYTES.to_string());
    let bare: FutureProducer = config.create().expect("a producer");
    let producer = informed_producer(&recorder.telemetry(), &config);
    config.set("message.max.bytes", (MAX_BYTES - OF_BATCH).to_string());
    let with_room: FutureProducer = config.create().expect("a producer");
    let (orders, scratch) = (topic("orders").await, topic("scratch").await);
    let name = format!("send {orders}");
    let (vendor, tenant) = ("v".repeat(100), "t".repeat(300));
    let stale = named(STALE);
    let upstream = Context::new()
        .with_remote_span_context(SpanContext::new(
            stale.trace_id(),
            stale.span_id(),
            stale.trace_flags(),
            true,
            TraceState::from_key_value([("vendor", &vendor)]).expect("a tracestate"),
        ))
        .with_baggage([KeyValue::new("tenant", tenant.clone())]);
    let headers = |traceparent: &str, kept: usize| {
        let own = [
            header("traceparent", traceparent),
            header("tracestate", format!("vendor={vendor}")),
            header("baggage", format!("tenant={tenant}")),
        ];
        note()
            .into_iter()
            .chain(own.into_iter().take(kept))
            .collect::<Vec<_>>()
    };

    let mut smallest = 0;
    let mut expected = Vec::new();
    for kept in [3, 2, 1, 0] {
        let client = if kept == 0 { &bare } else { &with_room };
        let largest = largest(client, &scratch, &headers(STALE, kept));
        for size in [smallest, largest] {
            recorder.clear();
            let payload = vec![0; size];
            let record = record(&orders, &payload, &note());
            let delivery = receipt(within(&upstream, || producer.send(record, PATIENCE)).await);

            let send = recorder.span(&name);
            send_span(&orders, "order-7", &delivery)
                .child_of(&stale)
                .assert(&send);
            expected.push(headers(&traceparent(&send.span_context), kept));
        }
        smallest = largest + 1;
    }

    let messages = read(&orders, expected.len()).await;
    assert_eq!(
        messages.iter().map(wire_headers).collect::<Vec<_>>(),
        expected
    );
    let counted = |problem: &str| (orders.clone(), problem.to_owned(), 2);
    assert_eq!(
        problems(&recorder),
        [
            "baggage_left_out",
            "context_left_out",
            "tracestate_left_out"
        ]
        .map(counted)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_too_large_by_itself_fails_as_without_us() {
    let recorder = Recorder::new();
    let mut config: ClientConfig = config();
    config.set("message.max.bytes", MAX_BYTES.to_string());
    let bare: FutureProducer = config.create().expect("a producer");
    let producer = informed_producer(&recorder.telemetry(), &config);
    let (orders, scratch) = (topic("orders").await, topic("scratch").await);
    let payload = vec![0; largest(&bare, &scratch, &note()) + 1];
    let upstream = Context::new().with_remote_span_context(named(STALE));
    let refused = || record(&orders, &payload, &note());

    let (expected, of_bare) = bare.send(refused(), PATIENCE).await.expect_err("too large");
    let sending = within(&upstream, || producer.send(refused(), PATIENCE));
    let (error, message) = sending.await.expect_err("too large");
    let sent = recorder.span(&format!("send {orders}"));
    recorder.clear();
    let (queue_error, returned) =
        within(&upstream, || producer.send_result(refused())).expect_err("too large");
    let queued = recorder.span(&format!("send {orders}"));

    assert_eq!([&error, &queue_error], [&expected; 2]);
    assert_eq!(error, TOO_LARGE);
    for span in [&sent, &queued] {
        sending_span(SpanKind::Producer, &orders)
            .attribute("kafka.message.key", "order-7")
            .child_of(&named(STALE))
            .error("MESSAGE_TOO_LARGE")
            .assert(span);
    }
    assert_eq!(message.payload(), Some(&*payload));
    assert_eq!(returned.payload, Some(&*payload));
    let headers = message.clone().replace_headers(returned.headers);
    for returned in [&of_bare, &message, &headers] {
        assert_eq!(wire_headers(returned), note());
    }
}

/// Bytes of a batch that the topic of [`limited`] takes.
const TOPIC_LIMIT: usize = 2048;

/// Makes a topic with a limit of its own. `None` without a real broker: the embedded one has no such
/// thing.
async fn limited() -> Option<String> {
    env::var_os("KAFKA_BROKERS")?;
    let name = unique("orders");
    let limit = TOPIC_LIMIT.to_string();
    let topic =
        NewTopic::new(&name, 1, TopicReplication::Fixed(1)).set("max.message.bytes", &limit);
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    let made = admin().create_topics([&topic], &options).await;
    assert_eq!(made.expect("the broker answers"), [Ok(name.clone())]);
    Some(name)
}

/// Each record travels in a batch of its own.
fn one_by_one() -> ClientConfig {
    let mut config = config();
    config.set("batch.num.messages", "1");
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_for_a_topics_limit_that_the_client_does_not_know_is_counted() {
    let Some(orders) = limited().await else {
        return;
    };
    let recorder = Recorder::new();
    let producer = informed_producer(&recorder.telemetry(), &one_by_one());
    let upstream = Context::new().with_remote_span_context(named(STALE));
    let (large, small) = (vec![0; 1950], vec![0; 9]);
    let record = |payload| record(&orders, payload, &[]);

    receipt(producer.inner().send(record(&large), PATIENCE).await);
    let sending = within(&upstream, || producer.send(record(&large), PATIENCE));
    let (error, _) = sending.await.expect_err("too large");
    let sent = recorder.span(&format!("send {orders}"));
    let queued = within(&upstream, || producer.send_result(record(&large)));
    let queued = queued.map_err(|(error, _)| error).expect("room");
    let (queued_error, _) = queued.await.expect("a report").expect_err("too large");
    let records = [record(&small), record(&large)];
    let results = producer.send_batch(records, PATIENCE).await;
    let context = kafka::Traced::new(DefaultProducerContext);
    let threaded: ThreadedProducer<_> = one_by_one()
        .create_with_context(context)
        .expect("a producer");
    let threaded = kafka::Producer::wrap(&recorder.telemetry(), threaded);
    let calling = BaseRecord::<str, [u8]>::to(&orders).payload(&large);
    within(&upstream, || threaded.send(calling))
        .map_err(|(error, _)| error)
        .expect("room");
    threaded.flush(PATIENCE).expect("an empty queue");

    assert_eq!([error, queued_error], [TOO_LARGE; 2]);
    let errors = results
        .into_iter()
        .map(|result| result.err().map(|(error, _)| error));
    assert_eq!(errors.collect::<Vec<_>>(), [None, Some(TOO_LARGE)]);
    sending_span(SpanKind::Producer, &orders)
        .attribute("kafka.message.key", "order-7")
        .child_of(&named(STALE))
        .error("MESSAGE_TOO_LARGE")
        .assert(&sent);
    let counted = (orders.clone(), "refused_for_size".to_owned(), 4);
    assert_eq!(problems(&recorder), [counted]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_context_that_a_topic_has_no_room_for_is_left_out_where_the_policy_knows_its_limit() {
    // Beside the payload: batch, record, key, and a traceparent with its name.
    const OVERHEAD: usize = 61 + 36 + "order-7".len();
    const TRACEPARENT: usize = 2 + "traceparent".len() + STALE.len();
    let Some(orders) = limited().await else {
        return;
    };
    let recorder = Recorder::new();
    let policy = Policy::new().rule(Rule::of("orders*").max_message_bytes(TOPIC_LIMIT));
    let telemetry = recorder.telemetry().policy(policy);
    let producer = informed_producer(&telemetry, &one_by_one());
    let upstream = Context::new().with_remote_span_context(named(STALE));
    let fitting = TOPIC_LIMIT - OVERHEAD - TRACEPARENT;
    let payloads = [fitting, fitting + 1, 1950].map(|size| vec![0; size]);
    let record = |payload| record(&orders, payload, &[]);

    for payload in &payloads {
        let sending = within(&upstream, || producer.send(record(payload), PATIENCE));
        receipt(sending.await);
    }
    let records = payloads.iter().map(|payload| record(payload));
    let results = producer.send_batch(records, PATIENCE).await;

    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let messages = read(&orders, 6).await;
    let carried = messages.iter().map(|message| wire_headers(message).len());
    assert_eq!(carried.collect::<Vec<_>>(), [1, 0, 0, 1, 0, 0]);
    // Sent alone, and created in a batch.
    let left_out = (orders.clone(), "context_left_out".to_owned(), 2);
    assert_eq!(problems(&recorder), [left_out.clone(), left_out]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_too_large_without_a_context_of_ours_is_no_problem_of_it() {
    let recorder = Recorder::new();
    let mut config: ClientConfig = config();
    config.set("message.max.bytes", MAX_BYTES.to_string());
    let producer = informed_producer(&recorder.telemetry(), &config);
    let orders = topic("orders").await;
    let payload = vec![0; MAX_BYTES];
    let record = || record(&orders, &payload, &[]);

    let (error, _) = producer
        .send(record(), PATIENCE)
        .await
        .expect_err("too large");
    let results = producer.send_batch([record()], PATIENCE).await;

    assert_eq!(error, TOO_LARGE);
    assert!(results.iter().all(Result::is_err), "{results:?}");
    let left_out = (orders.clone(), "context_left_out".to_owned(), 1);
    assert_eq!(problems(&recorder), [left_out.clone(), left_out]);
}
