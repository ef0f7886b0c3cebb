//! The nats-server of `NATS_URL` carries a context in its headers and gives it back, over core NATS
//! and out of a JetStream stream.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::env;
use std::time::Duration;

use async_nats::jetstream::{self, consumer, stream};
use async_nats::{Client, HeaderMap};
use futures::StreamExt as _;
use integration::unique;

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const PATIENCE: Duration = Duration::from_secs(30);

async fn client() -> Client {
    let url = env::var("NATS_URL")
        .expect("NATS_URL names no nats-server: run `integration/run`, which starts one");
    async_nats::connect(&url)
        .await
        .expect("a connection to the nats-server of NATS_URL")
}

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", TRACEPARENT);
    headers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_traceparent_makes_the_round_trip() {
    let client = client().await;
    let subject = unique("orders");
    let mut messages = client
        .subscribe(subject.clone())
        .await
        .expect("a subscription");

    client
        .publish_with_headers(subject, headers(), "two books".into())
        .await
        .expect("a publish");
    let message = tokio::time::timeout(PATIENCE, messages.next())
        .await
        .expect("a message in time")
        .expect("a message");

    assert_eq!(message.payload, "two books");
    assert_eq!(message.headers, Some(headers()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_traceparent_is_stored_in_a_stream() {
    let context = jetstream::new(client().await);
    let name = unique("orders");
    let stream = context
        .create_stream(stream::Config {
            name: name.clone(),
            storage: stream::StorageType::Memory,
            ..stream::Config::default()
        })
        .await
        .expect("a stream");

    context
        .publish_with_headers(name.clone(), headers(), "two books".into())
        .await
        .expect("a publish")
        .await
        .expect("an acknowledgement of the publish");
    let consumer = stream
        .create_consumer(consumer::pull::Config::default())
        .await
        .expect("a consumer");
    let mut messages = consumer.messages().await.expect("messages");
    let message = tokio::time::timeout(PATIENCE, messages.next())
        .await
        .expect("a message in time")
        .expect("a message")
        .expect("a message without error");
    message.double_ack().await.expect("an acknowledgement");

    assert_eq!(message.payload, "two books");
    assert_eq!(message.headers, Some(headers()));
    context
        .delete_stream(name)
        .await
        .expect("the stream is gone");
}
