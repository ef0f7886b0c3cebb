//! Orders of three requests are billed together, and each of the three traces shows it.
//!
//! ```text
//! cargo run --example kafka_batch                                # embedded mock cluster
//! KAFKA_BROKERS=localhost:9092 cargo run --example kafka_batch   # a cluster of yours
//! ```
//!
//! `shop` takes three requests: two of them send one order each, the last one sends three by one
//! call. `billing` receives all five as one batch. One order fails and goes to a retry topic.

use std::env;
use std::io::{self, IsTerminal as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow};
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanKind, TraceContextExt as _, Tracer as _, TracerProvider as _};
use otel_messaging::Received;
use otel_messaging::policy::{Policy, Rule};
use otel_messaging::testing::{Recorder, TraceTree};
use otel_messaging::{Telemetry, kafka};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Message as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{DefaultProducerContext, FutureProducer, FutureRecord};
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(30);
const REQUESTS: [&[&str]; 3] = [
    &["order 1"],
    &["order 2"],
    &["order 3", "order 4", "order 5"],
];
const ORDERS: usize = 5;

#[tokio::main]
async fn main() -> Result<()> {
    let cluster = Cluster::from_env().await?;
    let (shop, billing) = (Recorder::new(), Recorder::new());
    take_orders(&shop, &cluster).await?;
    bill_orders(&billing, &cluster).await?;

    let tree = TraceTree::new()
        .service("shop", shop.spans())
        .service("billing", billing.spans())
        .color(io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none());
    println!("\n{tree}\n");
    cluster.clean_up().await?;
    println!("{GUIDE}");
    Ok(())
}

async fn take_orders(shop: &Recorder, cluster: &Cluster) -> Result<()> {
    let producer = cluster.producer(&shop.telemetry())?;
    let tracer = shop.tracer_provider().tracer("shop");
    let record = |order| FutureRecord::to(&cluster.orders).key(order).payload(order);
    for orders in REQUESTS {
        let span = tracer.span_builder("POST /orders");
        let span = span.with_kind(SpanKind::Server).start(&tracer);
        let request = Context::new().with_span(span);
        let sending = async {
            match orders {
                [order] => vec![producer.send(record(*order), TIMEOUT).await],
                orders => {
                    let records = orders.iter().map(|order| record(*order));
                    producer.send_batch(records, TIMEOUT).await
                }
            }
        };
        for sent in sending.with_context(request).await {
            sent.map_err(|(error, _)| error)?;
        }
    }
    Ok(())
}

async fn bill_orders(billing: &Recorder, cluster: &Cluster) -> Result<()> {
    // Each of at most 10 traces gets a span that shows when, and with which batch, it was handled.
    let policy = Policy::new().rule(Rule::of("orders*").fan_back(10));
    let telemetry = billing.telemetry().policy(policy);
    let producer = cluster.producer(&telemetry)?;
    let consumer = cluster.consumer(&telemetry, &cluster.orders)?;

    // A real service would loop for ever, and commit each batch.
    let mut batches = consumer.batches(ORDERS, TIMEOUT);
    let batch = timeout(TIMEOUT, batches.recv()).await;
    let batch = batch.context("no orders came")??;
    batch
        .process(async |orders| -> Result<()> {
            for order in orders.iter().filter(|order| is_out_of_stock(order)) {
                // What is done for one order alone is a span in the trace of that order.
                let shipped =
                    order.process(async |order| try_again(&producer, cluster, order).await);
                shipped.await?;
            }
            Ok(())
        })
        .await?;
    consumer.commit(&batch.offsets()?, CommitMode::Sync)?;
    Ok(())
}

fn is_out_of_stock(order: &Received<BorrowedMessage<'_>>) -> bool {
    order.payload() == Some(b"order 4")
}

/// Sends an order on with the headers that it came with: the new attempt links to this one.
async fn try_again(
    producer: &kafka::Producer,
    cluster: &Cluster,
    order: &BorrowedMessage<'_>,
) -> Result<()> {
    let mut record = FutureRecord::<[u8], [u8]>::to(&cluster.retries);
    (record.key, record.payload) = (order.key(), order.payload());
    record.headers = order.headers().map(BorrowedHeaders::detach);
    let sent = producer.send(record, TIMEOUT).await;
    sent.map_err(|(error, _)| error)?;
    Ok(())
}

/// Where the messages go.
struct Cluster {
    config: ClientConfig,
    orders: String,
    retries: String,
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
            mock.create_topic(&cluster.orders, 1, 1)?;
            mock.create_topic(&cluster.retries, 1, 1)?;
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
        let topics = [&cluster.orders, &cluster.retries]
            .map(|topic| NewTopic::new(topic, 1, TopicReplication::Fixed(-1)));
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
        Self {
            config,
            orders: format!("orders{suffix}"),
            retries: format!("orders-retry{suffix}"),
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
        let topics = [&*self.orders, &self.retries];
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
How to read it: `process orders` of billing is one span for all five orders, in a trace of its own,
with a link (⇠) to where each was created. So that the traces of shop show it too, each has a span
`batch orders` with a link back to the batch, and to each of its orders (Rule::fan_back). The order that
was out of stock has a span of its own, in its own trace; `send orders-retry` links to the attempt
before it.";
