//! Messages that have just room enough for their context, and those that have not.

use async_nats::HeaderMap;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::Config;
use async_nats::service::ServiceExt as _;
use async_nats::service::error::Error;
use futures::StreamExt as _;
use integration::metrics::{problem, problems};
use integration::nats::{client, in_time, subscribed};
use integration::nats::{measured, publish_span};
use integration::unique;
use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::SpanKind;
use otel_messaging::Telemetry;
use otel_messaging::nats::{Consumer, Producer, jetstream};
use otel_messaging::policy::{Policy, Rule};
use otel_messaging::testing::Recorder;

use crate::shop::{Orders, only};

const PROBLEMS: &str = "otel_messaging.context.problems";

/// A block of headers with a traceparent alone.
const CONTEXT: usize = "NATS/1.0\r\n".len() + "traceparent: ".len() + 55 + "\r\n\r\n".len();

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_fits_without_its_context_goes_out_without_it() {
    let recorder = Recorder::new();
    let (subject, receiver) = (unique("orders"), client().await);
    let mut messages = receiver
        .subscribe(subject.clone())
        .await
        .expect("a subscription");
    subscribed(&receiver).await;
    let producer = Producer::wrap(&recorder.telemetry(), client().await);
    let room = producer.inner().max_payload() - CONTEXT;
    let baggage = Context::new().with_baggage([opentelemetry::KeyValue::new("tenant", "blue")]);
    let rows = [
        (room, None, true, 0),
        (room, Some(baggage), true, 1),
        (room + 1, None, false, 2),
        (room + CONTEXT, None, false, 3),
    ];

    for (size, context, has_context, problems) in rows {
        producer
            .publish(subject.clone(), vec![0; size].into())
            .with_context(context.unwrap_or_default())
            .await
            .expect("a publish");

        let message = in_time(messages.next()).await.expect("a message");
        assert_eq!(message.payload.len(), size);
        let traceparent = only(message.headers.as_ref(), "traceparent");
        assert_eq!(traceparent.is_some(), has_context, "{size}");
        assert_eq!(only(message.headers.as_ref(), "baggage"), None);
        assert_eq!(recorder.counter_total(PROBLEMS), problems, "{size}");
    }
}

/// A stream takes 65535 bytes of headers, as the server counts them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_gets_no_more_headers_than_it_takes() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    let producer = jetstream::Producer::wrap(&recorder.telemetry(), orders.context.clone());
    let room = 65535 - CONTEXT - "x: \r\n".len();

    for (size, has_context, problems) in [(room, true, 0), (room + 1, false, 1)] {
        let mut headers = HeaderMap::new();
        headers.insert("x", "x".repeat(size));
        let ack = producer
            .publish_with_headers(orders.subject("7"), headers, "two books".into())
            .await
            .expect("a publish")
            .await
            .expect("the stream takes it");

        let stored = orders
            .stream
            .get_raw_message(ack.sequence)
            .await
            .expect("the message");
        let traceparent = only(Some(&stored.headers), "traceparent");
        assert_eq!(traceparent.is_some(), has_context, "{size}");
        assert_eq!(recorder.counter_total(PROBLEMS), problems, "{size}");
    }
}

/// Most bytes of a message that the stream of [`limited`] takes, its block of headers included.
const STREAM_LIMIT: usize = 1000;

async fn limited(telemetry: &Telemetry) -> (Orders, jetstream::Producer) {
    let limit = i32::try_from(STREAM_LIMIT).expect("a small number");
    let orders = Orders::with(Config {
        max_message_size: limit,
        ..Config::default()
    });
    let orders = orders.await;
    let producer = jetstream::Producer::wrap(telemetry, orders.context.clone());
    (orders, producer)
}

