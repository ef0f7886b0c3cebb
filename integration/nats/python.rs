//! Messages exchanged with nats-py.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test panics where it fails"
)]

use std::time::Duration;

use async_nats::Message;
use async_nats::client::RequestErrorKind;
use futures::StreamExt as _;
use integration::nats::{client, in_time, subscribed, url};
use integration::nats::{process_span, request_span};
use integration::python::{assert_carries, header, list, python, text};
use integration::unique;
use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::TraceContextExt as _;
use otel_messaging::nats::{self, Consumer, Producer};
use otel_messaging::testing::Recorder;
use otel_messaging::w3c;
use serde_json::Value;

fn only_span(report: &Value) -> &Value {
    let [span] = list(report, "spans") else {
        panic!("one span of Python's: {report}");
    };
    span
}

/// Asks until somebody listens; the last request is the only one that is recorded.
async fn request(recorder: &Recorder, producer: &Producer, subject: &str) -> Message {
    loop {
        match producer
            .request(subject.to_owned(), "how many?".into())
            .await
        {
            Ok(reply) => return reply,
            Err(error) => assert_eq!(error.kind(), RequestErrorKind::NoResponders),
        }
        recorder.clear();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_responder_reads_what_we_write_and_its_answer_is_of_our_trace() {
    let recorder = Recorder::new();
    let producer = Producer::wrap(&recorder.telemetry(), client().await);
    let subject = unique("to-python");
    let baggage = [opentelemetry::KeyValue::new("tenant", "blue sky + more")];
    let context = Context::new().with_baggage(baggage);

    let url = url();
    let arguments = [&*url, &*subject];
    let (report, reply) = futures::join!(
        python("nats_consume.py", &arguments),
        request(&recorder, &producer, &subject).with_context(context)
    );

    let sent = recorder.span(&format!("request {subject}"));
    request_span(&*subject).assert(&sent);
    let (trace_id, span_id) = (
        sent.span_context.trace_id().to_string(),
        sent.span_context.span_id().to_string(),
    );
    assert_carries(
        &report,
        &trace_id,
        &span_id,
        "tenant=blue%20sky%20%2B%20more",
    );
    let process = only_span(&report);
    assert_eq!(text(process, "trace_id"), trace_id);
    assert_eq!(text(process, "parent_span_id"), span_id);
    let answered = nats::extract(&w3c::Propagator::new(), reply.headers.as_ref());
    let answered = answered.span().span_context().clone();
    assert_eq!(answered.trace_id().to_string(), trace_id);
    assert_eq!(answered.span_id().to_string(), text(process, "span_id"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn we_continue_the_trace_that_python_writes_and_that_go_does() {
    let recorder = Recorder::new();
    let consumer = Consumer::wrap(&recorder.telemetry(), client().await);
    let subject = unique("from-python");
    let messages = consumer.subscribe(subject.clone()).await;
    let mut messages = messages.expect("a subscription");
    subscribed(consumer.inner()).await;

    let report = python("nats_produce.py", &[&url(), &subject]).await;

    for name in ["traceparent", "Traceparent"] {
        recorder.clear();
        let message = in_time(messages.next()).await.expect("a message");
        let tenant = message
            .process(async |_| {
                let context = Context::current();
                Ok::<_, String>(context.baggage().get("tenant").map(ToString::to_string))
            })
            .await;

        // Python writes a space as `+`, which by the W3C text stands for itself.
        assert_eq!(tenant, Ok(Some("blue+sky".to_owned())));
        let headers = message.headers.as_ref().expect("headers");
        let written = headers.get(name).expect("the header in this case").as_str();
        assert_eq!(header(&report, "traceparent"), [written]);
        let creation = message.creation_context().span().span_context().clone();
        assert_eq!(creation.trace_id().to_string(), text(&report, "trace_id"));
        assert_eq!(
            creation.span_id().to_string(),
            text(only_span(&report), "span_id")
        );
        process_span(&*subject)
            .child_of(&creation)
            .link(&creation)
            .assert(&recorder.span(&format!("process {subject}")));
    }
}
