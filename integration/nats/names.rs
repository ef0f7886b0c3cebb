//! Names of which there is no end, and that are few on spans and metrics nevertheless.

use async_nats::ConnectOptions;
use async_nats::jetstream::stream::Config;
use async_nats::message::OutboundMessage;
use async_nats::service::ServiceExt as _;
use futures::StreamExt as _;
use integration::metrics::{consumed_messages, sent_messages};
use integration::nats::{Subject, acknowledged, measured, process_span, publish_span};
use integration::nats::{client, in_time, stream_of, subscribed, url};
use integration::unique;
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use otel_messaging::nats::{Consumer, Producer, jetstream};
use otel_messaging::policy::{Policy, Rule};
use otel_messaging::testing::{ExpectedSpan, Recorder};

use crate::numbered::{all, publish};
use crate::shop::{Orders, next};

const TEMPORARY: &str = "messaging.destination.temporary";

/// Attributes of metrics of what has this template, or nothing that stands for it.
fn counted_as(verb: &'static str, template: Option<&str>) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new("messaging.system.name", "nats"),
        KeyValue::new("messaging.operation.name", verb),
    ];
    let key = "messaging.destination.template";
    attributes.extend(template.map(|template| KeyValue::new(key, template.to_owned())));
    attributes
}

/// The whole span of publishing to what is gone with its user, and what stands for it.
fn known_by(inbox: &str, template: Option<&str>) -> ExpectedSpan {
    let span = match template {
        Some(template) => publish_span(SpanKind::Producer, Subject::one_of(inbox, template)),
        None => publish_span(SpanKind::Producer, inbox).named("publish"),
    };
    span.attribute(TEMPORARY, true)
}

