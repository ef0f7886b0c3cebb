//! One service, three topics, three policies: what each records, and what it trusts.
//!
//! ```text
//! cargo run --example policy                                # embedded mock cluster
//! KAFKA_BROKERS=127.0.0.1:9092 cargo run --example policy   # a cluster of yours
//! ```
//!
//! `shop` sends a message to each topic, all in the same way: in a sampled trace and with baggage.
//! `billing` takes them as its policy says: those on `orders` in full; those on `partner.orders`
//! from somebody whose traces it does not go on with; those on `health` without a span.
//!
//! With `--features otlp` and `OTEL_EXPORTER_OTLP_ENDPOINT` set, the spans and the metrics go there too: see
//! `telemetry/mod.rs`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use examples::kafka::consume;
use examples::stop::Stop;
use examples::telemetry::{self, Providers};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::context::FutureExt as _;
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, Metric, MetricData, ResourceMetrics};
use opentelemetry_sdk::trace::SpanData;
use otel_messaging::kafka;
use otel_messaging::policy::{Incoming, Policy, Record, Rule};
use otel_messaging::testing::TraceTree;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::time::timeout;

type Cluster = examples::kafka::Cluster<4>;

/// Of each topic, what its handler had of baggage.
type Seen = BTreeMap<String, String>;

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
    let stop = Stop::on_ctrl_c().await;
    let topics = ["orders", "partner.orders", "health", "dead-letters"];
    let cluster = Cluster::from_env(topics).await?;
    let [topics @ .., dead_letters] = &cluster.topics;
    let (shop, billing) = (Providers::new("shop")?, Providers::new("billing")?);

    let work = async {
        send(&shop, &cluster, topics).await?;
        receive(&billing, &cluster, topics, dead_letters, &stop).await
    };
    let ended = timeout(TIMEOUT, work).await;

    let cleaned_up = cluster.clean_up(&["billing"]).await;
    let seen = ended.context("the messages did not come").flatten();
    let (of_shop, of_billing) = (shop.spans()?, billing.spans()?);
    let metrics = billing.metrics()?;
    for topic in topics {
        let tree = TraceTree::new()
            .service("shop", about(topic, &of_shop))
            .service("billing", about(topic, &of_billing))
            .color(telemetry::wants_color());
        println!("\n{topic}\n\n{tree}");
        let baggage = seen.as_ref().ok().and_then(|seen| seen.get(topic));
        let baggage = baggage.map_or("not seen", String::as_str);
        println!("\nbaggage in the handler of billing: {baggage}");
        println!(
            "metrics of billing: {}",
            listed(metrics.iter().flat_map(|metrics| measured(topic, metrics)))
        );
    }
    println!();
    telemetry::shut_down(&[&shop, &billing]);
    seen?;
    println!("{}", stop.last_words(guide(topics)));
    cleaned_up
}

async fn send(shop: &Providers, cluster: &Cluster, topics: &[String]) -> Result<()> {
    let producer: FutureProducer = cluster.client("shop").create()?;
    let producer = kafka::Producer::wrap(&shop.telemetry(), producer);
    for topic in topics {
        let baggage = [
            KeyValue::new("tenant", "acme"),
            KeyValue::new("role", "admin"),
        ];
        let record = FutureRecord::to(topic).key("7").payload("two books");
        let sending = producer.send(record, TIMEOUT);
        let sent = sending.with_context(Context::new().with_baggage(baggage));
        sent.await.map_err(|(error, _)| error)?;
    }
    Ok(())
}

async fn receive(
    billing: &Providers,
    cluster: &Cluster,
    topics: &[String],
    dead_letters: &str,
    stop: &Stop,
) -> Result<Seen> {
    let telemetry = billing.telemetry().policy(policy());
    let producer: FutureProducer = cluster.client("billing").create()?;
    let producer = kafka::Producer::wrap(&telemetry, producer);
    let consumer: StreamConsumer = cluster.consumer("billing").create()?;
    let consumer = kafka::Consumer::wrap(&telemetry, consumer);
    let names: Vec<_> = topics.iter().map(String::as_str).collect();
    consumer.subscribe(&names)?;
    let seen = RefCell::new(Seen::new());
    let see = async |message: &BorrowedMessage<'_>| {
        let mut seen = seen.borrow_mut();
        seen.insert(message.topic().to_owned(), members(&Context::current()));
        if seen.len() == topics.len() {
            stop.ask();
        }
        anyhow::Ok(())
    };
    consume(&consumer, &producer, dead_letters, stop.asked(), see).await?;
    Ok(seen.into_inner())
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

fn guide(topics: &[String; 3]) -> String {
    let [orders, of_partners, health] = topics;
    format!(
        "\
How to read it: shop sends to all three in the same way. Of `{orders}`, billing continues the trace and
takes the baggage as it is. Of `{of_partners}` it starts a trace of its own that links to the one
that came (⇠), so that no stranger decides what is sampled, and drops the baggage. Of `{health}` it
records nothing."
    )
}
