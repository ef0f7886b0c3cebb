//! Records that are sent under one call, and not all delivered.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::time::{Duration, Instant};

use futures::future::poll_immediate;
use integration::kafka::{
    PATIENCE, config, create_span, flush, in_only_partition, informed_producer, measured, read,
    sent_batch, topic, wire_headers,
};
use integration::metrics::{and, of_type, operation_duration, sent_messages};
use integration::{assert_warned, logging};
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::SpanKind;
use otel_messaging::kafka;
use otel_messaging::testing::Recorder;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Message as _, OwnedMessage};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::Producer as _;
use tokio::task::block_in_place;

use crate::batch_sends::{KEY, linking, outcomes, record, spans_of};
use crate::wire::{STALE, header, named, texts, upstream};

const TOO_LARGE: KafkaError = KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge);
const FULL: KafkaError = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);

/// A producer whose records stay in its queue, of this size, until it is flushed.
fn lingering(recorder: &Recorder, size: &str) -> kafka::Producer {
    let mut config = config();
    config.set("linger.ms", "60000");
    config.set("queue.buffering.max.messages", size);
    informed_producer(&recorder.telemetry(), &config)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_too_large_comes_back_as_it_was_and_hinders_no_other() {
    let recorder = Recorder::new();
    let mut config = config();
    config.set("message.max.bytes", "2000");
    let producer = informed_producer(&logging(&recorder), &config);
    let orders = topic("orders").await;
    let (small, large) = ("two books", "b".repeat(3_000));
    let note = [header("note", b"\xff\xfe"), (b"null".to_vec(), None)];

    let records = [small, &large, small].map(|payload| record(&orders, payload, &note));
    let results = producer.send_batch(records, PATIENCE).await;

    assert_eq!(outcomes(&results), [Ok(0), Err(TOO_LARGE), Ok(1)]);
    let (_, message) = results
        .into_iter()
        .flat_map(Result::err)
        .next()
        .expect("an error");
    assert_eq!(wire_headers(&message), note);
    assert_eq!(message.topic(), orders);
    assert_eq!(
        (message.key(), message.payload()),
        (Some(KEY.as_bytes()), Some(large.as_bytes()))
    );
    let text = TOO_LARGE.to_string();
    let mut creates = spans_of(&recorder, "create");
    creates.sort_by_key(|create| create.start_time);
    let [first, failed, last] = &creates[..] else {
        unreachable!("three spans: {creates:?}");
    };
    let created = |offset: i64| {
        in_only_partition(create_span(&orders, KEY)).attribute("kafka.offset", offset)
    };
    created(0).assert(first);
    create_span(&orders, KEY)
        .error("MESSAGE_TOO_LARGE")
        .description(&*text)
        .assert(failed);
    assert_warned(&recorder, "send", &failed.span_context, None);
    created(1).assert(last);
    let send = sent_batch(SpanKind::Client, Some(&orders), 3)
        .attribute("kafka.message.key", KEY)
        .error("MESSAGE_TOO_LARGE")
        .description(&*text);
    let span = recorder.span(&format!("send {orders}"));
    linking(send, &creates).assert(&span);
    let exception = ("rdkafka::error::KafkaError", &*text);
    assert_warned(&recorder, "send", &span.span_context, Some(exception));
    let sent = || measured("send", &orders, None);
    let failed = || and(sent(), "error.type", "MESSAGE_TOO_LARGE");
    sent_messages().of(sent(), 2).assert(&recorder);
    operation_duration()
        .of(of_type(failed(), "send"), 1)
        .assert(&recorder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_find_the_queue_full_come_back_as_the_bare_client_gives_them() {
    let recorder = Recorder::new();
    let producer = lingering(&recorder, "1");
    let orders = topic("orders").await;
    let rows = [texts(&[("note", "1")]), texts(&[("note", "2")]), vec![]];

    let records = rows
        .each_ref()
        .map(|headers| record(&orders, "two books", headers));
    let mut sending = Box::pin(producer.send_batch(records, Duration::ZERO));
    assert!(
        poll_immediate(&mut sending).await.is_none(),
        "one waits for its report"
    );
    let refused = record(&orders, "two books", &rows[1]);
    let bare = producer.inner().send(refused, Duration::ZERO).await;
    block_in_place(|| flush(producer.client()));
    let results = sending.await;

    assert_eq!(outcomes(&results), [Ok(0), Err(FULL), Err(FULL)]);
    let (_, bare) = bare.expect_err("a full queue");
    for (result, headers) in results.iter().zip(&rows).skip(1) {
        let (_, message) = result.as_ref().expect_err("a full queue");
        assert_eq!(&wire_headers(message), headers);
        let told = |message: &OwnedMessage| {
            let content = (
                message.key().map(<[u8]>::to_vec),
                message.payload().map(<[u8]>::to_vec),
            );
            let place = (
                message.topic().to_owned(),
                message.partition(),
                message.offset(),
            );
            (content, place, message.timestamp())
        };
        assert_eq!(told(message), told(&bare));
    }
    let sent = || measured("send", &orders, None);
    let full = and(sent(), "error.type", "_QUEUE_FULL");
    sent_messages().of(sent(), 1).assert(&recorder);
    operation_duration()
        .of(of_type(full, "send"), 1)
        .assert(&recorder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_is_waited_for_and_the_order_is_kept() {
    const RECORDS: usize = 5;
    let recorder = Recorder::new();
    let mut config = config();
    config.set("queue.buffering.max.messages", "1");
    let producer = informed_producer(&recorder.telemetry(), &config);
    let orders = topic("orders").await;
    let payloads = Vec::from_iter((0..RECORDS).map(|number| number.to_string()));

    let records = payloads.iter().map(|payload| record(&orders, payload, &[]));
    let results = producer.send_batch(records, PATIENCE).await;

    let expected: Vec<_> = (0..RECORDS as i64).map(Ok).collect();
    assert_eq!(outcomes(&results), expected);
    let messages = read(&orders, RECORDS).await;
    for (message, payload) in messages.iter().zip(&payloads) {
        assert_eq!(message.payload(), Some(payload.as_bytes()));
    }
    let sent = measured("send", &orders, None);
    sent_messages().of(sent, RECORDS as u64).assert(&recorder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_dropped_half_way_counts_what_the_client_has_taken() {
    let recorder = Recorder::new();
    let mut config = config();
    config.set("linger.ms", "60000");
    config.set("queue.buffering.max.messages", "2");
    config.set("message.max.bytes", "2000");
    let producer = informed_producer(&recorder.telemetry(), &config);
    let orders = topic("orders").await;
    let large = "b".repeat(3_000);

    let payloads = ["one", &large, "two", "never", "never"];
    let records = payloads.map(|payload| record(&orders, payload, &[]));
    let sending = producer
        .send_batch(records, PATIENCE)
        .with_context(upstream());
    assert!(
        poll_immediate(sending).await.is_none(),
        "there is no room for the fourth"
    );

    let mut creates = spans_of(&recorder, "create");
    creates.sort_by_key(|create| create.start_time);
    assert_eq!(creates.len(), payloads.len());
    for (number, create) in creates.iter().enumerate() {
        let expected = create_span(&orders, KEY).child_of(&named(STALE));
        match number {
            1 => expected.error("MESSAGE_TOO_LARGE").assert(create),
            _ => expected.assert(create),
        }
    }
    let send = sent_batch(SpanKind::Client, Some(&orders), payloads.len())
        .attribute("kafka.message.key", KEY);
    let sent = || measured("send", &orders, None);
    let failed = || and(sent(), "error.type", "MESSAGE_TOO_LARGE");
    sent_messages().of(sent(), 2).assert(&recorder);
    operation_duration()
        .of(of_type(failed(), "send"), 1)
        .assert(&recorder);
    linking(send, &creates)
        .child_of(&named(STALE))
        .error("MESSAGE_TOO_LARGE")
        .assert(&recorder.span(&format!("send {orders}")));
    block_in_place(|| flush(producer.client()));
    let messages = read(&orders, 2).await;
    let payloads = messages.iter().map(|message| message.payload());
    assert_eq!(
        payloads.collect::<Vec<_>>(),
        [Some(&b"one"[..]), Some(b"two")]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_dropped_half_way_says_what_was_reported_behind_a_record_that_was_not() {
    let cluster = MockCluster::new(1).expect("an embedded cluster");
    for topic in ["orders", "payments"] {
        cluster.create_topic(topic, 1, 1).expect("a topic");
    }
    let nobody = cluster.partition_leader("orders", 0, None);
    nobody.expect("a partition that nobody leads");
    let recorder = Recorder::new();
    let mut config = config();
    config.set("bootstrap.servers", cluster.bootstrap_servers());
    let producer = informed_producer(&recorder.telemetry(), &config);

    let records = ["orders", "payments"].map(|topic| record(topic, "two books", &[]));
    let mut sending = Box::pin(producer.send_batch(records, PATIENCE));
    assert!(poll_immediate(&mut sending).await.is_none());
    let started = Instant::now();
    while producer.in_flight_count() > 1 {
        assert!(started.elapsed() < PATIENCE, "one is delivered in time");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(sending);

    let at_cluster = |topic| {
        create_span(topic, KEY)
            .any("server.address")
            .any("server.port")
    };
    at_cluster("orders").assert(&recorder.span("create orders"));
    at_cluster("payments")
        .attribute("kafka.offset", 0)
        .attribute("messaging.destination.partition.id", "0")
        .assert(&recorder.span("create payments"));
    assert_eq!(recorder.counter_total("messaging.client.sent.messages"), 2);
}
