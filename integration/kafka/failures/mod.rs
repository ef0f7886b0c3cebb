//! Records that are not delivered.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]
#![expect(clippy::result_large_err, reason = "the client's own result types")]

mod returned;

use std::time::Duration;

use futures::future::poll_immediate;
use integration::kafka::{
    PATIENCE, config, flush, informed_producer, measured, raw_headers, read, send_span,
    sending_nowhere, sending_span, topic, wire_headers,
};
use integration::metrics::{of_type, operation_duration, sent_messages};
use integration::{assert_warned, logging, unique};
use opentelemetry::trace::SpanKind;
use otel_messaging::testing::{ExpectedSpan, Recorder};
use otel_messaging::{Telemetry, kafka};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Message as _, OwnedMessage};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::wire::{
    FRESH, STALE, header, named, order, queued, receipt, texts, traceparent, upstream, within,
};

const KEY: &str = "kafka.message.key";

/// The whole span of a record that the client refused or gave up.
fn failed_span(topic: &str, error_type: &'static str) -> ExpectedSpan {
    sending_span(SpanKind::Producer, topic)
        .attribute(KEY, "order-7")
        .child_of(&named(STALE))
        .error(error_type)
}

/// The record for another try.
fn again(message: &OwnedMessage) -> FutureRecord<'_, [u8], [u8]> {
    let mut record = FutureRecord::to(message.topic());
    (record.key, record.payload) = (message.key(), message.payload());
    record.headers = message.headers().cloned();
    record
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_for_a_topic_without_a_name_has_a_span_that_names_none() {
    let recorder = Recorder::new();
    let producer = informed_producer(&logging(&recorder), &config());

    let (error, _) = producer
        .send(order("", &[]), PATIENCE)
        .await
        .expect_err("no topic");

    let invalid = RDKafkaErrorCode::InvalidTopic;
    assert_eq!(error, KafkaError::MessageProduction(invalid));
    sending_nowhere(SpanKind::Producer)
        .attribute(KEY, "order-7")
        .error("INVALID_TOPIC_EXCEPTION")
        .description(error.to_string())
        .assert(&recorder.span("send"));
    let span = recorder.span("send").span_context;
    let exception = ("rdkafka::error::KafkaError", &*error.to_string());
    assert_warned(&recorder, "send", &span, Some(exception));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_was_not_delivered_comes_back_as_it_was_and_can_be_sent_again() {
    let recorder = Recorder::new();
    let note = [header("note", b"\xff\xfe"), (b"null".to_vec(), None)];
    let modes = [
        recorder.telemetry(),
        recorder.telemetry().keep_existing_context(true),
    ];

    for telemetry in modes {
        let producer = informed_producer(&telemetry, &config());
        let orders = topic("orders").await;
        let name = format!("send {orders}");
        let mut written = Vec::new();

        // The first time the client has to ask for the topic, the second time it knows at once.
        for headers in [&note[..], &[]] {
            recorder.clear();
            let record = order(&orders, headers);
            let failed = within(&upstream(), || {
                producer.send(record.partition(99), PATIENCE)
            });
            let (error, message) = failed.await.expect_err("no such partition");

            let unknown = RDKafkaErrorCode::UnknownPartition;
            assert_eq!(error, KafkaError::MessageProduction(unknown));
            assert_eq!(wire_headers(&message), headers);
            assert_eq!(message.headers().is_some(), !headers.is_empty());
            failed_span(&orders, "UNKNOWN_TOPIC_OR_PARTITION")
                .attribute("messaging.destination.partition.id", "99")
                .assert(&recorder.span(&name));

            recorder.clear();
            let delivery =
                receipt(within(&upstream(), || producer.send(again(&message), PATIENCE)).await);
            let send = recorder.span(&name);
            send_span(&orders, "order-7", &delivery)
                .child_of(&named(STALE))
                .assert(&send);
            let own = header("traceparent", traceparent(&send.span_context));
            written.push([headers, &[own]].concat());
        }

        let messages = read(&orders, 2).await;
        assert_eq!(
            messages.iter().map(wire_headers).collect::<Vec<_>>(),
            written
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_context_that_only_passes_through_is_still_there_when_the_record_comes_back() {
    // Without a provider and outside of any trace we have no context to give.
    let producer = informed_producer(&Telemetry::new(), &config());
    let orders = topic("orders").await;
    let headers = texts(&[
        ("traceparent", FRESH),
        ("tracestate", "vendor=1"),
        ("note", "1"),
    ]);

    let failed = producer.send(order(&orders, &headers).partition(99), PATIENCE);
    let (_, message) = failed.await.expect_err("no such partition");
    receipt(producer.send(again(&message), PATIENCE).await);

    assert_eq!(wire_headers(&message), headers);
    let messages = read(&orders, 1).await;
    assert_eq!(
        messages.iter().map(wire_headers).collect::<Vec<_>>(),
        [headers]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_finds_the_queue_full_comes_back_as_it_was_and_can_be_sent_again() {
    let recorder = Recorder::new();
    let mut config = config();
    config.set("queue.buffering.max.messages", "1");
    // Nothing leaves the queue before it is flushed.
    config.set("linger.ms", "60000");
    let producer = informed_producer(&recorder.telemetry().keep_existing_context(true), &config);
    let orders = topic("orders").await;
    let name = format!("send {orders}");
    let note = texts(&[("note", "1")]);
    let record = || {
        let mut record = FutureRecord::<[u8], [u8]>::to(&orders)
            .key(b"order-7")
            .payload(b"two books");
        record.headers = raw_headers(&note);
        record
    };
    let flushed = async |waiting: kafka::DeliveryFuture| {
        flush(producer.client());
        receipt(waiting.await.expect("a report"))
    };
    let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);

    let first = queued(within(&upstream(), || producer.send_result(record())));
    let (error, returned) = within(&upstream(), || producer.send_result(record()))
        .expect_err("there is room for one alone");
    assert_eq!(error, full);
    failed_span(&orders, "_QUEUE_FULL").assert(&recorder.span(&name));
    recorder.clear();
    let sending = within(&upstream(), || producer.send(record(), Duration::ZERO));
    let (error, message) = sending.await.expect_err("there is room for one alone");
    assert_eq!(error, full);
    failed_span(&orders, "_QUEUE_FULL").assert(&recorder.span(&name));
    assert_eq!(wire_headers(&message), note);

    flushed(first).await;
    let mut written = Vec::new();
    // A message has a number for no partition too.
    for record in [returned, again(&message).partition(message.partition())] {
        recorder.clear();
        let waiting = queued(within(&upstream(), || producer.send_result(record)));
        let delivery = flushed(waiting).await;
        let send = recorder.span(&name);
        send_span(&orders, "order-7", &delivery)
            .child_of(&named(STALE))
            .assert(&send);
        let own = header("traceparent", traceparent(&send.span_context));
        written.push([&note[..], &[own]].concat());
    }
    let messages = read(&orders, 3).await;
    let sent_again = messages.iter().skip(1).map(wire_headers);
    assert_eq!(sent_again.collect::<Vec<_>>(), written);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_dropped_while_it_waits_for_room_was_not_sent() {
    let recorder = Recorder::new();
    let mut config = config();
    config.set("queue.buffering.max.messages", "1");
    config.set("linger.ms", "60000");
    let producer = informed_producer(&recorder.telemetry(), &config);
    let orders = topic("orders").await;

    let first = queued(producer.send_result(order(&orders, &[])));
    let second = producer.send(order(&orders, &[]), PATIENCE);
    assert!(poll_immediate(second).await.is_none(), "there is no room");
    let dropped = recorder.span(&format!("send {orders}"));
    flush(producer.client());
    receipt(first.await.expect("a report"));

    sending_span(SpanKind::Producer, &orders)
        .attribute("kafka.message.key", "order-7")
        .assert(&dropped);
    let sent = || measured("send", &orders, None);
    sent_messages().of(sent(), 1).assert(&recorder);
    operation_duration()
        .of(of_type(sent(), "send"), 2)
        .assert(&recorder);
}

/// The span of a client of another cluster than the suite's.
fn at(span: ExpectedSpan, servers: &str) -> ExpectedSpan {
    let (address, port) = servers.rsplit_once(':').expect("an address and a port");
    span.attribute("server.address", address.to_owned())
        .attribute("server.port", port.parse::<i64>().expect("a port"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_of_the_embedded_broker_have_the_names_of_kafkas_protocol() {
    use RDKafkaRespErr as Code;
    // A cluster of its own: whichever request comes next gets the error.
    let cluster = MockCluster::new(1).expect("an embedded cluster");
    let servers = cluster.bootstrap_servers();
    let mut config = config();
    config
        .set("bootstrap.servers", &servers)
        .set("retries", "0");
    let recorder = Recorder::new();
    let producer = informed_producer(&recorder.telemetry(), &config);
    let bare: FutureProducer = config.create().expect("a producer");
    let errors = [
        (
            Code::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
            "NOT_ENOUGH_REPLICAS",
        ),
        (
            Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
            "TOPIC_AUTHORIZATION_FAILED",
        ),
        (
            Code::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
            "KAFKA_STORAGE_ERROR",
        ),
        (
            Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
            "MESSAGE_TOO_LARGE",
        ),
        (Code::RD_KAFKA_RESP_ERR_INVALID_MSG, "CORRUPT_MESSAGE"),
        (Code::RD_KAFKA_RESP_ERR_POLICY_VIOLATION, "POLICY_VIOLATION"),
        (Code::RD_KAFKA_RESP_ERR_UNKNOWN, "UNKNOWN_SERVER_ERROR"),
    ];

    for (code, name) in errors {
        // librdkafka remembers some errors with the topic.
        let orders = unique("orders");
        let record = || order(&orders, &[]);
        cluster.request_errors(RDKafkaApiKey::Produce, &[code]);
        let (expected, _) = bare.send(record(), PATIENCE).await.expect_err(name);
        cluster.request_errors(RDKafkaApiKey::Produce, &[code]);
        let failed = within(&upstream(), || producer.send(record(), PATIENCE));
        let (error, message) = failed.await.expect_err(name);

        assert_eq!(error, expected);
        assert_eq!(wire_headers(&message), []);
        at(failed_span(&orders, name), &servers).assert(&recorder.span(&format!("send {orders}")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_embedded_broker_answers_has_librdkafkas_own_name() {
    let cluster = MockCluster::new(1).expect("an embedded cluster");
    let servers = cluster.bootstrap_servers();
    let mut config = config();
    config.set("bootstrap.servers", &servers);
    config.set("message.timeout.ms", "200");
    let recorder = Recorder::new();
    let producer = informed_producer(&recorder.telemetry(), &config);
    let record = order("orders", &[]);

    cluster.broker_down(-1).expect("no broker");
    let sending = within(&upstream(), || producer.send(record, PATIENCE));
    let (error, message) = sending.await.expect_err("nobody is there");

    let timeout = RDKafkaErrorCode::MessageTimedOut;
    assert_eq!(error, KafkaError::MessageProduction(timeout));
    assert_eq!(wire_headers(&message), []);
    at(failed_span("orders", "_MSG_TIMED_OUT"), &servers).assert(&recorder.span("send orders"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_the_embedded_cluster_does_not_have_has_its_protocol_name() {
    let cluster = MockCluster::new(1).expect("an embedded cluster");
    let servers = cluster.bootstrap_servers();
    let mut config = config();
    config.set("bootstrap.servers", &servers);
    config.set("topic.metadata.propagation.max.ms", "0");
    let recorder = Recorder::new();
    let producer = informed_producer(&recorder.telemetry(), &config);
    let bare: FutureProducer = config.create().expect("a producer");
    let record = || order("orders", &[]);
    cluster
        .topic_error(
            "orders",
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        )
        .expect("a topic that is not there");

    let (of_bare, _) = bare.send(record(), PATIENCE).await.expect_err("no topic");
    let sending = within(&upstream(), || producer.send(record(), PATIENCE));
    let (error, message) = sending.await.expect_err("no topic");

    // Local or the broker's, by whether the record was queued before the answer.
    for error in [of_bare, error] {
        assert!(matches!(
            error.rdkafka_error_code(),
            Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition)
        ));
    }
    assert_eq!(wire_headers(&message), []);
    at(
        failed_span("orders", "UNKNOWN_TOPIC_OR_PARTITION"),
        &servers,
    )
    .assert(&recorder.span("send orders"));
}
