//! Headers as other programs write them, and what becomes of them.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use integration::kafka::{
    PATIENCE, commit_span, consumer_in, next, process_span, producer, raw_headers, read, send_span,
    topic, wire_headers,
};
use integration::unique;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use otel_messaging::testing::Recorder;
use otel_messaging::{kafka, w3c};
use rdkafka::consumer::CommitMode;
use rdkafka::message::{Message as _, OwnedHeaders, OwnedMessage, Timestamp};
use rdkafka::producer::FutureRecord;

use crate::wire::{
    FRESH, STALE, STRAY, baggage, header, named, order, problems, receipt, send_raw, texts,
    traceparent, within,
};

fn stock() -> TextMapCompositePropagator {
    TextMapCompositePropagator::new(vec![
        Box::new(TraceContextPropagator::new()),
        Box::new(BaggagePropagator::new()),
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_message_is_processed_committed_and_forwarded_like_any_other() {
    let recorder = Recorder::new();
    let (orders, payments) = (topic("orders").await, topic("payments").await);
    let group = unique("group");
    let foreign = [
        (b"null".to_vec(), None),
        header("empty", ""),
        header("binary", Vec::from_iter(0..=u8::MAX)),
        header("large", "kilobyte".repeat(8 * 1024)),
        header(b"\xff\xfename", b"\xff\xfevalue"),
        header("note", "twice"),
        header("note", "twice"),
    ];
    let hostile = [
        header("TRACEPARENT", STRAY),
        header("traceparent", STALE),
        header("TraceParent", "00-none-of-this-01"),
        header("tracestate", "vendor=1\r\nevil: yes"),
        header("traceparent", FRESH),
        (b"traceparent".to_vec(), None),
        header("traceparent", b"\xff\xfe"),
        header("baggage", b"tenant=\xff\xfe"),
    ];
    let (before, after) = foreign.split_at(3);
    send_raw(&orders, &[before, &hostile, after].concat()).await;

    let consumer = consumer_in(&group, &recorder.telemetry(), &orders);
    let producer = producer(&recorder.telemetry());
    let received = next(&consumer).await;
    let delivery = received
        .process(async |order| {
            let mut record = FutureRecord::<str, [u8]>::to(&payments).key("payment-7");
            record.payload = order.payload();
            record.headers = raw_headers(&wire_headers(order));
            assert_eq!(baggage(&Context::current()), []);
            producer
                .send(record, PATIENCE)
                .await
                .map_err(|(error, _)| error)
        })
        .await
        .expect("a delivery");
    consumer
        .commit_message(&received, CommitMode::Sync)
        .expect("a commit");

    let (fresh, stale) = (named(FRESH), named(STALE));
    let process = recorder.span(&format!("process {orders}"));
    process_span(&received, &group)
        .child_of(&fresh)
        .link(&fresh)
        .link(&stale)
        .assert(&process);
    let send = recorder.span(&format!("send {payments}"));
    send_span(&payments, "payment-7", &delivery)
        .child_of(&process.span_context)
        .link(&fresh)
        .link(&stale)
        .assert(&send);
    commit_span(Some(&orders), &group)
        .attribute("messaging.destination.partition.id", "0")
        .attribute("kafka.offset", 0)
        .child_of(&process.span_context)
        .link(&fresh)
        .link(&stale)
        .assert(&recorder.span(&format!("commit {orders}")));
    assert_eq!(
        problems(&recorder),
        [
            (orders.clone(), "conflicting".to_owned(), 1),
            (orders, "malformed".to_owned(), 1),
            (payments.clone(), "replaced".to_owned(), 1),
        ]
    );
    let forwarded = read(&payments, 1).await;
    // Baggage that cannot be read is not ours to take away: there is nothing to put in its place.
    let expected = [
        before,
        &[header("baggage", b"tenant=\xff\xfe")],
        after,
        &[header("traceparent", traceparent(&send.span_context))],
    ]
    .concat();
    assert_eq!(
        forwarded.iter().map(wire_headers).collect::<Vec<_>>(),
        [expected]
    );
}

fn message(headers: OwnedHeaders) -> OwnedMessage {
    let timestamp = Timestamp::NotAvailable;
    OwnedMessage::new(
        None,
        None,
        "orders".to_owned(),
        timestamp,
        0,
        0,
        Some(headers),
    )
}

#[test]
fn inject_and_extract_do_without_a_span_of_ours_with_any_propagator() {
    let before = [
        header("note", b"\xff\xfe"),
        header("Traceparent", STALE),
        header("tracestate", "stale=1"),
        header("traceparent", STRAY),
        (b"null".to_vec(), None),
    ];
    let headers = || raw_headers(&before).expect("headers");
    let kept = [header("note", b"\xff\xfe"), (b"null".to_vec(), None)];
    let carried = TraceState::from_key_value([("vendor", "1")]).expect("a tracestate");
    let trace = |state: &TraceState| {
        let fresh = named(FRESH);
        Context::new().with_remote_span_context(SpanContext::new(
            fresh.trace_id(),
            fresh.span_id(),
            fresh.trace_flags(),
            true,
            state.clone(),
        ))
    };
    let propagators: [&dyn TextMapPropagator; 3] = [
        &TraceContextPropagator::new(),
        &stock(),
        &w3c::Propagator::new(),
    ];

    for propagator in propagators {
        let written = |context| {
            let mut headers = Some(headers());
            kafka::inject(propagator, &context, &mut headers);
            message(headers.expect("the headers that it had"))
        };
        let (bare, full) = (written(trace(&TraceState::NONE)), written(trace(&carried)));
        let none = written(Context::new());

        let own = texts(&[("traceparent", FRESH), ("tracestate", "vendor=1")]);
        let (traceparent_alone, _) = own.split_at(1);
        assert_eq!(wire_headers(&bare), [&kept, traceparent_alone].concat());
        assert_eq!(wire_headers(&full), [&kept[..], &own].concat());
        assert_eq!(wire_headers(&none), before, "no context changes nothing");
        let read = kafka::extract(propagator, &full);
        assert_eq!(traceparent(read.span().span_context()), FRESH);
        assert_eq!(read.span().span_context().trace_state(), &carried);
        assert!(read.span().span_context().is_remote());
        let last = kafka::extract(propagator, &none);
        assert_eq!(traceparent(last.span().span_context()), STRAY);
        let _ambient = trace(&carried).attach();
        let nothing = kafka::extract(propagator, &message(OwnedHeaders::new()));
        assert!(!nothing.span().span_context().is_valid());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stock_propagators_carry_a_trace_and_its_baggage_end_to_end() {
    let recorder = Recorder::new();
    let telemetry = recorder.telemetry().propagator(stock());
    let orders = topic("orders").await;
    let group = unique("group");
    let upstream = Context::new()
        .with_remote_span_context(named(FRESH))
        .with_baggage([KeyValue::new("tenant", "blue sky")]);
    let stale = texts(&[
        ("TRACESTATE", "stale=1"),
        ("traceparent", STALE),
        ("note", "1"),
    ]);

    let record = order(&orders, &stale);
    let producer = producer(&telemetry);
    let delivery = receipt(within(&upstream, || producer.send(record, PATIENCE)).await);
    let consumer = consumer_in(&group, &telemetry, &orders);
    let received = next(&consumer).await;
    received
        .process(async |_| assert_eq!(baggage(&Context::current()).len(), 1))
        .await;

    let send = recorder.span(&format!("send {orders}"));
    send_span(&orders, "order-7", &delivery)
        .child_of(&named(FRESH))
        .link(&named(STALE))
        .assert(&send);
    let send = send.span_context;
    process_span(&received, &group)
        .child_of(&send)
        .link(&send)
        .assert(&recorder.span(&format!("process {orders}")));
    let written = [
        ("note", "1"),
        ("traceparent", &traceparent(&send)),
        ("baggage", "tenant=blue%20sky"),
    ];
    assert_eq!(wire_headers(&received), texts(&written));
}

/// An agent writes a trace with its state, and a service behind it appends a traceparent alone, as
/// Python's instrumentation does behind Java's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tracestate_stays_with_the_traceparent_that_it_came_with() {
    let agent = texts(&[("traceparent", FRESH), ("tracestate", "agent=1")]);
    let rows = [
        (texts(&[("traceparent", STALE)]), ""),
        (
            texts(&[("traceparent", STALE), ("tracestate", "own=2")]),
            "own=2",
        ),
    ];
    let recorder = Recorder::new();
    let settings = [
        (recorder.telemetry(), true),
        (recorder.telemetry().propagator(stock()), false),
    ];

    for (telemetry, is_ours) in settings {
        for (appended, expected) in &rows {
            recorder.clear();
            let (orders, group) = (topic("orders").await, unique("group"));
            send_raw(&orders, &[&agent[..], appended].concat()).await;
            let consumer = consumer_in(&group, &telemetry, &orders);
            let received = next(&consumer).await;
            received
                .process(async |_| {
                    let context = Context::current();
                    let state = context.span().span_context().trace_state().header();
                    assert_eq!(state, *expected);
                })
                .await;

            let stale = named(STALE);
            let expected = process_span(&received, &group)
                .child_of(&stale)
                .link(&stale);
            let expected = match is_ours {
                true => expected.link(&named(FRESH)),
                false => expected,
            };
            expected.assert(&recorder.span(&format!("process {orders}")));
        }
    }
}
