//! Messages whose headers leave little room in a frame for a context, or none.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use integration::amqp::{CLIENT_ID, Cable, confirming, consume, next, publish, queue, url};
use integration::metrics::problems;
use integration::whole;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::uri::AMQPUri;
use lapin::{BasicProperties, Confirmation, Connection, ConnectionProperties};
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanKind, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use otel_messaging::amqp::{self, ConnectionInfo, Producer, Publish};
use otel_messaging::policy::{Policy, Rule};
use otel_messaging::testing::Recorder;
use otel_messaging::w3c;

use crate::headers::{TRACEPARENT, context};

/// Less than RabbitMQ takes as it is installed.
const FRAME_MAX: usize = 8192;

/// What every connection takes.
const FRAME_MIN: usize = 4096;

/// What a frame has beside a note: its own 22 bytes, the table's size, and the note's name and type.
const WITHOUT_NOTE: usize = 22 + 4 + (1 + 4 + 1 + 4);

async fn narrow_connection(frame_max: usize) -> Connection {
    let connection = connect(&narrow_url(frame_max)).await;
    let agreed = connection.configuration().frame_max();
    assert_eq!(usize::try_from(agreed), Ok(frame_max));
    connection
}

fn narrow_url(frame_max: usize) -> String {
    format!("{}?frame_max={frame_max}", url())
}

async fn connect(url: &str) -> Connection {
    Connection::connect(url, ConnectionProperties::default())
        .await
        .expect("a connection to the RabbitMQ of AMQP_URL")
}

/// Headers of the user's that leave so many bytes of the frame.
fn leaving(room: usize) -> FieldTable {
    let note = "n".repeat(FRAME_MAX - WITHOUT_NOTE - room);
    let mut headers = FieldTable::default();
    headers.insert("note".into(), AMQPValue::LongString(note.into()));
    headers
}

/// Bytes of a header.
const fn size(name: &str, text: &str) -> usize {
    1 + name.len() + 1 + 4 + text.len()
}

fn upstream() -> Context {
    context(&[
        ("traceparent", TRACEPARENT),
        ("tracestate", TRACESTATE),
        ("baggage", BAGGAGE),
    ])
}

/// A context whose baggage is larger than any frame of these connections.
fn burdened() -> Context {
    let baggage = format!("burden={}", "b".repeat(5_000));
    context(&[("traceparent", TRACEPARENT), ("baggage", &baggage)])
}

/// What a problem with a message is counted with, where no server is known.
fn problem_of(problem: &'static str, verb: &'static str, queue: &ShortString) -> Vec<KeyValue> {
    vec![
        KeyValue::new("messaging.system.name", "rabbitmq"),
        KeyValue::new("messaging.operation.name", verb),
        KeyValue::new("messaging.destination.name", queue.to_string()),
        KeyValue::new("otel_messaging.context.problem", problem),
    ]
}

/// The same where one is.
fn problem_there(
    problem: &'static str,
    verb: &'static str,
    queue: &ShortString,
    url: &str,
) -> Vec<KeyValue> {
    let uri: AMQPUri = url.parse().expect("a URI");
    let mut attributes = problem_of(problem, verb, queue);
    attributes.push(KeyValue::new("server.address", uri.authority.host));
    attributes.push(KeyValue::new("server.port", i64::from(uri.authority.port)));
    attributes
}

async fn send(producer: &Producer, queue: &ShortString) -> lapin::Result<Confirmation> {
    let published = producer.basic_publish(
        "".into(),
        queue.clone(),
        BasicPublishOptions::default(),
        b"two books",
        BasicProperties::default(),
    );
    published.with_context(burdened()).await?.await
}

async fn send_two(producer: &Producer, queue: &ShortString) -> Vec<lapin::Result<Confirmation>> {
    let messages = [(); 2].map(|()| Publish::new("", queue.clone(), b"two books"));
    let published = producer.publish_batch(messages);
    published.with_context(burdened()).await
}

/// Takes the next message, and asserts that it came without the burden, but in its trace.
async fn expect_no_burden(consumer: &mut lapin::Consumer) {
    let delivery = next(consumer).await;
    let headers = delivery.properties.headers().as_ref().expect("headers");
    let names = headers.inner().keys().map(ShortString::as_str);
    assert_eq!(Vec::from_iter(names), ["traceparent"]);
}

