//! Messages exchanged with nats-py.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test panics where it fails"
)]

use std::time::Duration;

use async_nats::client::RequestErrorKind;
use async_nats::{Client, HeaderMap, Message};
use futures::StreamExt as _;
use integration::nats::{client, header_map, in_time, subscribed, url};
use integration::python::{header, list, python, text};
use integration::unique;
use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::TraceContextExt as _;
use otel_messaging::{nats, w3c};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn read(headers: Option<&HeaderMap>) -> Context {
    nats::extract(&w3c::Propagator::new(), headers)
}

/// Asks until somebody listens.
async fn request(client: &Client, subject: &str, headers: &HeaderMap) -> Message {
    loop {
        let request = client.request_with_headers(subject.to_owned(), headers.clone(), "?".into());
        match request.await {
            Ok(reply) => return reply,
            Err(error) => assert_eq!(error.kind(), RequestErrorKind::NoResponders),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_responder_reads_what_we_write_and_its_answer_is_of_our_trace() {
    let (client, subject) = (client().await, unique("to-python"));
    let context = read(Some(&header_map(&[("traceparent", TRACEPARENT)])));
    let context = context.with_baggage([opentelemetry::KeyValue::new("tenant", "blue sky + more")]);

    let headers = nats::inject(&w3c::Propagator::new(), &context, HeaderMap::new());
    let (url, program) = (url(), "nats_consume.py");
    let arguments = [&*url, &*subject];
    let program = python(program, &arguments);
    let (report, reply) = futures::join!(program, request(&client, &subject, &headers));

    assert_eq!(header(&report, "traceparent"), [TRACEPARENT]);
    assert_eq!(
        header(&report, "tracestate"),
        [""; 0],
        "none rather than an empty one"
    );
    assert_eq!(
        header(&report, "baggage"),
        ["tenant=blue%20sky%20%2B%20more"]
    );
    let [process] = list(&report, "spans") else {
        panic!("one span of Python's: {report}");
    };
    assert_eq!(text(process, "trace_id"), TRACE);
    assert_eq!(text(process, "parent_span_id"), "00f067aa0ba902b7");
    let answered = read(reply.headers.as_ref());
    let answered = answered.span().span_context().clone();
    assert_eq!(answered.trace_id().to_string(), TRACE);
    assert_eq!(answered.span_id().to_string(), text(process, "span_id"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn we_read_what_python_writes_and_what_go_does() {
    let (client, subject) = (client().await, unique("from-python"));
    let mut messages = client
        .subscribe(subject.clone())
        .await
        .expect("a subscription");
    subscribed(&client).await;

    let report = python("nats_produce.py", &[&url(), &subject]).await;

    for name in ["traceparent", "Traceparent"] {
        let message = in_time(messages.next()).await.expect("a message");
        let headers = message.headers.expect("headers");
        let written = headers.get(name).expect("the header in this case").as_str();
        assert_eq!(header(&report, "traceparent"), [written]);
        let context = read(Some(&headers));
        let creation = context.span().span_context().clone();
        assert_eq!(creation.trace_id().to_string(), text(&report, "trace_id"));
        let [span] = list(&report, "spans") else {
            panic!("one span of Python's: {report}");
        };
        assert_eq!(creation.span_id().to_string(), text(span, "span_id"));
        // Python writes a space as `+`, which by the W3C text stands for itself.
        let tenant = context.baggage().get("tenant").map(ToString::to_string);
        assert_eq!(tenant.as_deref(), Some("blue+sky"));
    }
}
