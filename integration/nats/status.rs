//! What the server says of a message, which is none.

use async_nats::StatusCode;
use async_nats::service::ServiceExt as _;
use futures::StreamExt as _;
use integration::metrics::{consumed_messages, process_duration};
use integration::nats::wire::Wire;
use integration::nats::{PATIENCE, client, in_time, subscribed};
use integration::nats::{Subject, process_span, receive_span};
use integration::unique;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, KeyValue};
use otel_messaging::Batch;
use otel_messaging::nats::{Consumer, Messages};
use otel_messaging::policy::{Policy, Rule};
use otel_messaging::testing::Recorder;

use crate::shop::{CONSUMED, FRESH, STALE, fresh, named, of_fresh, receiving};

/// Somebody who has asked and waits for answers in an inbox.
struct Asking {
    client: async_nats::Client,
    inbox: String,
    answers: Messages<async_nats::Subscriber>,
}

impl Asking {
    async fn open(recorder: &Recorder) -> Self {
        let receive = Policy::new().rule(Rule::of("*").receive_spans(true));
        let telemetry = recorder.telemetry().policy(receive);
        let consumer = Consumer::wrap(&telemetry, client().await);
        let inbox = consumer.inner().new_inbox();
        let answers = consumer.subscribe(inbox.clone()).await;
        subscribed(consumer.inner()).await;
        Self {
            client: consumer.inner().clone(),
            inbox,
            answers: answers.expect("a subscription"),
        }
    }

    /// Asks where nobody listens; the server says so.
    async fn nobody(&self) {
        let (subject, inbox) = (unique("stock"), self.inbox.clone());
        let asked = self
            .client
            .publish_with_reply(subject, inbox, "how many?".into());
        asked.await.expect("a publish");
    }

    async fn answer(&self) {
        let inbox = self.inbox.clone();
        self.client
            .publish_with_headers(inbox, fresh(), "12".into())
            .await
            .expect("a publish");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_is_given_to_the_application_and_is_no_message() {
    let recorder = Recorder::new();
    let mut asking = Asking::open(&recorder).await;

    asking.nobody().await;
    let status = in_time(asking.answers.next()).await.expect("a status");
    let around = Context::new().with_remote_span_context(named(STALE));
    let handled_in = status.process(async |_| {
        let context = Context::current();
        Ok::<_, String>(context.span().span_context().clone())
    });
    let handled_in = handled_in.with_context(around.clone()).await;
    let guarded = {
        let _around = around.attach();
        status.start_process_span().span_context()
    };

    assert_eq!(status.status, Some(StatusCode::NO_RESPONDERS));
    assert_eq!(handled_in, Ok(named(STALE)));
    assert_eq!(guarded, named(STALE));
    assert_eq!(recorder.spans().len(), 0);
    assert_eq!(recorder.counter_total(CONSUMED), 0);

    asking.answer().await;
    let answer = in_time(asking.answers.next()).await.expect("an answer");
    answer.process(async |_| ()).await;

    assert_eq!(answer.status, None);
    let spans = recorder.spans();
    let [received, processed] = &spans[..] else {
        panic!("two spans: {spans:?}");
    };
    receive_span(Subject::inbox(&asking.inbox))
        .link(&named(FRESH))
        .assert(received);
    of_fresh(process_span(Subject::inbox(&asking.inbox))).assert(processed);
    let attributes = receiving(&[("messaging.destination.template", "_INBOX")]);
    consumed_messages().of(attributes, 1).assert(&recorder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_in_a_batch_is_neither_counted_nor_linked() {
    let recorder = Recorder::new();
    let asking = Asking::open(&recorder).await;
    asking.nobody().await;
    asking.answer().await;
    asking.nobody().await;

    let mut batches = asking.answers.batches(3, PATIENCE);
    let batch = in_time(batches.recv()).await.expect("a batch");
    let mut seen = 0;
    batch.process(async |batch| seen = batch.len()).await;

    assert_eq!(seen, 3);
    let spans = recorder.spans();
    let [received, processed] = &spans[..] else {
        panic!("two spans: {spans:?}");
    };
    receive_span(Subject::inbox(&asking.inbox))
        .attribute("messaging.batch.message_count", 1)
        .link(&named(FRESH))
        .assert(received);
    process_span(Subject::inbox(&asking.inbox))
        .attribute("messaging.batch.message_count", 1)
        .link(&named(FRESH))
        .assert(processed);
    assert_eq!(recorder.counter_total(CONSUMED), 1);

    recorder.clear();
    let statuses = batch.into_inner().into_iter();
    let statuses = statuses.filter(|one| one.status.is_some());
    let statuses = Batch::from(statuses.collect::<Vec<_>>());
    statuses.process(async |_| ()).await;

    assert_eq!(statuses.len(), 2);
    assert_eq!(recorder.spans().len(), 0);
    let processed = receiving(&[("messaging.destination.template", "_INBOX")]);
    let processed = processed.into_iter().map(|one| match one.key.as_str() {
        "messaging.operation.name" => KeyValue::new(one.key, "process"),
        _ => one,
    });
    process_duration().of(processed, 1).assert(&recorder);
}

/// Nobody keeps others from sending a status by themselves; 200 is what every message could say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_micro_service_may_be_sent_a_status_too_and_a_message_may_say_that_it_is_one() {
    let recorder = Recorder::new();
    let (name, serving) = (unique("stock"), client().await);
    let service = serving.service_builder().start(&name, "1.0.0").await;
    let service = service.expect("a service");
    let subject = format!("{name}.get");
    let endpoint = service.endpoint(&subject).await.expect("an endpoint");
    let consumer = Consumer::wrap(&recorder.telemetry(), serving.clone());
    let mut requests = consumer.endpoint(&subject, endpoint);
    subscribed(&serving).await;

    let mut wire = Wire::connect().await;
    for block in ["NATS/1.0 503\r\n\r\n", "NATS/1.0 200\r\n\r\n"] {
        wire.publish(&subject, block.as_bytes(), b"which?").await;
        let request = in_time(requests.next()).await.expect("a request");
        request.process(async |_| ()).await;
    }

    let [span] = &recorder.spans()[..] else {
        panic!("one span");
    };
    process_span(&*subject).assert(span);
    assert_eq!(recorder.counter_total(CONSUMED), 1);
}
