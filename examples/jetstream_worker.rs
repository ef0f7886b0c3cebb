//! A worker pulls orders out of a JetStream stream; one fails at first and is delivered again.
//!
//! ```text
//! NATS_URL=nats://localhost:4222 cargo run --example jetstream_worker
//! ```
//!
//! `shop` publishes orders into a stream that this run creates. `worker` fetches them, processes each
//! and acknowledges it, or asks for it again.

use std::env;
use std::io::{self, IsTerminal as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow};
use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, StorageType, Stream};
use async_nats::jetstream::{self as client, AckKind};
use futures::StreamExt as _;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use otel_messaging::Telemetry;
use otel_messaging::nats::jetstream::{Consumer, Producer};
use otel_messaging::testing::TraceTree;
use tokio::time::timeout;

const ORDERS: [&str; 3] = ["1", "2", "3"];
const TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<()> {
    let context = connect().await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let run = format!("{:x}", now.subsec_micros());
    let stream = context
        .create_stream(Config {
            name: format!("ORDERS-{run}"),
            subjects: vec![format!("orders.{run}.*")],
            storage: StorageType::Memory,
            ..Config::default()
        })
        .await
        .context("is JetStream enabled? `nats-server -js` starts a server that has it")?;

    let (shop, of_shop) = telemetry();
    let (worker, of_worker) = telemetry();
    let work = async {
        publish_orders(&Producer::wrap(&shop, context.clone()), &run).await?;
        process_orders(&worker, &stream).await
    };
    let ended = timeout(TIMEOUT, work).await;
    context.delete_stream(format!("ORDERS-{run}")).await?;

    let tree = TraceTree::new()
        .service("shop", of_shop.get_finished_spans()?)
        .service("worker", of_worker.get_finished_spans()?)
        .color(io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none());
    println!("\n{tree}\n");
    ended.context("the orders were not processed in time")??;
    println!("{GUIDE}");
    Ok(())
}

async fn publish_orders(producer: &Producer, run: &str) -> Result<()> {
    for order in ORDERS {
        let message = PublishMessage::build()
            .payload("two books".into())
            .message_id(format!("order-{order}"));
        let published = producer.send_publish(format!("orders.{run}.{order}"), message);
        let ack = published.await?.await?;
        println!(
            "  shop: order {order} is number {} of {}",
            ack.sequence, ack.stream
        );
    }
    Ok(())
}

async fn process_orders(telemetry: &Telemetry, stream: &Stream) -> Result<()> {
    let consumer = stream
        .create_consumer(pull::Config {
            durable_name: Some("worker".to_owned()),
            filter_subject: stream.cached_info().config.subjects.concat(),
            ..pull::Config::default()
        })
        .await?;
    let consumer = Consumer::wrap(telemetry, consumer);
    let mut done = 0;
    // A real worker would loop for ever.
    while done < ORDERS.len() {
        let fetch = consumer.fetch().max_messages(10);
        let mut orders = fetch.messages().await?;
        while let Some(order) = orders.next().await {
            let order = order.map_err(|error| anyhow!(error))?;
            let attempt = order.info().map_err(|error| anyhow!(error))?.delivered;
            let outcome = order
                .process(async |order| {
                    let out_of_paper = attempt == 1 && order.subject.ends_with(".2");
                    if out_of_paper {
                        Err(OutOfPaper)
                    } else {
                        Ok(())
                    }
                })
                .await;
            let settled = match outcome {
                Ok(()) => {
                    done += 1;
                    order.double_ack().await
                }
                Err(OutOfPaper) => {
                    println!("  worker: out of paper, once more in a moment");
                    let later = AckKind::Nak(Some(Duration::from_millis(100)));
                    order.ack_with(later).await
                }
            };
            settled.map_err(|error| anyhow!(error))?;
        }
    }
    Ok(())
}

/// What can go wrong with an order; the `error.type` of its span is the name of the type.
#[derive(Debug)]
struct OutOfPaper;

/// Telemetry of one program, and what it records.
fn telemetry() -> (Telemetry, InMemorySpanExporter) {
    let recorded = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(recorded.clone())
        .build();
    (Telemetry::new().tracer_provider(provider), recorded)
}

async fn connect() -> Result<client::Context> {
    let url = env::var("NATS_URL").ok().filter(|url| !url.is_empty());
    let url = url.ok_or_else(|| anyhow!("NATS_URL is not set. {HOW}"))?;
    let connected = async_nats::connect(&url).await;
    let connected = connected.context(format!("no nats-server answers at {url}. {HOW}"))?;
    Ok(client::new(connected))
}

const HOW: &str = "`docker compose up --wait nats` or `nats-server -js` starts one: then \
    NATS_URL=nats://localhost:4222";

const GUIDE: &str = "\
How to read it: each `process orders.….*` of worker stands below the `publish` of shop whose message
it handles. The second order failed once and was delivered again, in the same trace: there are two
spans of it, and a `nak` beside the `double_ack`.";
