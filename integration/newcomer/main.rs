//! What somebody writes who has read the README and the documentation, and nothing else: services from nothing, a worker
//! that was there before, and tests of handlers.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test panics where it fails"
)]

mod handlers;
mod retrofit;
mod services;

use std::env;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;

/// The address of a broker.
fn address(variable: &str) -> String {
    env::var(variable).unwrap_or_else(|_| panic!("{variable} names a broker"))
}

/// Clients of Kafka that read a topic from its begin.
fn kafka(group: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", address("KAFKA_BROKERS"))
        .set("group.id", group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false");
    config
}

/// Makes topics of one partition.
async fn make_topics(names: &[&str]) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> = kafka("admin").create()?;
    let topics: Vec<_> = names
        .iter()
        .map(|name| NewTopic::new(name, 1, TopicReplication::Fixed(1)))
        .collect();
    for made in admin.create_topics(&topics, &AdminOptions::new()).await? {
        made.map_err(|(topic, error)| anyhow::anyhow!("{topic}: {error}"))?;
    }
    Ok(())
}