/// Whoever answers has a client with another prefix than whoever asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_to_inboxes_of_another_prefix_are_known_by_what_they_have_in_common() {
    for (prefix, template) in [("_R_shop", "_R_shop"), ("_INBOX_alice", "_INBOX")] {
        let recorder = Recorder::new();
        let (telemetry, subject) = (recorder.telemetry(), unique("stock"));
        let asking = ConnectOptions::new().custom_inbox_prefix(prefix);
        let asking = asking.connect(url()).await.expect("a connection");
        let answering = Producer::wrap(&telemetry, client().await);
        let mut requests = answering
            .inner()
            .subscribe(subject.clone())
            .await
            .expect("a subscription");
        subscribed(answering.inner()).await;

        for _ in 0..2 {
            let responder = async {
                let request = in_time(requests.next()).await.expect("a request");
                let inbox = request.reply.expect("somebody who asks");
                let published = answering.publish(inbox.clone(), "12".into());
                published.await.expect("a publish");
                inbox
            };
            let ask = asking.request(subject.clone(), "how many?".into());
            let (answer, inbox) = tokio::join!(ask, responder);

            assert_eq!(answer.expect("an answer").payload, "12");
            known_by(&inbox, Some(template)).assert(&recorder.span(&format!("publish {template}")));
            recorder.clear();
        }

        sent_messages()
            .of(counted_as("publish", Some(template)), 2)
            .assert(&recorder);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inbox_of_another_prefix_that_is_subscribed_to_is_known_by_it_or_by_the_pattern() {
    let recorder = Recorder::new();
    let (inbox, sender) = (unique("_R_shop.7"), client().await);
    let consumer = Consumer::wrap(&recorder.telemetry(), client().await);
    let mut itself = consumer
        .subscribe(inbox.clone())
        .await
        .expect("a subscription");
    let mut by_pattern = consumer
        .subscribe("_R_shop.>")
        .await
        .expect("a subscription");
    subscribed(consumer.inner()).await;

    let published = sender.publish(inbox.clone(), "12".into());
    published.await.expect("a publish");
    for (messages, template) in [(&mut itself, "_R_shop"), (&mut by_pattern, "_R_shop.>")] {
        let answer = loop {
            let answer = in_time(messages.next()).await.expect("an answer");
            if *answer.subject == *inbox {
                break answer;
            }
        };
        answer.process(async |_| ()).await;

        process_span(Subject::one_of(&inbox, template))
            .attribute(TEMPORARY, true)
            .assert(&recorder.span(&format!("process {template}")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_a_bucket_are_known_by_what_one_would_subscribe_to() {
    let recorder = Recorder::new();
    let telemetry = recorder.telemetry();
    let context = async_nats::jetstream::new(client().await);
    let bucket = unique("orders");
    let template = format!("$KV.{bucket}.>");
    // What the client makes of a bucket.
    let config = Config {
        name: format!("KV_{bucket}"),
        subjects: vec![template.clone()],
        ..Config::default()
    };
    let store = stream_of(&context, config).await;
    let one = |key: &str| format!("$KV.{bucket}.{key}");
    let consumer = Consumer::wrap(&telemetry, client().await);
    let mut changes = consumer.subscribe(one("8")).await.expect("a subscription");
    subscribed(consumer.inner()).await;

    let to_stream = jetstream::Producer::wrap(&telemetry, context.clone());
    let published = to_stream.publish(one("7"), "two books".into()).await;
    let ack = published.expect("a publish").await.expect("an ack");
    let producer = Producer::wrap(&telemetry, context.client());
    let published = producer.publish(one("8"), "a lamp".into());
    published.await.expect("a publish");
    let change = in_time(changes.next()).await.expect("a message");
    change.process(async |_| ()).await;

    let stored = store.get_last_raw_message_by_subject(&one("7")).await;
    assert_eq!(stored.expect("a value").payload, "two books");
    let spans = recorder.spans();
    let [first, second, changed] = &spans[..] else {
        panic!("three spans: {spans:?}");
    };
    let put = |key| publish_span(SpanKind::Producer, Subject::one_of(&one(key), &template));
    acknowledged(put("7"), &ack).assert(first);
    put("8").assert(second);
    process_span(Subject::one_of(&one("8"), &template))
        .child_of(&second.span_context)
        .link(&second.span_context)
        .assert(changed);
    sent_messages()
        .of(counted_as("publish", Some(&template)), 2)
        .assert(&recorder);
    consumed_messages()
        .of(counted_as("next", Some(&template)), 1)
        .assert(&recorder);

    recorder.clear();
    let many = ["9", "10"].map(|key| OutboundMessage {
        subject: one(key).into(),
        payload: "a lamp".into(),
        reply: None,
        headers: None,
    });
    for result in producer.publish_batch(many).await {
        result.expect("a publish");
    }
    let names = recorder.spans().into_iter().map(|span| span.name);
    let [create, publish] = ["create", "publish"].map(|verb| format!("{verb} {template}"));
    assert_eq!(Vec::from_iter(names), [create.clone(), create, publish]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledgements_that_are_published_by_hand_have_one_name() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    publish(&orders, 0..2).await;
    let telemetry = otel_messaging::Telemetry::new();
    let consumer = orders.consumer(&telemetry, all(&orders)).await;
    let mut messages = consumer.messages().await.expect("messages");
    let producer = Producer::wrap(&recorder.telemetry(), orders.context.client());

    for _ in 0..2 {
        recorder.clear();
        let order = next(&mut messages).await;
        let subject = order
            .reply
            .clone()
            .expect("an acknowledgement is asked for");
        assert!(subject.starts_with("$JS.ACK."), "{subject}");
        // The server answers once it knows.
        let acked = producer.request(subject.clone(), "+ACK".into());
        acked.await.expect("an answer");
        let published = producer.publish(subject.clone(), "+ACK".into());
        published.await.expect("a publish");

        publish_span(SpanKind::Producer, Subject::one_of(&subject, "$JS.ACK.>"))
            .assert(&recorder.span("publish $JS.ACK.>"));
    }
    sent_messages()
        .of(counted_as("request", Some("$JS.ACK.>")), 2)
        .of(counted_as("publish", Some("$JS.ACK.>")), 2)
        .assert(&recorder);
    let info = consumer.inner().clone().info().await.expect("info").clone();
    assert_eq!(info.num_ack_pending, 0);
}

/// Whoever asks says where to, which has nothing to do with what the endpoint listens to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_of_a_micro_service_is_known_by_where_it_goes_and_never_by_the_endpoint() {
    let recorder = Recorder::new();
    let (name, serving) = (unique("stock"), client().await);
    let service = serving.service_builder().start(&name, "1.0.0").await;
    let service = service.expect("a service");
    let pattern = format!("{name}.*");
    let endpoint = service.endpoint(&pattern).await;
    let consumer = Consumer::wrap(&recorder.telemetry(), serving.clone());
    let mut requests = consumer.endpoint(&pattern, endpoint.expect("an endpoint"));
    subscribed(&serving).await;
    let asking = client().await;

    let replies = [
        (unique("answers"), None),
        (unique("_R_shop.7"), Some("_R_shop")),
        (unique("$ANSWERS.shop.7"), Some("$ANSWERS.shop.>")),
    ];
    for (reply, template) in &replies {
        recorder.clear();
        let published =
            asking.publish_with_reply(format!("{name}.get"), reply.clone(), "how many?".into());
        published.await.expect("a publish");
        let request = in_time(requests.next()).await.expect("a request");
        request.respond(Ok("12".into())).await.expect("an answer");

        let [span] = &recorder.spans()[..] else {
            panic!("one span");
        };
        known_by(reply, *template).assert(span);
    }
    let sent = replies.iter().fold(sent_messages(), |sent, (_, template)| {
        sent.of(counted_as("publish", *template), 1)
    });
    sent.assert(&recorder);
}

/// Whoever asks may choose any number of prefixes too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prefixes_without_number_are_no_names_and_a_policy_can_give_them_one() {
    let recorder = Recorder::new();
    let policy = Policy::new().rule(Rule::of("_X_*").template("answers"));
    let telemetry = recorder.telemetry().policy(policy);
    let telemetry = telemetry.max_destination_names(2);
    let producer = Producer::wrap(&telemetry, client().await);

    let inboxes = [
        ("_R_1.7", Some("_R_1")),
        ("_INBOX_3.7", Some("_INBOX")),
        ("_R_2.7", None),
        ("_R_1.8", Some("_R_1")),
        ("_X_4.7", Some("answers")),
    ];
    for (inbox, _) in inboxes {
        let published = producer.publish(inbox, "12".into());
        published.await.expect("a publish");
    }

    let spans = recorder.spans();
    assert_eq!(spans.len(), inboxes.len());
    for (span, (inbox, template)) in spans.iter().zip(inboxes) {
        known_by(inbox, template).assert(span);
    }
    sent_messages()
        .of(counted_as("publish", Some("_R_1")), 2)
        .of(counted_as("publish", None), 1)
        .of(counted_as("publish", Some("_INBOX")), 1)
        .of(counted_as("publish", Some("answers")), 1)
        .assert(&recorder);
}

/// Where each job has a subject of its own, or a pattern, somebody subscribes for each job.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_subscriptions_of_a_client_have_as_many_names_as_one() {
    let recorder = Recorder::new();
    let telemetry = recorder.telemetry().max_destination_names(2);
    let consumer = Consumer::wrap(&telemetry, client().await);
    let jobs = unique("jobs");
    let [first, second] = ["1", "2"].map(|job| format!("{jobs}.{job}"));
    let [third, fourth] = ["3", "4"].map(|job| format!("{jobs}.{job}.done"));
    let [pattern, further] = ["3", "4"].map(|job| format!("{jobs}.{job}.*"));
    let unnamed = |subject: &str| process_span(subject).named("process");
    let rows = [
        (&first, &first, process_span(&*first)),
        (
            &pattern,
            &third,
            process_span(Subject::one_of(&third, &pattern)),
        ),
        (&second, &second, unnamed(&second)),
        (&further, &fourth, unnamed(&fourth)),
        (&first, &first, process_span(&*first)),
    ];

    for (subscribed_to, subject, expected) in rows {
        recorder.clear();
        let done = consumer.subscribe(subscribed_to.clone()).await;
        let mut done = done.expect("a subscription");
        let published = consumer.inner().publish(subject.clone(), "done".into());
        published.await.expect("a publish");
        let done = in_time(done.next()).await.expect("a message");
        done.process(async |_| ()).await;

        let [span] = &recorder.spans()[..] else {
            panic!("one span");
        };
        expected.assert(span);
    }
    consumed_messages()
        .of(measured("next", &first), 2)
        .of(counted_as("next", Some(&pattern)), 1)
        .of(counted_as("next", None), 2)
        .assert(&recorder);
}
