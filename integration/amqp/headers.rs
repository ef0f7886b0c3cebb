//! What headers are on the wire.

use integration::amqp::{channel, consume, next, publish, queue};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, ByteArray, FieldArray, FieldTable};
use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use otel_messaging::{amqp, w3c};

pub(crate) const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
pub(crate) const STALE: &str = "00-11111111111111111111111111111111-1111111111111111-01";

pub(crate) fn long(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

/// Context as it is read from long strings.
pub(crate) fn context(headers: &[(&str, &str)]) -> Context {
    let mut table = FieldTable::default();
    for (name, text) in headers {
        table.insert((*name).into(), long(text));
    }
    let properties = BasicProperties::default().with_headers(table);
    amqp::extract(&w3c::Propagator::new(), &properties)
}

fn tenant(context: &Context) -> Option<String> {
    context.baggage().get("tenant").map(ToString::to_string)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn context_makes_the_round_trip_and_other_headers_stay_as_they_are() {
    let channel = channel().await;
    let orders = queue(&channel, "orders").await;
    let mut nested = FieldTable::default();
    nested.insert("time".into(), AMQPValue::Timestamp(1_795_000_000));
    let mut others = FieldTable::default();
    others.insert("x-retries".into(), AMQPValue::LongInt(2));
    others.insert(
        "history".into(),
        AMQPValue::FieldArray(FieldArray::from(vec![
            AMQPValue::FieldTable(nested),
            AMQPValue::Boolean(true),
        ])),
    );
    others.insert(
        "key".into(),
        AMQPValue::ByteArray(ByteArray::from(&[0, 0xff][..])),
    );
    let mut before = others.clone();
    before.insert("Traceparent".into(), long(STALE));
    let trace = context(&[("traceparent", TRACEPARENT), ("baggage", "tenant=blue")]);

    let mut properties = BasicProperties::default().with_headers(before);
    amqp::inject(&w3c::Propagator::new(), &trace, &mut properties);
    publish(&channel, &orders, properties).await;
    let delivery = next(&mut consume(&channel, &orders).await).await;

    let mut expected = others;
    expected.insert("traceparent".into(), long(TRACEPARENT));
    expected.insert("baggage".into(), long("tenant=blue"));
    assert_eq!(delivery.properties.headers(), &Some(expected));
    let read = amqp::extract(&w3c::Propagator::new(), &delivery.properties);
    assert_eq!(read.span().span_context(), trace.span().span_context());
    assert_eq!(tenant(&read).as_deref(), Some("blue"));
}

/// As clients in other languages write it: bytes, or names in other case.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn byte_arrays_in_any_case_are_read() {
    let channel = channel().await;
    let orders = queue(&channel, "orders").await;
    let mut headers = FieldTable::default();
    for (name, text) in [("Traceparent", TRACEPARENT), ("BAGGAGE", "tenant=blue")] {
        let bytes = ByteArray::from(text.as_bytes());
        headers.insert(name.into(), AMQPValue::ByteArray(bytes));
    }

    let properties = BasicProperties::default().with_headers(headers.clone());
    publish(&channel, &orders, properties).await;
    let delivery = next(&mut consume(&channel, &orders).await).await;

    assert_eq!(delivery.properties.headers(), &Some(headers));
    let read = amqp::extract(&w3c::Propagator::new(), &delivery.properties);
    let expected = context(&[("traceparent", TRACEPARENT)]);
    assert_eq!(read.span().span_context(), expected.span().span_context());
    assert_eq!(tenant(&read).as_deref(), Some("blue"));
}

/// A table has each name once, but `traceparent` and `Traceparent` can stand side by side.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tracestate_stays_with_the_spelling_that_it_came_with() {
    let channel = channel().await;
    let orders = queue(&channel, "orders").await;
    let mut deliveries = consume(&channel, &orders).await;
    let rows: [(&[(&str, &str)], &str); 3] = [
        (
            &[
                ("traceparent", TRACEPARENT),
                ("Traceparent", STALE),
                ("Tracestate", "stale=1"),
            ],
            "",
        ),
        (
            &[
                ("traceparent", TRACEPARENT),
                ("Traceparent", STALE),
                ("tracestate", "own=2"),
                ("Tracestate", "stale=1"),
            ],
            "own=2",
        ),
        (
            &[
                ("TRACEPARENT", STALE),
                ("TRACESTATE", "stale=1"),
                ("Traceparent", TRACEPARENT),
                ("Tracestate", "own=2"),
            ],
            "own=2",
        ),
    ];
    let stock = TraceContextPropagator::new();
    let propagators: [&dyn TextMapPropagator; 2] = [&w3c::Propagator::new(), &stock];

    for (headers, state) in rows {
        let mut table = FieldTable::default();
        for (name, text) in headers {
            table.insert((*name).into(), long(text));
        }
        publish(
            &channel,
            &orders,
            BasicProperties::default().with_headers(table),
        )
        .await;
        let delivery = next(&mut deliveries).await;
        for propagator in propagators {
            let read = amqp::extract(propagator, &delivery.properties);
            let span = read.span().span_context().clone();
            let fresh = context(&[("traceparent", TRACEPARENT)]);
            assert_eq!(span.trace_id(), fresh.span().span_context().trace_id());
            assert_eq!(span.trace_state().header(), state, "{headers:?}");
        }
    }
}
