//! Messages that leave little room for a context, or none.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]
#![expect(clippy::result_large_err, reason = "the client's own result types")]

use integration::Header;
use integration::kafka::{
    PATIENCE, config, informed_producer, raw_headers, read, send_span, sending_span, topic,
    wire_headers,
};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{SpanContext, SpanKind, TraceContextExt as _, TraceState};
use opentelemetry::{Context, KeyValue};
use otel_messaging::testing::Recorder;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::wire::{STALE, header, named, problems, receipt, traceparent, within};

const MAX_BYTES: usize = 2000;
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
        let largest = largest(&bare, &scratch, &headers(STALE, kept));
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
            .attribute("messaging.kafka.message.key", "order-7")
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
