//! Requests: one trace from asking to answering, and what becomes of those that nobody answers.

use std::time::Duration;

use async_nats::client::traits::Requester;
use async_nats::client::{PublishError, RequestErrorKind};
use async_nats::service::error::Error;
use async_nats::service::{self, ServiceExt as _};
use async_nats::{HeaderMap, Request};
use futures::StreamExt as _;
use integration::metrics::{and, sent_messages};
use integration::nats::{PATIENCE, client, in_time, subscribed, url};
use integration::nats::{Subject, measured, process_span, publish_span, request_span};
use integration::unique;
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanKind, Status};
use otel_messaging::Batch;
use otel_messaging::nats::{Consumer, Producer};
use otel_messaging::testing::{ExpectedSpan, Recorder};

use crate::numbered::{NEXT, PROCESS, batch_span};
use crate::shop::{only, traceparent};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_its_handling_and_its_answer_are_one_trace() {
    let recorder = Recorder::new();
    let (telemetry, subject) = (recorder.telemetry(), unique("stock"));
    let asking = Producer::wrap(&telemetry, client().await);
    let answering = Producer::wrap(&telemetry, client().await);
    let consumer = Consumer::wrap(&telemetry, answering.inner().clone());
    let mut requests = consumer
        .subscribe(subject.clone())
        .await
        .expect("a subscription");
    subscribed(consumer.inner()).await;

    let responder = async {
        let request = in_time(requests.next()).await.expect("a request");
        let inbox = request.reply.clone().expect("somebody who asks");
        let answer = async |_| answering.publish(inbox.clone(), "12".into()).await;
        request.process(answer).await.expect("an answer");
        inbox.to_string()
    };
    let (answer, inbox) = tokio::join!(
        asking.request(subject.clone(), "how many?".into()),
        responder
    );

    let answer = answer.expect("an answer");
    assert_eq!(answer.payload, "12");
    let ask = recorder.span(&format!("request {subject}"));
    request_span(&*subject).assert(&ask);
    let handle = recorder.span(&format!("process {subject}"));
    process_span(&*subject)
        .child_of(&ask.span_context)
        .link(&ask.span_context)
        .assert(&handle);
    let publish = recorder.span("publish _INBOX");
    publish_span(SpanKind::Producer, Subject::inbox(&inbox))
        .child_of(&handle.span_context)
        .assert(&publish);
    assert_eq!(
        only(answer.headers.as_ref(), "traceparent"),
        Some(&*traceparent(&publish.span_context))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_there_and_nobody_answering_are_errors_of_their_own() {
    let recorder = Recorder::new();
    let subject = unique("stock");
    let producer = Producer::wrap(&recorder.telemetry(), client().await);

    let nobody = producer.request(subject.clone(), "how many?".into()).await;
    assert_eq!(
        nobody.map_err(|error| error.kind()).map(drop),
        Err(RequestErrorKind::NoResponders)
    );
    request_span(&*subject)
        .error("no_responders")
        .assert(&recorder.span(&format!("request {subject}")));

    recorder.clear();
    let silent = client().await;
    let _requests = silent
        .subscribe(subject.clone())
        .await
        .expect("a subscription");
    subscribed(&silent).await;
    let soon = Request::new().timeout(Some(Duration::from_millis(100)));
    let late = producer.send_request(subject.clone(), soon).await;
    assert_eq!(
        late.map_err(|error| error.kind()).map(drop),
        Err(RequestErrorKind::TimedOut)
    );
    request_span(&*subject)
        .error("timeout")
        .assert(&recorder.span(&format!("request {subject}")));
    let counted = recorder.counter_total("messaging.client.sent.messages");

    recorder.clear();
    let malformed = producer.request("not a subject", "how many?".into()).await;
    assert_eq!(
        malformed.map_err(|error| error.kind()).map(drop),
        Err(RequestErrorKind::InvalidSubject)
    );
    request_span("not a subject")
        .error("invalid_subject")
        .assert(&recorder.span("request not a subject"));
    let sent = recorder.counter_total("messaging.client.sent.messages");
    assert_eq!(sent, counted, "the client has not taken it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_given_up_has_no_outcome() {
    let recorder = Recorder::new();
    let subject = unique("stock");
    let silent = client().await;
    let _requests = silent
        .subscribe(subject.clone())
        .await
        .expect("a subscription");
    subscribed(&silent).await;
    let producer = Producer::wrap(&recorder.telemetry(), client().await);

    let request = producer.request(subject.clone(), "how many?".into());
    tokio::time::timeout(Duration::from_millis(50), request)
        .await
        .expect_err("nobody answers");

    request_span(&*subject).assert(&recorder.span(&format!("request {subject}")));
    sent_messages()
        .of(measured("request", &subject), 1)
        .assert(&recorder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_micro_service_answers_in_the_trace_of_the_request() {
    let recorder = Recorder::new();
    let (telemetry, name) = (recorder.telemetry(), unique("stock"));
    let serving = client().await;
    let service = serving
        .service_builder()
        .start(&name, "1.0.0")
        .await
        .expect("a service");
    let subject = format!("{name}.get");
    let endpoint = service.endpoint(&subject).await.expect("an endpoint");
    let mut requests = Consumer::wrap(&telemetry, serving.clone()).endpoint(&subject, endpoint);
    subscribed(&serving).await;
    let asking = Producer::wrap(&telemetry, client().await);

    let responder = async {
        for answer in [
            Ok("12".into()),
            Err(Error {
                status: "no such book".to_owned(),
                code: 404,
            }),
        ] {
            let request = in_time(requests.next()).await.expect("a request");
            request
                .process(async |request| request.respond(answer).await)
                .await
                .expect("an answer");
        }
        requests.stop().await.expect("it stops");
    };
    let ask = async {
        let first = asking.request(subject.clone(), "how many?".into()).await;
        let second = asking.request(subject.clone(), "how many?".into()).await;
        [first.expect("an answer"), second.expect("an answer")]
    };
    let (answers, ()) = tokio::join!(ask, responder);

    let code = answers
        .each_ref()
        .map(|answer| only(answer.headers.as_ref(), "Nats-Service-Error-Code"));
    assert_eq!(code, [None, Some("404")]);
    let spans = recorder.spans();
    let named = |name: &str| -> Vec<_> { spans.iter().filter(|span| span.name == name).collect() };
    let asked = named(&format!("request {subject}"));
    let handled = named(&format!("process {subject}"));
    let answered = named("publish _INBOX");
    assert_eq!([asked.len(), handled.len(), answered.len()], [2, 2, 2]);
    request_span(&*subject).assert(asked[0]);
    request_span(&*subject)
        .error("service_error_404")
        .description("no such book")
        .assert(asked[1]);
    for ((ask, handle), (publish, answer)) in asked
        .iter()
        .zip(&handled)
        .zip(answered.iter().zip(&answers))
    {
        process_span(&*subject)
            .child_of(&ask.span_context)
            .link(&ask.span_context)
            .assert(handle);
        publish_span(SpanKind::Producer, Subject::inbox(&answer.subject))
            .child_of(&handle.span_context)
            .assert(publish);
        assert_eq!(
            only(answer.headers.as_ref(), "traceparent"),
            Some(&*traceparent(&publish.span_context))
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_micro_service_answers_a_batch_of_requests() {
    let recorder = Recorder::new();
    let (name, serving) = (unique("stock"), client().await);
    let service = serving
        .service_builder()
        .start(&name, "1.0.0")
        .await
        .expect("a service");
    let subject = format!("{name}.get");
    let endpoint = service.endpoint(&subject).await.expect("an endpoint");
    let consumer = Consumer::wrap(&recorder.telemetry(), serving.clone());
    let mut batches = consumer.endpoint(&subject, endpoint).batches(2, PATIENCE);
    subscribed(&serving).await;
    let asking = Producer::wrap(&recorder.telemetry(), client().await);

    let responder = async {
        let batch = in_time(batches.recv()).await.expect("a batch");
        let answer = async |requests: &Batch<service::Request>| {
            for request in requests {
                request.respond(Ok("12".into())).await?;
            }
            Ok::<_, PublishError>(())
        };
        batch.process(answer).await.expect("answers");
        batches.inner_mut().stop().await.expect("it stops");
        assert!(in_time(batches.recv()).await.is_none(), "the end");
    };
    let ask = || asking.request(subject.clone(), "how many?".into());
    let (first, second, ()) = tokio::join!(ask(), ask(), responder);

    let answers = [first.expect("an answer"), second.expect("an answer")];
    assert_eq!(answers.map(|answer| answer.payload), ["12", "12"]);
    let spans = recorder.spans();
    let named = |name: &str| -> Vec<_> { spans.iter().filter(|span| span.name == name).collect() };
    let asked = named(&format!("request {subject}"));
    assert_eq!(asked.len(), 2);
    for operation in [NEXT, PROCESS] {
        let span = recorder.span(&format!("{} {subject}", operation.0));
        let expected = batch_span(operation, &subject, 2)
            .attribute("messaging.destination.name", subject.clone());
        let linked = span.links.iter().map(|link| link.span_context.span_id());
        let in_order = linked.map(|id| {
            let ask = asked.iter().find(|ask| ask.span_context.span_id() == id);
            &ask.expect("a request's span").span_context
        });
        let expected = in_order.fold(expected, ExpectedSpan::link);
        assert_eq!(span.links.len(), 2);
        expected.assert(&span);
    }
}

/// The answer is the client's own, whatever it says; that the request has failed is on its span.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_that_a_micro_service_answers_is_one_of_the_request_by_whatever_call() {
    let recorder = Recorder::new();
    let (name, serving) = (unique("stock"), client().await);
    let service = serving.service_builder().start(&name, "1.0.0").await;
    let subject = format!("{name}.get");
    let service = service.expect("a service");
    let endpoint = service.endpoint(&subject).await;
    let mut endpoint = endpoint.expect("an endpoint");
    subscribed(&serving).await;
    let asking = Producer::wrap(&recorder.telemetry(), client().await);
    let text = || format!("no \u{1b}book {}", "k".repeat(900));

    let answers = async {
        for code in [400, 400, 400, 10_077] {
            let request = in_time(endpoint.next()).await.expect("a request");
            let status = text();
            let answered = request.respond(Err(Error { status, code })).await;
            answered.expect("an answer");
        }
    };
    let ask = async {
        let headers = HeaderMap::new();
        let by_trait = Requester::send_request(&asking, subject.clone(), Request::new());
        [
            asking.request(subject.clone(), "which?".into()).await,
            asking
                .request_with_headers(subject.clone(), headers, "which?".into())
                .await,
            by_trait.await,
            asking.send_request(subject.clone(), Request::new()).await,
        ]
    };
    let (answers, ()) = tokio::join!(ask, answers);

    let error_types = [
        "service_error_400",
        "service_error_400",
        "service_error_400",
    ];
    let error_types = error_types.into_iter().chain(["service_error"]);
    let spans = recorder.spans();
    assert_eq!(spans.len(), answers.len());
    for ((span, answer), error_type) in spans.iter().zip(answers).zip(error_types) {
        request_span(&*subject).error(error_type).assert(span);
        let Status::Error { description } = &span.status else {
            panic!("no error: {span:?}");
        };
        assert!(
            description.starts_with("no \\u{1b}book kkk"),
            "{description}"
        );
        assert!(description.len() <= 256);
        let answer = answer.expect("an answer");
        let said = only(answer.headers.as_ref(), "Nats-Service-Error");
        assert_eq!(said.map(str::len), Some(text().len()));
    }
    let failed = |error_type| and(measured("request", &subject), "error.type", error_type);
    sent_messages()
        .of(failed("service_error_400"), 3)
        .of(failed("service_error"), 1)
        .assert(&recorder);
}

/// However many inboxes there are, they are one in metrics, by the prefix that the client gives them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inboxes_are_one_destination_in_metrics() {
    let recorder = Recorder::new();
    let own = async_nats::ConnectOptions::new().custom_inbox_prefix("_INBOX_shop");
    let own = own.connect(url()).await.expect("a connection");

    for (client, times) in [(client().await, 3), (own, 2)] {
        let producer = Producer::wrap(&recorder.telemetry(), client);
        for _ in 0..times {
            let inbox = producer.inner().new_inbox();
            let published = producer.publish(inbox, "12".into());
            published.await.expect("a publish");
        }
    }

    let of = |prefix: &'static str| {
        vec![
            KeyValue::new("messaging.system.name", "nats"),
            KeyValue::new("messaging.operation.name", "publish"),
            KeyValue::new("messaging.destination.template", prefix),
        ]
    };
    sent_messages()
        .of(of("_INBOX"), 3)
        .of(of("_INBOX_shop"), 2)
        .assert(&recorder);
}
