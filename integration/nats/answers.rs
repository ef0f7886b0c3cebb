//! Answers of micro-services that are given where no handler runs.

use async_nats::service::ServiceExt as _;
use async_nats::service::error::Error;
use futures::StreamExt as _;
use integration::nats::{Subject, process_span, publish_span};
use integration::nats::{client, in_time, subscribed};
use integration::unique;
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanKind, TraceContextExt as _};
use otel_messaging::nats::{Consumer, Producer};
use otel_messaging::testing::Recorder;

use crate::batch_sends::spans_of;
use crate::shop::{FRESH, named, only, traceparent};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_outside_of_the_handler_is_in_the_trace_of_the_request() {
    let recorder = Recorder::new();
    let (name, serving) = (unique("stock"), client().await);
    let service = serving.service_builder().start(&name, "1.0.0").await;
    let subject = format!("{name}.get");
    let service = service.expect("a service");
    let endpoint = service.endpoint(&subject).await.expect("an endpoint");
    let consumer = Consumer::wrap(&recorder.telemetry(), serving.clone());
    let mut requests = consumer.endpoint(&subject, endpoint);
    subscribed(&serving).await;
    let asking = Producer::wrap(&recorder.telemetry(), client().await);

    let responder = async {
        let request = in_time(requests.next()).await.expect("a request");
        let handled = request.process(async |_| Ok::<_, Error>("12".into()));
        let answered = request.respond(handled.await).await;
        answered.expect("an answer");
        let request = in_time(requests.next()).await.expect("a request");
        let answered = request.respond(Ok("0".into())).await;
        answered.expect("an answer");
        let request = in_time(requests.next()).await.expect("a request");
        let active = Context::new().with_remote_span_context(named(FRESH));
        let answering = request.respond(Ok("7".into())).with_context(active);
        answering.await.expect("an answer");
    };
    let ask = async {
        let mut answers = Vec::new();
        for _ in 0..3 {
            let answer = asking.request(subject.clone(), "how many?".into()).await;
            answers.push(answer.expect("an answer"));
        }
        answers
    };
    let (answers, ()) = tokio::join!(ask, responder);

    let payloads = answers.iter().map(|answer| &*answer.payload);
    assert!(payloads.eq([&b"12"[..], b"0", b"7"]));
    let asked = spans_of(&recorder, "request");
    assert_eq!(asked.len(), 3);
    let handle = recorder.span(&format!("process {subject}"));
    process_span(&*subject)
        .child_of(&asked[0].span_context)
        .link(&asked[0].span_context)
        .assert(&handle);
    let answered = spans_of(&recorder, "publish _INBOX");
    assert_eq!(answered.len(), 3);
    let parents = [
        handle.span_context,
        asked[1].span_context.clone(),
        named(FRESH),
    ];
    for ((publish, answer), parent) in answered.iter().zip(&answers).zip(&parents) {
        publish_span(SpanKind::Producer, Subject::inbox(&answer.subject))
            .child_of(parent)
            .assert(publish);
        assert_eq!(
            only(answer.headers.as_ref(), "traceparent"),
            Some(&*traceparent(&publish.span_context))
        );
    }
}
