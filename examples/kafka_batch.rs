//! Orders of three requests are billed together, and each of the three traces shows it.
//!
//! ```text
//! cargo run --example kafka_batch                                # embedded mock cluster
//! KAFKA_BROKERS=127.0.0.1:9092 cargo run --example kafka_batch   # a cluster of yours
//! ```
//!
//! `shop` takes three requests: two of them send one order each, the last one sends three by one
//! call. `billing` receives all five as one batch. One order fails and goes to a retry topic.
//!
//! With `--features otlp` and `OTEL_EXPORTER_OTLP_ENDPOINT` set, the spans and the metrics go there too: see
//! `telemetry/mod.rs`.

use std::time::Duration;

use anyhow::{Context as _, Result};
use examples::stop::Stop;
use examples::telemetry::{self, Providers};
use opentelemetry::trace::SpanKind;
use otel_messaging::policy::{Policy, Rule};
use otel_messaging::{Received, kafka};
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Message as _};
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::time::{sleep, timeout};

type Cluster = examples::kafka::Cluster<2>;

const TIMEOUT: Duration = Duration::from_secs(30);
/// Before a batch is tried again.
const PAUSE: Duration = Duration::from_millis(500);
const REQUESTS: [&[&str]; 3] = [
    &["order 1"],
    &["order 2"],
    &["order 3", "order 4", "order 5"],
];
const ORDERS: usize = 5;

#[tokio::main]
async fn main() -> Result<()> {
    let stop = Stop::on_ctrl_c().await;
    let cluster = Cluster::from_env(["orders", "orders-retry"]).await?;
    let (shop, billing) = (Providers::new("shop")?, Providers::new("billing")?);
    let work = async {
        take_orders(&shop, &cluster).await?;
        bill_orders(&billing, &cluster, &stop).await
    };
    let ended = timeout(TIMEOUT, work).await;

    let cleaned_up = cluster.clean_up(&["billing"]).await;
    println!("\n{}\n", telemetry::tree(&[&shop, &billing])?);
    telemetry::shut_down(&[&shop, &billing]);
    ended.context("no orders came")??;
    println!("{}", stop.last_words(guide(&cluster)));
    cleaned_up
}

async fn take_orders(shop: &Providers, cluster: &Cluster) -> Result<()> {
    let producer: FutureProducer = cluster.client("shop").create()?;
    let producer = kafka::Producer::wrap(&shop.telemetry(), producer);
    let [topic, _] = &cluster.topics;
    let record = |order| FutureRecord::to(topic).key(order).payload(order);
    for orders in REQUESTS {
        let sending = async {
            let sent = match orders {
                [order] => vec![producer.send(record(*order), TIMEOUT).await],
                orders => {
                    let records = orders.iter().map(|order| record(*order));
                    producer.send_batch(records, TIMEOUT).await
                }
            };
            for sent in sent {
                sent.map_err(|(error, _)| error)?;
            }
            Ok(())
        };
        let request = shop.in_span("POST /orders", SpanKind::Server, sending);
        request.await?;
    }
    Ok(())
}

async fn bill_orders(billing: &Providers, cluster: &Cluster, stop: &Stop) -> Result<()> {
    // Each of at most 10 traces gets a span that shows when, and with which batch, it was handled.
    let policy = Policy::new().rule(Rule::of("orders*").fan_back(10));
    let telemetry = billing.telemetry().policy(policy);
    let producer: FutureProducer = cluster.client("billing").create()?;
    let producer = kafka::Producer::wrap(&telemetry, producer);
    let consumer: StreamConsumer = cluster.consumer("billing").create()?;
    let consumer = kafka::Consumer::wrap(&telemetry, consumer);
    let [orders, retries] = &cluster.topics;
    consumer.subscribe(&[orders])?;

    let mut billed = 0;
    let mut batches = consumer.batches(ORDERS, TIMEOUT);
    while billed < ORDERS {
        let received = tokio::select! {
            biased;
            () = stop.asked() => return Ok(()),
            received = batches.recv() => received,
        };
        let batch = match received {
            Ok(batch) => batch,
            // This client is of no use any more.
            Err(error @ KafkaError::MessageConsumptionFatal(_)) => return Err(error.into()),
            Err(error) => {
                // The client tries again by itself.
                eprintln!("{error}");
                continue;
            }
        };
        // One order that fails does not fail the batch; the broker may.
        let bill = async || {
            let billed = batch.process(async |orders| -> Result<()> {
                for order in orders.iter().filter(|order| is_out_of_stock(order)) {
                    // What is done for one order alone is a span in the trace of that order.
                    let shipped =
                        order.process(async |order| try_again(&producer, retries, order).await);
                    shipped.await?;
                }
                Ok(())
            });
            billed.await
        };
        while let Err(error) = bill().await {
            eprintln!("{orders}: {error:#}");
            tokio::select! {
                () = stop.asked() => return Ok(()),
                () = sleep(PAUSE) => {}
            }
        }
        billed += batch.len();
        let committed = batch.offsets();
        let committed = committed.and_then(|offsets| consumer.commit(&offsets, CommitMode::Sync));
        if let Err(error) = committed {
            // It is delivered again after a restart.
            eprintln!("{orders}: {error}");
        }
    }
    Ok(())
}

fn is_out_of_stock(order: &Received<BorrowedMessage<'_>>) -> bool {
    order.payload() == Some(b"order 4")
}

/// Sends an order on with the headers that it came with: the new attempt links to this one.
async fn try_again(
    producer: &kafka::Producer,
    retries: &str,
    order: &BorrowedMessage<'_>,
) -> Result<()> {
    let mut record = FutureRecord::<[u8], [u8]>::to(retries);
    (record.key, record.payload) = (order.key(), order.payload());
    record.headers = order.headers().map(BorrowedHeaders::detach);
    let sent = producer.send(record, TIMEOUT).await;
    sent.map_err(|(error, _)| error)?;
    Ok(())
}

fn guide(cluster: &Cluster) -> String {
    let [orders, retries] = &cluster.topics;
    format!(
        "\
How to read it: `process {orders}` of billing is one span for all five orders, in a trace of its own,
with a link (⇠) to where each was created. So that the traces of shop show it too, each has a span
`batch {orders}` with a link back to the batch, and to each of its orders (Rule::fan_back). The order that
was out of stock has a span of its own, in its own trace; `send {retries}` links to the attempt
before it."
    )
}
