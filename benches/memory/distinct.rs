//! Of which there are a million, each used once; of topics that are sent to, some thousands.

use async_nats::jetstream::consumer::pull::Config;
use async_nats::{Client, ConnectOptions, Subject};
use futures::future::join_all;
use lapin::options::{BasicPublishOptions, BasicQosOptions};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Context, KeyValue};
use otel_messaging::policy::Rule;
use otel_messaging::{Message, Received, amqp, kafka, nats};
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::runtime::Runtime;

use crate::answered::{PATIENCE, TOGETHER};
use crate::{MANY, Recording, alone, now, server};

fn processed<M: Message>(message: &Received<M>) {
    now(message.process(async |_| ()));
}

fn group(name: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("group.id", name).set("client.id", name);
    config
}

/// A context that another program gave a message.
fn of(number: usize) -> SpanContext {
    let number = u64::try_from(number).expect("a number") + 1;
    SpanContext::new(
        TraceId::from(u128::from(number)),
        SpanId::from(number),
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    )
}

#[test]
fn topics_that_are_received_from() {
    let _alone = alone();
    let recording = Recording::new();
    let consumer = kafka::TestConsumer::new(&recording.telemetry, &group("billing"));
    recording.assert_flat("topics that are received from", MANY, |number| {
        let message = kafka::TestMessage::of(format!("orders-{number}"));
        processed(&consumer.deliver(message.created_by(&of(number))));
    });
}

#[test]
fn topics_of_a_template() {
    let _alone = alone();
    let recording = Recording::with(Rule::of("orders-*").template("orders-{id}"));
    let consumer = kafka::TestConsumer::new(&recording.telemetry, &group("billing"));
    recording.assert_flat("topics of a template", MANY, |number| {
        processed(&consumer.deliver(kafka::TestMessage::of(format!("orders-{number}"))));
    });
}

#[test]
fn topics_of_batches() {
    let _alone = alone();
    let recording = Recording::new();
    let consumer = kafka::TestConsumer::new(&recording.telemetry, &group("billing"));
    recording.assert_flat("topics of batches", MANY / 4, |number| {
        let messages = (0..4).map(|one| {
            let message = kafka::TestMessage::of(format!("orders-{number}-{one}"));
            message.created_by(&of(4 * number + one))
        });
        now(consumer.deliver_batch(messages).process(async |_| ()));
    });
}

/// librdkafka and its mock cluster look through all topics for each, so that these are fewer.
#[test]
fn topics_that_are_sent_to() {
    let _alone = alone();
    let recording = Recording::new();
    let runtime = Runtime::new().expect("a runtime");
    let cluster = kafka::TestCluster::new([]).expect("a cluster");
    let producer = cluster.config().create::<FutureProducer>();
    let producer = kafka::Producer::wrap(&recording.telemetry, producer.expect("a producer"));
    recording.assert_no_more("topics that are sent to", 3_000, 6_000, |number| {
        if number % TOGETHER == TOGETHER - 1 {
            let sending = (number + 1 - TOGETHER..=number).map(async |number| {
                let topic = format!("orders-{number}");
                let record = FutureRecord::<str, _>::to(&topic).payload("two books");
                producer.send(record, PATIENCE).await.expect("a delivery");
            });
            runtime.block_on(join_all(sending));
        }
    });
}

/// As few, for the same reason. The client refuses the record at once.
#[test]
fn topics_of_records_that_are_refused() {
    let _alone = alone();
    let recording = Recording::new();
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", "127.0.0.1:1")
        .set("message.max.bytes", "1000");
    let producer: FutureProducer = config.create().expect("a producer");
    let producer = kafka::Producer::wrap(&recording.telemetry, producer);
    let payload = vec![0; 2_000];
    recording.assert_no_more(
        "topics of records that are refused",
        3_000,
        6_000,
        |number| {
            let topic = format!("orders-{number}");
            let record = FutureRecord::<[u8], _>::to(&topic).payload(&payload);
            producer
                .send_result(record)
                .map(drop)
                .expect_err("too large");
        },
    );
}

#[test]
fn routing_keys_and_exchanges_that_are_received_from() {
    let _alone = alone();
    let recording = Recording::new();
    let known = amqp::ConnectionInfo::new();
    let consumer = amqp::TestConsumer::new(&recording.telemetry, known, "orders");
    recording.assert_flat("routing keys and exchanges", MANY, |number| {
        let message = amqp::TestMessage::of(format!("order.{number}"));
        let message = message.exchange(format!("shop-{}", number / 2));
        processed(&consumer.deliver(message.created_by(&of(number))));
    });
}

/// On the RabbitMQ of `AMQP_URL`, which routes them nowhere.
#[test]
fn routing_keys_that_are_sent_to() {
    let _alone = alone();
    let recording = Recording::new();
    let url = std::env::var("AMQP_URL").expect("AMQP_URL names no RabbitMQ");
    let runtime = Runtime::new().expect("a runtime");
    let connecting = Connection::connect(&url, ConnectionProperties::default());
    let connection = runtime.block_on(connecting).expect("a connection");
    let channel = runtime
        .block_on(connection.create_channel())
        .expect("a channel");
    let known = amqp::ConnectionInfo::new();
    let producer = amqp::Producer::wrap(&recording.telemetry, known, channel.clone());
    recording.assert_flat("routing keys that are sent to", MANY, |number| {
        runtime.block_on(async {
            let published = producer.basic_publish(
                "".into(),
                format!("nobody.{number}").into(),
                BasicPublishOptions::default(),
                b"",
                BasicProperties::default(),
            );
            drop(published.await.expect("a publish"));
            // An answer comes behind all that was before.
            if number % 1_000 == 999 {
                let answered = channel.basic_qos(1, BasicQosOptions::default());
                answered.await.expect("an answer");
            }
        });
    });
}

