//! NATS, by async-nats: the server that `NATS_URL` names, with JetStream.

mod batch;
pub mod broker;
mod faulty;
pub mod server;
mod spans;
pub mod wire;

use std::env;
use std::time::Duration;

use async_nats::jetstream::stream::{Config, StorageType, Stream};
use async_nats::{Client, HeaderMap, ServerAddr, jetstream};
use opentelemetry::KeyValue;
use otel_messaging::testing::ExpectedSpan;

pub use self::spans::{
    Subject, acknowledged, batch_span, delivered, measured, process_span, publish_span,
    receive_span, request_span, settle_span, without_subject,
};
use crate::{Header, unique};

/// Longest wait for anything that should take milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What the user calls a client.
pub const CLIENT_ID: &str = "billing-7";

/// The server.
pub fn url() -> String {
    env::var("NATS_URL")
        .expect("NATS_URL names no nats-server: run `integration/run`, which starts one")
}

/// A client with a connection of its own.
pub async fn client() -> Client {
    async_nats::connect(url())
        .await
        .expect("a connection to the nats-server of NATS_URL")
}

/// Makes a stream that did not exist, of all subjects below its name. It forgets its messages.
pub async fn stream(context: &jetstream::Context, name: &str) -> Stream {
    stream_of(
        context,
        Config {
            name: unique(name),
            ..Config::default()
        },
    )
    .await
}

/// Makes a stream with these settings, of all subjects below its name unless they say otherwise.
pub async fn stream_of(context: &jetstream::Context, mut config: Config) -> Stream {
    if config.subjects.is_empty() {
        config.subjects = vec![format!("{}.>", config.name)];
    }
    config.storage = StorageType::Memory;
    config.max_age = Duration::from_secs(300);
    context.create_stream(config).await.expect("a stream")
}

/// What others wait for, in time.
pub async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it happens in time")
}

/// Waits until the server knows what this client subscribes to: its `flush` does not.
pub async fn subscribed(client: &Client) {
    let inbox = client.new_inbox();
    let mut echo = client.subscribe(inbox.clone()).await.expect("an inbox");
    client.publish(inbox, "".into()).await.expect("a publish");
    in_time(futures::StreamExt::next(&mut echo)).await;
}

/// Headers as the client takes them.
pub fn header_map(headers: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, *value);
    }
    map
}

/// Headers of a message that the client received, sorted: it keeps no order among names.
pub fn received_headers(headers: Option<&HeaderMap>) -> Vec<Header> {
    let mut found = Vec::new();
    for (name, values) in headers.into_iter().flat_map(HeaderMap::iter) {
        for value in values {
            let name: &[u8] = name.as_ref();
            let value: &[u8] = value.as_ref();
            found.push((name.to_vec(), Some(value.to_vec())));
        }
    }
    found.sort();
    found
}

/// A span that names the server of `NATS_URL` and the client, as the user of a wrapped one did.
pub fn identified(span: ExpectedSpan) -> ExpectedSpan {
    at_server(span.attribute("messaging.client.id", CLIENT_ID))
}

/// A span that names the server alone.
pub fn at_server(span: ExpectedSpan) -> ExpectedSpan {
    let server = server().into_iter();
    server.fold(span, |span, one| span.attribute(one.key, one.value))
}

/// The server of `NATS_URL` as spans and metrics have it.
pub fn server() -> [KeyValue; 2] {
    let (address, port) = address();
    [
        KeyValue::new("server.address", address),
        KeyValue::new("server.port", i64::from(port)),
    ]
}

/// The host and the port of `NATS_URL`.
pub fn address() -> (String, u16) {
    let address: ServerAddr = url().parse().expect("a URL");
    (address.host().to_owned(), address.port())
}