const TRACESTATE: &str = "vendor=1";
const BAGGAGE: &str = "tenant=blue";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_context_that_does_not_fit_is_left_out_and_counted_and_the_connection_lives() {
    let traceparent = size("traceparent", TRACEPARENT);
    let tracestate = traceparent + size("tracestate", TRACESTATE);
    let baggage = tracestate + size("baggage", BAGGAGE);
    let rows = [
        (baggage, None, &["baggage", "traceparent", "tracestate"][..]),
        (
            baggage - 1,
            Some("baggage_left_out"),
            &["traceparent", "tracestate"],
        ),
        (
            tracestate - 1,
            Some("tracestate_left_out"),
            &["traceparent"],
        ),
        (traceparent - 1, Some("context_left_out"), &[]),
        (0, Some("context_left_out"), &[]),
    ];
    let connection = narrow_connection(FRAME_MAX).await;
    let channel = confirming(&connection).await;
    let orders = queue(&channel, "orders").await;
    let mut consumer = consume(&channel, &orders).await;
    let known = ConnectionInfo::of(&connection).client_id(CLIENT_ID);

    for (room, problem, names) in rows {
        let recorder = Recorder::new();
        let producer = Producer::wrap(&recorder.telemetry(), &known, channel.clone());
        let properties = BasicProperties::default().with_headers(leaving(room));
        let publish = producer.basic_publish(
            "".into(),
            orders.clone(),
            BasicPublishOptions::default(),
            b"two books",
            properties,
        );
        let confirm = publish.with_context(upstream()).await.expect("a publish");
        let confirmation = confirm.await.expect("the connection lives");
        let delivery = next(&mut consumer).await;

        assert_eq!(confirmation, Confirmation::Ack(None));
        let headers = delivery.properties.headers().as_ref().expect("headers");
        let carried = headers.inner().keys().map(|name| name.as_str());
        let carried: Vec<_> = carried.filter(|name| *name != "note").collect();
        assert_eq!(carried, names);
        assert_eq!(
            headers.inner().get("note"),
            leaving(room).inner().get("note")
        );
        let attributes = problem.map(|problem| problem_of(problem, "publish", &orders));
        let expected = attributes.map(|attributes| problems().of(attributes, 1));
        expected.unwrap_or_else(problems).assert(&recorder);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_message_of_a_batch_has_the_room_of_its_own_frame() {
    let connection = narrow_connection(FRAME_MAX).await;
    let channel = confirming(&connection).await;
    let orders = queue(&channel, "orders").await;
    let mut consumer = consume(&channel, &orders).await;
    let known = ConnectionInfo::of(&connection).client_id(CLIENT_ID);
    let rooms = [size("traceparent", TRACEPARENT), 0];

    for has_creates in [true, false] {
        let recorder = Recorder::new();
        let policy = Policy::new().rule(Rule::of("*").create_spans(has_creates));
        let telemetry = recorder.telemetry().policy(policy);
        let producer = Producer::wrap(&telemetry, &known, channel.clone());
        let messages = rooms.map(|room| {
            let properties = BasicProperties::default().with_headers(leaving(room));
            Publish::new("", orders.clone(), b"two books").properties(properties)
        });
        for result in producer.publish_batch(messages).await {
            assert_eq!(
                result.expect("the connection lives"),
                Confirmation::Ack(None)
            );
        }

        for has_context in [true, false] {
            let delivery = next(&mut consumer).await;
            let headers = delivery.properties.headers().as_ref().expect("headers");
            assert_eq!(headers.inner().contains_key("traceparent"), has_context);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrapped_as_the_readme_shows_no_context_costs_a_connection_however_narrow_it_is() {
    for frame_max in [FRAME_MIN, FRAME_MIN + 100] {
        let url = narrow_url(frame_max);
        let connection = narrow_connection(frame_max).await;
        let [channel, bystander] = [confirming(&connection).await, confirming(&connection).await];
        let orders = queue(&channel, "orders").await;
        let mut consumer = consume(&channel, &orders).await;
        let recorder = Recorder::new();

        let producer = Producer::wrap(&recorder.telemetry(), (&connection, &url), channel);
        let sent = send(&producer, &orders).await;
        assert_eq!(sent.expect("the connection lives"), Confirmation::Ack(None));
        for sent in send_two(&producer, &orders).await {
            assert_eq!(sent.expect("the connection lives"), Confirmation::Ack(None));
        }

        for _ in 0..3 {
            expect_no_burden(&mut consumer).await;
        }
        publish(&bystander, &orders, BasicProperties::default()).await;
        let left_out = "baggage_left_out";
        problems()
            .of(problem_there(left_out, "publish", &orders, &url), 1)
            .of(problem_there(left_out, "create", &orders, &url), 2)
            .assert(&recorder);
        let uri: AMQPUri = url.parse().expect("a URI");
        let sent_first = recorder.spans().into_iter().next().expect("a span");
        whole::span(format!("publish {orders}"), SpanKind::Producer)
            .attribute("messaging.system.name", "rabbitmq")
            .attribute("messaging.operation.name", "publish")
            .attribute("messaging.operation.type", "send")
            .attribute("messaging.destination.name", orders.to_string())
            .attribute("rabbitmq.destination.routing_key", orders.to_string())
            .attribute("server.address", uri.authority.host)
            .attribute("server.port", i64::from(uri.authority.port))
            .child_of(burdened().span().span_context())
            .assert(&sent_first);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_an_unknown_connection_no_more_is_taken_for_granted_than_the_protocol_promises() {
    let connection = narrow_connection(FRAME_MIN).await;
    let channel = confirming(&connection).await;
    let orders = queue(&channel, "orders").await;
    let mut consumer = consume(&channel, &orders).await;
    let recorder = Recorder::new();

    let producer = Producer::wrap(&recorder.telemetry(), ConnectionInfo::new(), channel);
    let sent = send(&producer, &orders).await;

    assert_eq!(sent.expect("the connection lives"), Confirmation::Ack(None));
    expect_no_burden(&mut consumer).await;
    problems()
        .of(problem_of("baggage_left_out", "publish", &orders), 1)
        .assert(&recorder);
}

/// Publishes messages that are larger than the broker takes, though the client cannot know: a proxy
/// between the two can agree on other frames with the one than with the other.
async fn send_through_a_proxy(
    url: &str,
    policy: Policy,
    queue: &ShortString,
    is_batch: bool,
) -> (Recorder, Vec<lapin::Result<Confirmation>>) {
    let connection = connect(url).await;
    let channel = confirming(&connection).await;
    let recorder = Recorder::new();
    let telemetry = recorder.telemetry().policy(policy);
    let producer = Producer::wrap(&telemetry, (&connection, url), channel);
    let sent = match is_batch {
        false => vec![send(&producer, queue).await],
        true => send_two(&producer, queue).await,
    };
    (recorder, sent)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_for_size_is_a_problem_that_is_counted() {
    let direct = confirming(&connect(&url()).await).await;
    let orders = queue(&direct, "orders").await;
    let url = Cable::narrow(4096).await.url();

    for is_batch in [false, true] {
        let (recorder, sent) = send_through_a_proxy(&url, Policy::new(), &orders, is_batch).await;

        let errors = sent.into_iter().map(|sent| sent.expect_err("too large"));
        // What was not written yet when the broker hung up has another error.
        let refused = errors.filter(lapin::Error::is_amqp_hard_error).count();
        assert_ne!(refused, 0);
        let problem = problem_there("refused_for_size", "publish", &orders, &url);
        problems()
            .of(problem, u64::try_from(refused).expect("few"))
            .assert(&recorder);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_for_the_destination_prevents_a_refusal() {
    let direct = confirming(&connect(&url()).await).await;
    let orders = queue(&direct, "orders").await;
    let mut consumer = consume(&direct, &orders).await;
    let url = Cable::narrow(4096).await.url();
    let policy = Policy::new().rule(Rule::of("orders*").max_message_bytes(FRAME_MIN));

    for (is_batch, verb, count) in [(false, "publish", 1), (true, "create", 2)] {
        let (recorder, sent) = send_through_a_proxy(&url, policy.clone(), &orders, is_batch).await;

        for sent in sent {
            assert_eq!(sent.expect("the connection lives"), Confirmation::Ack(None));
            expect_no_burden(&mut consumer).await;
        }
        problems()
            .of(
                problem_there("baggage_left_out", verb, &orders, &url),
                count,
            )
            .assert(&recorder);
    }
}

/// What the first one is good for. RabbitMQ lets a frame be a few bytes larger than it says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_is_too_large_costs_the_connection() {
    let connection = narrow_connection(FRAME_MAX).await;
    let channel = confirming(&connection).await;
    let orders = queue(&channel, "orders").await;

    let mut properties = BasicProperties::default().with_headers(leaving(0));
    amqp::inject(&w3c::Propagator::new(), &upstream(), &mut properties);
    let confirm = channel.basic_publish(
        "".into(),
        orders,
        BasicPublishOptions::default(),
        b"two books",
        properties,
    );
    let confirmed = confirm.await.expect("a publish").await;

    let error = confirmed.expect_err("the broker closes the connection");
    assert!(error.is_amqp_hard_error(), "{error}");
}
