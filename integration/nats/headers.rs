//! What headers are on the wire, by [`nats::inject`] and [`nats::extract`] alone.

use async_nats::HeaderMap;
use async_nats::jetstream::{self, consumer};
use futures::StreamExt as _;
use integration::nats::wire::Wire;
use integration::nats::{client, header_map, in_time, received_headers, stream};
use integration::unique;
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use otel_messaging::{nats, w3c};

use crate::shop::{self, FRESH, STALE};

fn read(headers: Option<&HeaderMap>) -> Context {
    nats::extract(&w3c::Propagator::new(), headers)
}

fn traceparent(context: &Context) -> String {
    shop::traceparent(context.span().span_context())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_context_goes_out_and_the_other_headers_stay_as_they_are() {
    let (client, subject) = (client().await, unique("orders"));
    let mut wire = Wire::connect().await;
    wire.subscribe(&subject).await;
    let context = read(Some(&header_map(&[
        ("traceparent", FRESH),
        ("baggage", "tenant=blue sky"),
    ])));
    let mut headers = header_map(&[
        ("Traceparent", STALE),
        ("Xraceparent", STALE),
        ("tracestate", "stale=1"),
        ("Nats-Msg-Id", "order-7"),
        ("x-step", "first"),
        ("x-step", "second"),
    ]);

    nats::inject(&w3c::Propagator::new(), &context, &mut headers);
    client
        .publish_with_headers(subject, headers, "two books".into())
        .await
        .expect("a publish");
    let message = wire.next().await;

    let mut headers = message.headers();
    headers.sort();
    let expected = header_map(&[
        ("traceparent", FRESH),
        ("baggage", "tenant=blue%20sky"),
        ("Nats-Msg-Id", "order-7"),
        ("x-step", "first"),
        ("x-step", "second"),
    ]);
    assert_eq!(headers, received_headers(Some(&expected)));
    assert_eq!(message.payload, b"two books");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_context_is_stored_in_a_stream() {
    let context = jetstream::new(client().await);
    let stream = stream(&context, "orders").await;
    let subject = format!("{}.books", stream.cached_info().config.name);
    let trace = read(Some(&header_map(&[("traceparent", FRESH)])));

    let mut headers = HeaderMap::new();
    nats::inject(&w3c::Propagator::new(), &trace, &mut headers);
    context
        .publish_with_headers(subject, headers, "two books".into())
        .await
        .expect("a publish")
        .await
        .expect("an acknowledgement of the publish");
    let consumer = stream
        .create_consumer(consumer::pull::Config::default())
        .await
        .expect("a consumer");
    let mut messages = consumer.messages().await.expect("messages");
    let message = in_time(messages.next())
        .await
        .expect("a message")
        .expect("a message without error");
    message.double_ack().await.expect("an acknowledgement");
    let stored = stream.get_raw_message(1).await.expect("the message");

    for headers in [message.headers.as_ref(), Some(&stored.headers)] {
        assert_eq!(traceparent(&read(headers)), FRESH);
    }
}

/// An agent writes a trace with its state, and a service behind it adds a traceparent alone, as
/// Python's instrumentation does behind Java's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tracestate_stays_with_the_traceparent_that_it_came_with() {
    let (client, subject) = (client().await, unique("orders"));
    let mut orders = client.subscribe(subject.clone()).await.expect("orders");
    /// Headers, and of the context that they come to traceparent and tracestate.
    type Row = (
        &'static [(&'static str, &'static str)],
        &'static str,
        &'static str,
    );
    let rows: [Row; 5] = [
        (
            &[("traceparent", FRESH), ("tracestate", "agent=1")],
            FRESH,
            "agent=1",
        ),
        (
            &[
                ("traceparent", STALE),
                ("tracestate", "agent=1"),
                ("traceparent", FRESH),
            ],
            FRESH,
            "",
        ),
        (
            &[
                ("traceparent", STALE),
                ("tracestate", "agent=1"),
                ("traceparent", FRESH),
                ("tracestate", "own=2"),
            ],
            FRESH,
            "own=2",
        ),
        (
            &[
                ("Traceparent", STALE),
                ("Tracestate", "agent=1"),
                ("traceparent", FRESH),
            ],
            FRESH,
            "",
        ),
        (
            &[
                ("Traceparent", STALE),
                ("traceparent", FRESH),
                ("tracestate", "own=2"),
            ],
            FRESH,
            "own=2",
        ),
    ];
    let stock = TraceContextPropagator::new();
    let propagators: [&dyn TextMapPropagator; 2] = [&w3c::Propagator::new(), &stock];

    for (headers, expected, state) in rows {
        client
            .publish_with_headers(subject.clone(), header_map(headers), "two books".into())
            .await
            .expect("a publish");
        let message = in_time(orders.next()).await.expect("a message");
        for propagator in propagators {
            let context = nats::extract(propagator, message.headers.as_ref());
            assert_eq!(traceparent(&context), expected, "{headers:?}");
            let span = context.span().span_context().clone();
            assert_eq!(span.trace_state().header(), state, "{headers:?}");
        }
    }
}
