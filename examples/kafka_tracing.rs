//! A program that writes its spans and log lines with `tracing` sends orders and handles them through Kafka.
//!
//! ```text
//! cargo run --features tracing --example kafka_tracing             # embedded mock cluster
//! cargo run --features tracing --example kafka_tracing -- --json   # log lines as JSON
//! ```
//!
//! With `KAFKA_BROKERS` set, the cluster is one of yours. `set_up` is what such a program has to do once; all that follows
//! is as it would be without Kafka: `#[instrument]`, `info!` and `error!`.

use std::cell::Cell;
use std::env;
use std::time::Duration;

use anyhow::{Context as _, Result};
use examples::kafka::consume;
use examples::stop::Stop;
use examples::telemetry::{self, Providers};
use opentelemetry_sdk::trace::SdkTracer;
use otel_messaging::kafka;
use otel_messaging::with_tracing::{ProcessSpans, TraceIds, Tracer};
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use tokio::time::timeout;
use tracing::{error, info, instrument, subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;

type Cluster = examples::kafka::Cluster<2>;

const ORDERS: [&str; 2] = ["order 1", "order 2"];
const TIMEOUT: Duration = Duration::from_secs(5);

/// Spans go to OpenTelemetry, log lines to the terminal.
fn set_up(tracer: SdkTracer, as_json: bool) -> Result<()> {
    let text = (!as_json).then(|| {
        let layer = fmt::layer().without_time().with_target(false);
        layer.map_event_format(TraceIds::new)
    });
    let json = as_json.then(|| {
        let layer = fmt::layer().json().without_time().with_target(false);
        layer.map_event_format(TraceIds::json)
    });
    let layer = tracing_opentelemetry::layer().with_tracer(Tracer::new(tracer));
    let subscriber = tracing_subscriber::registry()
        .with(LevelFilter::INFO)
        .with(layer)
        .with(ProcessSpans)
        .with(text)
        .with(json);
    Ok(subscriber::set_global_default(subscriber)?)
}

#[tokio::main]
async fn main() -> Result<()> {
    let stop = Stop::on_ctrl_c().await;
    let cluster = Cluster::from_env(["orders", "dead-letters"]).await?;
    let providers = Providers::new("shop")?;
    set_up(providers.tracer(), env::args().any(|flag| flag == "--json"))?;
    let telemetry = providers.telemetry();
    let producer: FutureProducer = cluster.client("shop").create()?;
    let producer = kafka::Producer::wrap(&telemetry, producer);

    let work = async {
        let consumer: StreamConsumer = cluster.consumer("shop").create()?;
        let consumer = kafka::Consumer::wrap(&telemetry, consumer);
        for order in ORDERS {
            take_order(&producer, &cluster, order).await?;
        }
        pack_orders(&consumer, &producer, &cluster, &stop).await
    };
    let ended = timeout(6 * TIMEOUT, work).await;

    let flushed = producer.flush(TIMEOUT);
    let cleaned_up = cluster.clean_up(&["shop"]).await;
    println!("\n{}\n", telemetry::tree(&[&providers])?);
    telemetry::shut_down(&[&providers]);
    ended.context("the orders were not packed in time")??;
    println!("{}", stop.last_words(guide(&cluster)));
    flushed?;
    cleaned_up
}

/// The send is a child of this function's span.
#[instrument(skip(producer, cluster))]
async fn take_order(producer: &kafka::Producer, cluster: &Cluster, order: &str) -> Result<()> {
    info!("order taken");
    let [orders, _] = &cluster.topics;
    let record = FutureRecord::to(orders).key(order).payload(order);
    let delivered = producer.send(record, TIMEOUT).await;
    delivered.map(|_| ()).map_err(|(error, _)| error.into())
}

/// The span around the loop is about no message: those of messages link to it.
#[instrument(skip_all)]
async fn pack_orders(
    consumer: &kafka::Consumer,
    producer: &kafka::Producer,
    cluster: &Cluster,
    stop: &Stop,
) -> Result<()> {
    let [orders, dead_letters] = &cluster.topics;
    consumer.subscribe(&[orders])?;
    let packed = Cell::new(0);
    let handle = async |record: &BorrowedMessage<'_>| {
        let order = record.payload_view::<str>().context("no payload")??;
        info!(order, "order received");
        pack(order).await;
        packed.set(packed.get() + 1);
        if packed.get() == ORDERS.len() {
            // Directly in the handler: this marks the process span, and not that of the loop.
            error!(order, "no more boxes");
            stop.ask();
        }
        anyhow::Ok(())
    };
    consume(consumer, producer, dead_letters, stop.asked(), handle).await?;
    Ok(())
}

/// A span in the handler is a child of the process span.
#[instrument]
async fn pack(order: &str) {
    tokio::task::yield_now().await;
    info!("order packed");
}

fn guide(cluster: &Cluster) -> String {
    let [orders, _] = &cluster.topics;
    format!(
        "\
How to read it: `take_order` and `pack` are spans of tracing, and `send {orders}` and `process {orders}` are those of the
messages between them. Each log line has the ids of the span that it was written in; in the handler that is the process span,
which the last line has marked as failed. The span `pack_orders` around the loop is linked (⇠). Next, try
-- --json at the end of the command."
    )
}
