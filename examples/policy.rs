//! One service, three topics, three policies: what each records, and what it trusts.
//!
//! ```text
//! cargo run --example policy                                # embedded mock cluster
//! KAFKA_BROKERS=localhost:9092 cargo run --example policy   # a cluster of yours
//! ```
//!
//! `shop` sends a message to each topic, all in the same way: in a sampled trace and with baggage.
//! `billing` takes them as its policy says: those on `orders` in full; those on `partner.orders`
//! from somebody whose traces it does not go on with; those on `health` without a span.
//!
//! With `OTEL_EXPORTER_OTLP_ENDPOINT` set, the spans and the metrics go there too: see
//! `telemetry/mod.rs`.

mod cluster;
mod telemetry;

use std::time::Duration;

use anyhow::{Context as _, Result};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::context::FutureExt as _;
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, Metric, MetricData, ResourceMetrics};
use opentelemetry_sdk::trace::SpanData;
use otel_messaging::kafka;
use otel_messaging::policy::{Incoming, Policy, Record, Rule};
use otel_messaging::testing::TraceTree;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::time::timeout;

use self::telemetry::Providers;

type Cluster = cluster::Cluster<3>;

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
    let cluster = Cluster::from_env(["orders", "partner.orders", "health"]).await?;
    let (shop, billing) = (Providers::new("shop")?, Providers::new("billing")?);

    let done = async {
        let mut seen = Vec::new();
        for topic in &cluster.topics {
            send(&shop, &cluster, topic).await?;
            seen.push(receive(&billing, &cluster, topic).await?);
        }
        Ok::<_, anyhow::Error>(seen)
    };
    let done = done.await;

    let cleaned_up = cluster.clean_up(&["billing"]).await;
    let (of_shop, of_billing) = (shop.spans()?, billing.spans()?);
    let metrics = billing.metrics()?;
    for (topic, seen) in cluster.topics.iter().zip(done.iter().flatten()) {
        let tree = TraceTree::new()
            .service("shop", about(topic, &of_shop))
            .service("billing", about(topic, &of_billing))
            .color(telemetry::wants_color());
        println!("\n{topic}\n\n{tree}");
        println!("\nbaggage in the handler of billing: {seen}");
        println!(
            "metrics of billing: {}",
            listed(metrics.iter().flat_map(|metrics| measured(topic, metrics)))
        );
    }
    println!();
    telemetry::shut_down(&[&shop, &billing]);
    done?;
    println!("{GUIDE}");
    cleaned_up
}

async fn send(shop: &Providers, cluster: &Cluster, topic: &str) -> Result<()> {
    let producer: FutureProducer = cluster.client("shop").create()?;
    let producer = kafka::Producer::wrap(&shop.telemetry(), producer);
    let baggage = [
        KeyValue::new("tenant", "acme"),
        KeyValue::new("role", "admin"),
    ];
    let record = FutureRecord::to(topic).key("7").payload("two books");
    let sending = producer.send(record, TIMEOUT);
    let sent = sending.with_context(Context::new().with_baggage(baggage));
    sent.await.map_err(|(error, _)| error)?;
    Ok(())
}

/// Receives a message, and returns the baggage that its handler has.
async fn receive(billing: &Providers, cluster: &Cluster, topic: &str) -> Result<String> {
    let consumer: StreamConsumer = cluster.consumer("billing").create()?;
    let telemetry = billing.telemetry().policy(policy());
    let consumer = kafka::Consumer::wrap(&telemetry, consumer);
    consumer.subscribe(&[topic])?;
    let message = timeout(TIMEOUT, consumer.recv());
    let message = message.await.context("no message came")??;
    message
        .process(async |_| -> Result<String> { Ok(members(&Context::current())) })
        .await
}

fn members(context: &Context) -> String {
    let members = context.baggage().iter();
    listed(members.map(|(name, (value, _))| format!("{name}={value}")))
}

/// The spans about one topic.
fn about(topic: &str, spans: &[SpanData]) -> Vec<SpanData> {
    let spans = spans.iter();
    let spans = spans.filter(|span| is_about(topic, span.attributes.iter()));
    spans.cloned().collect()
}

fn is_about<'a>(topic: &str, mut attributes: impl Iterator<Item = &'a KeyValue>) -> bool {
    attributes.any(|attribute| {
        attribute.key.as_str() == "messaging.destination.name" && attribute.value.as_str() == topic
    })
}

/// How much was counted and timed of one topic.
fn measured(topic: &str, metrics: &ResourceMetrics) -> Vec<String> {
    let scopes = metrics.scope_metrics();
    let metrics = scopes.flat_map(|scope| scope.metrics());
    let measured = metrics.map(|metric| (metric.name(), count(topic, metric)));
    let measured = measured.filter(|(_, count)| *count > 0);
    measured
        .map(|(name, count)| format!("{name} {count}"))
        .collect()
}

fn count(topic: &str, metric: &Metric) -> u64 {
    match metric.data() {
        AggregatedMetrics::U64(MetricData::Sum(counter)) => counter
            .data_points()
            .filter(|point| is_about(topic, point.attributes()))
            .map(|point| point.value())
            .sum(),
        AggregatedMetrics::F64(MetricData::Histogram(durations)) => durations
            .data_points()
            .filter(|point| is_about(topic, point.attributes()))
            .map(|point| point.count())
            .sum(),
        _ => 0,
    }
}

fn listed(texts: impl Iterator<Item = String>) -> String {
    let mut texts: Vec<_> = texts.collect();
    texts.sort();
    if texts.is_empty() {
        texts.push("none".to_owned());
    }
    texts.join(", ")
}

const GUIDE: &str = "\
How to read it: shop sends to all three in the same way. Of `orders`, billing continues the trace and
takes the baggage as it is. Of `partner.orders` it starts a trace of its own that links to the one
that came (⇠), so that no stranger decides what is sampled, and drops the baggage. Of `health` it
records nothing.";
