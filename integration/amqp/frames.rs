//! Messages whose headers leave little room in a frame for a context, or none.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use integration::amqp::{CLIENT_ID, confirming, consume, next, queue, url};
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Confirmation, Connection, ConnectionProperties};
use opentelemetry::context::FutureExt as _;
use opentelemetry::{Context, KeyValue};
use otel_messaging::amqp::{self, ConnectionInfo, Producer, Publish};
use otel_messaging::policy::{Policy, Rule};
use otel_messaging::testing::{ExpectedMetric, Recorder};
use otel_messaging::w3c;

use crate::headers::{TRACEPARENT, context};

/// The smallest that lapin agrees to.
const FRAME_MAX: usize = 8192;

/// What a frame has beside a note: its own 22 bytes, the table's size, and the note's name and type.
const WITHOUT_NOTE: usize = 22 + 4 + (1 + 4 + 1 + 4);

async fn narrow_connection() -> Connection {
    let url = format!("{}?frame_max={FRAME_MAX}", url());
    let connection = Connection::connect(&url, ConnectionProperties::default())
        .await
        .expect("a connection to the RabbitMQ of AMQP_URL");
    let agreed = connection.configuration().frame_max();
    assert_eq!(usize::try_from(agreed), Ok(FRAME_MAX));
    connection
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
    let connection = narrow_connection().await;
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
        let mut problems = ExpectedMetric::counter("otel_messaging.context.problems", "{message}");
        if let Some(problem) = problem {
            let attributes = [
                KeyValue::new("messaging.system", "rabbitmq"),
                KeyValue::new("messaging.operation.name", "publish"),
                KeyValue::new("messaging.destination.name", orders.to_string()),
                KeyValue::new("otel_messaging.context.problem", problem),
            ];
            problems = problems.of(attributes, 1);
        }
        problems.assert(&recorder);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_message_of_a_batch_has_the_room_of_its_own_frame() {
    let connection = narrow_connection().await;
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

/// What the first one is good for. RabbitMQ lets a frame be a few bytes larger than it says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_is_too_large_costs_the_connection() {
    let connection = narrow_connection().await;
    let channel = confirming(&connection).await;
    let orders = queue(&channel, "orders").await;

    let headers = amqp::inject(&w3c::Propagator::new(), &upstream(), leaving(0));
    let confirm = channel.basic_publish(
        "".into(),
        orders,
        BasicPublishOptions::default(),
        b"two books",
        BasicProperties::default().with_headers(headers),
    );
    let confirmed = confirm.await.expect("a publish").await;

    let error = confirmed.expect_err("the broker closes the connection");
    assert!(error.is_amqp_hard_error(), "{error}");
}