fn payload(size: usize) -> PublishMessage {
    PublishMessage::build().payload(vec![0; size].into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_for_a_streams_limit_that_the_client_does_not_know_is_counted() {
    let recorder = Recorder::new();
    let (orders, producer) = limited(&recorder.telemetry()).await;
    let subject = orders.subject("7");
    let fitting = STREAM_LIMIT - CONTEXT;

    let bare = producer
        .inner()
        .send_publish(subject.clone(), payload(STREAM_LIMIT));
    let bare = bare.await.expect("a publish").await;
    bare.expect("the stream takes it without a context");
    let mut refused = Vec::new();
    for size in [fitting, fitting + 1] {
        let sent = producer.send_publish(subject.clone(), payload(size)).await;
        refused.push(sent.expect("a publish").await.is_err());
    }
    let sizes = [fitting + 1, fitting, STREAM_LIMIT];
    let messages = sizes.map(|size| (subject.clone(), payload(size)));
    for sent in producer.publish_batch(messages).await {
        refused.push(sent.is_err());
    }

    assert_eq!(refused, [false, true, true, false, true]);
    let spans = recorder.spans();
    let sent = &spans[1];
    publish_span(SpanKind::Producer, &*subject)
        .error("jetstream_10054")
        .assert(sent);
    let problem = problem(measured("publish", &subject), "refused_for_size");
    problems().of(problem, 3).assert(&recorder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_context_that_a_stream_has_no_room_for_is_left_out_where_the_policy_knows_its_limit() {
    let recorder = Recorder::new();
    let policy = Policy::new().rule(Rule::of("orders*").max_message_bytes(STREAM_LIMIT));
    let (orders, producer) = limited(&recorder.telemetry().policy(policy)).await;
    let subject = orders.subject("7");
    let fitting = STREAM_LIMIT - CONTEXT;
    let sizes = [fitting, fitting + 1, STREAM_LIMIT];

    for size in sizes {
        let sent = producer.send_publish(subject.clone(), payload(size)).await;
        sent.expect("a publish").await.expect("an acknowledgement");
    }
    let messages = sizes.map(|size| (subject.clone(), payload(size)));
    let sent = producer.publish_batch(messages).await;

    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    for (sequence, has_context) in (1..).zip([true, false, false, true, false, false]) {
        let stored = orders.stream.get_raw_message(sequence).await;
        let headers = stored.expect("the message").headers;
        let carried = only(Some(&headers), "traceparent");
        assert_eq!(carried.is_some(), has_context, "{sequence}");
    }
    let left_out = |verb| problem(measured(verb, &subject), "context_left_out");
    problems()
        .of(left_out("publish"), 2)
        .of(left_out("create"), 2)
        .assert(&recorder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_without_a_context_of_ours_is_no_problem_of_it() {
    let recorder = Recorder::new();
    let policy = Policy::new().rule(Rule::of("orders*").max_message_bytes(STREAM_LIMIT));
    let (orders, producer) = limited(&recorder.telemetry().policy(policy)).await;
    let subject = orders.subject("7");
    let core = Producer::wrap(&recorder.telemetry(), client().await);
    let too_much = vec![0; core.inner().max_payload() + 1];

    let sent = producer.send_publish(subject.clone(), payload(STREAM_LIMIT + 1));
    let sent = sent.await.expect("a publish").await;
    let published = core.publish(subject.clone(), too_much.into()).await;

    assert!(sent.is_err() && published.is_err());
    let left_out = problem(measured("publish", &subject), "context_left_out");
    problems().of(left_out, 2).assert(&recorder);
}

/// The client writes the error of a micro-service into headers of its own, behind ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_error_of_a_micro_service_that_fits_without_a_context_goes_out_without_it() {
    let recorder = Recorder::new();
    let (name, serving) = (unique("stock"), client().await);
    let service = serving.service_builder().start(&name, "1.0.0").await;
    let service = service.expect("a service");
    let endpoint = service.endpoint(&name).await.expect("an endpoint");
    let consumer = Consumer::wrap(&recorder.telemetry(), serving.clone());
    let mut requests = consumer.endpoint(&name, endpoint);
    subscribed(&serving).await;
    let asking = client().await;
    let own = "Nats-Service-Error: \r\nNats-Service-Error-Code: 404\r\n";
    let fitting = serving.max_payload() - CONTEXT - own.len();
    let bare = serving.max_payload() - "NATS/1.0\r\n\r\n".len() - own.len();

    for (size, has_context, problems) in [
        (fitting, true, 0),
        (fitting + 1, false, 1),
        (bare, false, 2),
    ] {
        let ask = asking.request(name.clone(), "how many?".into());
        let responder = async {
            let request = in_time(requests.next()).await.expect("a request");
            let status = "k".repeat(size);
            request.respond(Err(Error { status, code: 404 })).await
        };
        let (answer, responded) = tokio::join!(ask, responder);

        responded.expect("it fits");
        let answer = answer.expect("an answer");
        let headers = answer.headers.as_ref();
        let said = only(headers, "Nats-Service-Error");
        assert_eq!(said.map(str::len), Some(size));
        assert_eq!(
            only(headers, "traceparent").is_some(),
            has_context,
            "{size}"
        );
        assert_eq!(recorder.counter_total(PROBLEMS), problems, "{size}");
    }
}
