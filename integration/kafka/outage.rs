//! A broker that stops while records are being sent.
//!
//! Run last, since it stops its broker: with `KAFKA_STOP`, a shell command, the real one of
//! `KAFKA_BROKERS`; without `KAFKA_BROKERS` the embedded mock cluster.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::env;
use std::time::Duration;

use futures::future::join_all;
use integration::kafka::embedded;
use integration::kafka::{client_attributes, config, send_span, topic};
use integration::whole;
use opentelemetry::trace::{SpanKind, Status};
use otel_messaging::kafka;
use otel_messaging::testing::Recorder;
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message as _};
use rdkafka::producer::future_producer::OwnedDeliveryResult;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::types::RDKafkaErrorCode;
use tokio::process::Command;

/// Longest time that a record may take until its delivery is given up.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(3);
const IN_FLIGHT: usize = 200;

async fn stop_the_broker() {
    if env::var_os("KAFKA_BROKERS").is_none() {
        embedded::cluster()
            .broker_down(1)
            .expect("the embedded broker goes down");
        return;
    }
    let command = env::var("KAFKA_STOP")
        .expect("KAFKA_BROKERS is given, but not KAFKA_STOP, the command that stops that broker");
    let stopped = Command::new("sh")
        .args(["-c", &command])
        .status()
        .await
        .expect("a shell");
    assert!(stopped.success(), "`{command}` failed: {stopped}");
}

fn client() -> FutureProducer {
    config()
        .set(
            "message.timeout.ms",
            MESSAGE_TIMEOUT.as_millis().to_string(),
        )
        .create()
        .expect("a producer")
}

fn record<'a>(topic: &'a str, key: &'a str) -> FutureRecord<'a, str, str> {
    FutureRecord::to(topic).key(key).payload("two books")
}

/// What a caller can see of a failed delivery: the error, the key, the payload, and how many headers.
type Failure = (KafkaError, Option<Vec<u8>>, Option<Vec<u8>>, usize);

fn failure(result: OwnedDeliveryResult) -> Option<Failure> {
    let (error, message) = result.err()?;
    Some((
        error,
        message.key().map(<[u8]>::to_vec),
        message.payload().map(<[u8]>::to_vec),
        message.headers().map_or(0, Headers::count),
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_whose_broker_stops_gets_what_the_bare_client_gets() {
    let recorder = Recorder::new();
    let topic = topic("orders").await;
    let bare = client();
    let wrapped = kafka::Producer::wrap(&recorder.telemetry(), client());
    let before = wrapped
        .send(record(&topic, "before"), MESSAGE_TIMEOUT)
        .await
        .map_err(|(error, _)| error)
        .expect("a delivery while the broker runs");
    bare.send(record(&topic, "before"), MESSAGE_TIMEOUT)
        .await
        .map_err(|(error, _)| error)
        .expect("a delivery while the broker runs");
    send_span(&topic, "before", &before).assert(&recorder.span(&format!("send {topic}")));
    recorder.clear();

    // The stop and the records race: some are delivered, the others time out.
    let keys: Vec<String> = (0..IN_FLIGHT).map(|number| number.to_string()).collect();
    let in_flight = join_all(
        keys.iter()
            .map(|key| wrapped.send(record(&topic, key), MESSAGE_TIMEOUT)),
    );
    let (results, ()) = tokio::time::timeout(Duration::from_secs(60), async {
        tokio::join!(in_flight, stop_the_broker())
    })
    .await
    .expect("nothing hangs");

    let spans = recorder.spans();
    assert_eq!(spans.len(), IN_FLIGHT, "one span for each record");
    let delivered = results.iter().filter(|result| result.is_ok()).count();
    let unset = spans
        .iter()
        .filter(|span| span.status == Status::Unset)
        .count();
    assert_eq!(
        unset, delivered,
        "an error on the span of each record that failed, on no other"
    );
    recorder.clear();

    let (wrapped_result, bare_result) = tokio::time::timeout(Duration::from_secs(60), async {
        tokio::join!(
            wrapped.send(record(&topic, "after"), MESSAGE_TIMEOUT),
            bare.send(record(&topic, "after"), MESSAGE_TIMEOUT),
        )
    })
    .await
    .expect("nothing hangs");
    let expected = failure(bare_result).expect("the bare client fails");
    assert_eq!(failure(wrapped_result), Some(expected.clone()));
    assert_eq!(
        expected.0,
        KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut)
    );
    client_attributes(whole::span(format!("send {topic}"), SpanKind::Producer))
        .attribute("messaging.operation.name", "send")
        .attribute("messaging.operation.type", "send")
        .attribute("messaging.destination.name", topic.clone())
        .attribute("kafka.message.key", "after")
        .error("_MSG_TIMED_OUT")
        .assert(&recorder.span(&format!("send {topic}")));
}