#[test]
fn subjects_that_are_received_from() {
    let _alone = alone();
    let recording = Recording::new();
    let runtime = Runtime::new().expect("a runtime");
    let consumer = runtime.block_on(nats::TestConsumer::new(&recording.telemetry, ">"));
    recording.assert_flat("subjects that are received from", MANY, |number| {
        let message = nats::TestMessage::of(format!("orders.{number}.new"));
        processed(
            &consumer.deliver(
                message
                    .created_by(&of(number))
                    .reply(format!("_INBOX.{number}")),
            ),
        );
    });
}

#[test]
fn subjects_of_streams_that_are_received_from() {
    let _alone = alone();
    let recording = Recording::new();
    let runtime = Runtime::new().expect("a runtime");
    let telemetry = &recording.telemetry;
    let consumer = nats::jetstream::TestConsumer::new(telemetry, "ORDERS", Config::default());
    let consumer = runtime.block_on(consumer);
    recording.assert_flat("subjects of streams", MANY, |number| {
        let message = nats::jetstream::TestMessage::of(format!("orders.{number}.new"));
        let message = consumer.deliver(message.created_by(&of(number)));
        processed(&message);
    });
}

fn connected(runtime: &Runtime) -> Client {
    let address = server::start().expect("a server");
    let connecting = ConnectOptions::new().connect(address.to_string());
    runtime.block_on(connecting).expect("a connection")
}

#[test]
fn subjects_that_are_sent_to() {
    let _alone = alone();
    let recording = Recording::new();
    let runtime = Runtime::new().expect("a runtime");
    let client = connected(&runtime);
    let producer = nats::Producer::wrap(&recording.telemetry, client);
    recording.assert_flat("subjects that are sent to", MANY, |number| {
        runtime.block_on(async {
            let subject = Subject::from(format!("orders.{number}"));
            producer.publish(subject, "".into()).await.expect("room");
            if number % TOGETHER == TOGETHER - 1 {
                producer.flush().await.expect("a flush");
            }
        });
    });
}

#[test]
fn groups_and_clients() {
    let _alone = alone();
    let recording = Recording::new();
    recording.assert_flat("clients of groups of their own", MANY, |number| {
        let name = format!("billing-{number}");
        let consumer = kafka::TestConsumer::new(&recording.telemetry, &group(&name));
        processed(&consumer.deliver(kafka::TestMessage::of("orders")));
    });
}

#[test]
fn queue_groups_of_one_client() {
    let _alone = alone();
    let recording = Recording::new();
    let runtime = Runtime::new().expect("a runtime");
    let consumer = runtime.block_on(nats::TestConsumer::new(&recording.telemetry, "orders"));
    recording.assert_flat("queue groups of one client", MANY, |number| {
        let consumer = consumer.clone().queue_group(format!("billing-{number}"));
        processed(&consumer.deliver(nats::TestMessage::of("orders")));
    });
}

/// All that a stranger chooses: the trace, its state, members of baggage by name and value, and headers by name. The
/// policy shows as much of them as it can.
#[test]
fn what_strangers_write_into_headers() {
    let _alone = alone();
    let rule = Rule::of("*")
        .capture_headers(["*"])
        .baggage_on_spans(["*"])
        .baggage_on_metrics(["tenant"]);
    let recording = Recording::with(rule);
    let consumer = kafka::TestConsumer::new(&recording.telemetry, &group("billing"));
    recording.assert_flat("headers of strangers", MANY, |number| {
        let state = TraceState::from_key_value([(format!("v{number}"), number.to_string())]);
        let span = of(number);
        let span = SpanContext::new(
            span.trace_id(),
            span.span_id(),
            TraceFlags::SAMPLED,
            true,
            state.expect("a list"),
        );
        let context = Context::new().with_remote_span_context(span).with_baggage([
            KeyValue::new(format!("member-{number}"), "1"),
            KeyValue::new("tenant", number.to_string()),
        ]);
        let message = kafka::TestMessage::of("orders")
            .created_in(&context)
            .header(&format!("x-{number}"), number.to_string())
            .header("traceparent", format!("nonsense {number}"));
        processed(&consumer.deliver(message));
    });
}

/// Spans that are current while messages are delivered and sent, which a client remembers for a while.
#[test]
fn spans_that_are_current() {
    let _alone = alone();
    let recording = Recording::new();
    let consumer = kafka::TestConsumer::new(&recording.telemetry, &group("billing"));
    recording.assert_flat("spans that are current", MANY, |number| {
        let _current = Context::new().with_remote_span_context(of(number)).attach();
        processed(&consumer.deliver(kafka::TestMessage::of("orders")));
    });
}
