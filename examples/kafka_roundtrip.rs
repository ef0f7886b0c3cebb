//! An order goes from one service to another and back through Kafka, and its trace stays in one piece.
//!
//! ```text
//! cargo run --example kafka_roundtrip                                # on an embedded mock cluster
//! KAFKA_BROKERS=localhost:9092 cargo run --example kafka_roundtrip   # on a cluster of yours
//! ```
//!
//! `shop` sends orders, `billing` charges the card and reports the payment, `shop` confirms the order.
//! Both services live in this process, but each has telemetry of its own, as two programs would.
//!
//! With `OTEL_EXPORTER_OTLP_ENDPOINT` (or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`) set, the spans are also
//! exported over OTLP/HTTP. A collector that fails or hangs costs some seconds and a line of output, not the
//! exit code: that tells about the messages.

use std::env;
use std::io::{self, IsTerminal as _};
use std::process;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use otel_messaging::testing::TraceTree;
use otel_messaging::{HandlerError, Telemetry, kafka};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::message::Message as _;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{DefaultProducerContext, FutureProducer, FutureRecord, Producer as _};
use tokio::time::{sleep, timeout};

const ORDERS: [&str; 2] = ["order 1", "order 2"];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cluster = Cluster::from_env().await?;
    let shop = Service::start("shop", &cluster)?;
    let billing = Service::start("billing", &cluster)?;

    let ended = tokio::select! {
        ended = timeout(PATIENCE, round_trip(&cluster, &shop, &billing)) => {
            ended.unwrap_or_else(|_| bail!("gave up: the orders are not confirmed after {PATIENCE:?}"))
        }
        _ = tokio::signal::ctrl_c() => Ok(println!("Interrupted. What was recorded until now:")),
    };

    // A send span ends with the delivery report. So the producers come first, then the spans.
    let flushed = shop.producer.flush(TIMEOUT).and(billing.producer.flush(TIMEOUT));
    draw(&[&shop, &billing])?;
    shop.stop();
    billing.stop();
    cluster.clean_up().await;
    ended.and(flushed.map_err(Into::into))
}

/// Ends when all orders are confirmed.
async fn round_trip(cluster: &Cluster, shop: &Service, billing: &Service) -> anyhow::Result<()> {
    let started = Instant::now();
    tokio::try_join!(
        take_orders(shop, &cluster.orders),
        bill_orders(billing, cluster),
        confirm_orders(shop, cluster),
    )?;
    println!("All {} orders are confirmed, after {:.1?}.\n", ORDERS.len(), started.elapsed());
    Ok(())
}
