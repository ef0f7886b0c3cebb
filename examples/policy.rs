//! One service, three topics, three policies: what each records, and what it trusts.
//!
//! ```text
//! cargo run --example policy                                # embedded mock cluster
//! KAFKA_BROKERS=localhost:9092 cargo run --example policy   # a cluster of yours
//! ```
//!
//! `shop` sends a message to each topic in the same way: in a sampled trace and with baggage.
//! `billing` has a rule for each: `orders` is recorded in full, traces from `partner.orders` are not
//! continued, and `health` has no spans.

use std::env;
use std::io::{self, IsTerminal as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::context::FutureExt as _;
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SpanData;
use otel_messaging::policy::{Incoming, Policy, Record, Rule};
use otel_messaging::testing::{Recorder, TraceTree};
use otel_messaging::{Telemetry, kafka};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{DefaultProducerContext, FutureProducer, FutureRecord};
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Later rules win over earlier ones. `Policy::from_file` reads the same from a file.
fn policy() -> Policy {
    Policy::new()
        .rule(Rule::of("*").max_age(Duration::from_secs(3600)))
        .rule(Rule::of("partner.*").incoming(Incoming::Restart))
        .rule(Rule::of("health*").record(Record::Off))
}

#[tokio::main]
async fn main() -> Result<()> {
    let cluster = Cluster::from_env().await?;
    let (shop, billing) = (Recorder::new(), Recorder::new());
    let producer = cluster.producer(&shop.telemetry())?;
    let telemetry = billing.telemetry().policy(policy());

    let baggage = [
        KeyValue::new("tenant", "acme"),
        KeyValue::new("role", "admin"),
    ];
    for topic in &cluster.topics {
        let record = FutureRecord::to(topic).key("7").payload("two books");
        let sending = producer.send(record, TIMEOUT);
        let sent = sending.with_context(Context::new().with_baggage(baggage.clone()));
        sent.await.map_err(|(error, _)| error)?;

        let consumer = cluster.consumer(&telemetry, topic)?;
        let message = timeout(TIMEOUT, consumer.recv());
        let message = message.await.context("no message came")??;
        let seen = message
            .process(async |_| -> Result<String> { Ok(members(&Context::current())) })
            .await?;

        let tree = TraceTree::new()
            .service("shop", about(topic, shop.spans()))
            .service("billing", about(topic, billing.spans()))
            .color(io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none());
        println!("\n{topic}\n\n{tree}");
        println!("\nbaggage in the handler of billing: {seen}");
        println!("metrics of billing: {}", measured(topic, &billing));
    }
    cluster.clean_up().await?;
    println!("\n{GUIDE}");
    Ok(())
}

fn members(context: &Context) -> String {
    let members = context.baggage().iter();
    listed(members.map(|(name, (value, _))| format!("{name}={value}")))
}

/// The spans about one topic.
fn about(topic: &str, spans: Vec<SpanData>) -> Vec<SpanData> {
    spans
        .into_iter()
        .filter(|span| is_about(topic, &span.attributes))
        .collect()
}

fn is_about(topic: &str, attributes: &[KeyValue]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.key.as_str() == "messaging.destination.name" && attribute.value.as_str() == topic
    })
}

/// How much was counted and timed of one topic.
fn measured(topic: &str, recorder: &Recorder) -> String {
    const CONSUMED: &str = "messaging.client.consumed.messages";
    const DURATION: &str = "messaging.process.duration";
    let consumed = recorder.counter(CONSUMED).into_iter();
    let consumed = consumed.filter(|(attributes, _)| is_about(topic, attributes));
    let consumed = consumed.map(|(_, count)| format!("{CONSUMED} {count}"));
    let durations = recorder.histogram(DURATION).into_iter();
    let durations = durations.filter(|durations| is_about(topic, &durations.attributes));
    let durations = durations.map(|durations| format!("{DURATION} {}", durations.count));
    listed(consumed.chain(durations))
}

fn listed(texts: impl Iterator<Item = String>) -> String {
    let mut texts: Vec<_> = texts.collect();
    texts.sort();
    if texts.is_empty() {
        texts.push("none".to_owned());
    }
    texts.join(", ")
}

/// Where the messages go.
struct Cluster {
    config: ClientConfig,
    topics: [String; 3],
    embedded: Option<MockCluster<'static, DefaultProducerContext>>,
}

impl Cluster {
    async fn from_env() -> Result<Self> {
        let brokers = env::var("KAFKA_BROKERS")
            .ok()
            .filter(|text| !text.is_empty());
        let Some(brokers) = brokers else {
            println!("Kafka: embedded mock cluster, in this process");
            let mock = MockCluster::new(1)?;
            let mut cluster = Self::at(&mock.bootstrap_servers(), "");
            for topic in &cluster.topics {
                mock.create_topic(topic, 1, 1)?;
            }
            // With its defaults, it takes 3 s to form a group and up to 0.5 s to pass a message on.
            cluster
                .config
                .set("group.protocol", "consumer")
                .set("fetch.wait.max.ms", "10");
            cluster.embedded = Some(mock);
            return Ok(cluster);
        };
        println!("Kafka: {brokers}");
        // Topics and a group of this run's own, so that it meets nobody else's messages.
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let cluster = Self::at(&brokers, &format!("-{:x}", now.subsec_micros()));
        let topics = cluster.topics.each_ref();
        let topics = topics.map(|topic| NewTopic::new(topic, 1, TopicReplication::Fixed(-1)));
        let created = cluster.admin()?.create_topics(&topics, &options()).await;
        for topic in created.context(format!("no Kafka cluster answers at {brokers}"))? {
            topic.map_err(|(topic, error)| anyhow!("cannot create topic {topic}: {error}"))?;
        }
        Ok(cluster)
    }

    fn at(brokers: &str, suffix: &str) -> Self {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", brokers)
            .set("group.id", format!("billing{suffix}"))
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false");
        let topics = ["orders", "partner.orders", "health"];
        Self {
            config,
            topics: topics.map(|topic| format!("{topic}{suffix}")),
            embedded: None,
        }
    }

    fn producer(&self, telemetry: &Telemetry) -> Result<kafka::Producer> {
        let client: FutureProducer = self.config.create()?;
        Ok(kafka::Producer::wrap(telemetry, client))
    }

    fn consumer(&self, telemetry: &Telemetry, topic: &str) -> Result<kafka::Consumer> {
        let client: StreamConsumer = self.config.create()?;
        let consumer = kafka::Consumer::wrap(telemetry, client);
        consumer.subscribe(&[topic])?;
        Ok(consumer)
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        Ok(self.config.create()?)
    }

    /// Leaves a real cluster as it was.
    async fn clean_up(&self) -> Result<()> {
        if self.embedded.is_some() {
            return Ok(());
        }
        let admin = self.admin()?;
        // One that nobody committed in may not be there; that is no problem.
        let group = self.config.get("group.id").context("a group")?;
        let _ = admin.delete_groups(&[group], &options()).await;
        let topics = self.topics.each_ref().map(String::as_str);
        for topic in admin.delete_topics(&topics, &options()).await? {
            topic.map_err(|(topic, error)| anyhow!("cannot delete topic {topic}: {error}"))?;
        }
        Ok(())
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(TIMEOUT))
}

const GUIDE: &str = "\
How to read it: shop sends to all three in the same way. Of `orders`, billing continues the trace and
takes the baggage as it is. Of `partner.orders` it starts a trace of its own that links to the one
that came (⇠), so that no stranger decides what is sampled, and drops the baggage. Of `health` it
records nothing.";
