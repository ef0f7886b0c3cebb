//! Orders of several requests are stored together, and the batch links to each of them.
//!
//! ```text
//! NATS_URL=nats://localhost:4222 cargo run --example jetstream_batch
//! ```
//!
//! `shop` publishes the orders of each request by one call, into a stream that this run creates.
//! `store` receives them in batches, limited by count and time, prints a slip for each order and
//! acknowledges it, or asks for it again.

use std::env;
use std::io::{self, IsTerminal as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow};
use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, StorageType, Stream};
use async_nats::jetstream::{self as client, AckKind};
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanKind, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use otel_messaging::Telemetry;
use otel_messaging::nats::jetstream::{Consumer, Producer};
use otel_messaging::policy::{Policy, Rule};
use otel_messaging::testing::TraceTree;
use tokio::time::timeout;

/// The orders of each request.
const REQUESTS: [&[&str]; 2] = [&["1", "2"], &["3"]];
const ORDERS: usize = 3;
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

    let (shop, store) = (Service::new("shop"), Service::new("store"));
    let work = async {
        take_orders(&shop, &context, &run).await?;
        store_orders(&store, &stream).await
    };
    let ended = timeout(TIMEOUT, work).await;
    context.delete_stream(format!("ORDERS-{run}")).await?;

    let tree = TraceTree::new()
        .service(shop.name, shop.recorded.get_finished_spans()?)
        .service(store.name, store.recorded.get_finished_spans()?)
        .color(io::stdout().is_terminal() && variable("NO_COLOR").is_none());
    println!("\n{tree}\n");
    ended.context("the orders were not stored in time")??;
    println!("{GUIDE}");
    Ok(())
}

async fn take_orders(shop: &Service, context: &client::Context, run: &str) -> Result<()> {
    let tracer = shop.provider.tracer(shop.name);
    let producer = Producer::wrap(&shop.telemetry, context.clone());
    for orders in REQUESTS {
        let request = tracer
            .span_builder("POST /orders")
            .with_kind(SpanKind::Server)
            .start(&tracer);
        let request = opentelemetry::Context::current_with_span(request);
        let messages = orders.iter().map(|order| {
            let message = PublishMessage::build().payload("two books".into());
            (format!("orders.{run}.{order}"), message.message_id(order))
        });
        for result in producer.publish_batch(messages).with_context(request).await {
            let ack = result?;
            println!("  shop: number {} of {}", ack.sequence, ack.stream);
        }
    }
    Ok(())
}

async fn store_orders(store: &Service, stream: &Stream) -> Result<()> {
    let consumer = stream
        .create_consumer(pull::Config {
            durable_name: Some(store.name.to_owned()),
            filter_subject: stream.cached_info().config.subjects.concat(),
            ..pull::Config::default()
        })
        .await?;
    let messages = Consumer::wrap(&store.telemetry, consumer)
        .messages()
        .await?;
    let mut batches = messages.batches(ORDERS, Duration::from_millis(100));
    let mut stored = 0;
    // A real service would loop for ever.
    while stored < ORDERS {
        let batch = batches.recv().await.context("no more orders")??;
        batch
            .process(async |orders| -> Result<()> {
                for order in orders {
                    // What is done for one order alone is a span in the trace of that order.
                    let printed = order.process(async |order| print_slip(order)).await;
                    let settled = match printed {
                        Ok(()) => {
                            stored += 1;
                            order.double_ack().await
                        }
                        Err(OutOfPaper) => {
                            println!("  store: out of paper, once more in a moment");
                            let later = AckKind::Nak(Some(Duration::from_millis(100)));
                            order.ack_with(later).await
                        }
                    };
                    settled.map_err(|error| anyhow!(error))?;
                }
                Ok(())
            })
            .await?;
    }
    Ok(())
}

fn print_slip(order: &client::Message) -> Result<(), OutOfPaper> {
    let is_first = order.info().is_ok_and(|info| info.delivered == 1);
    if is_first && order.subject.ends_with(".2") {
        return Err(OutOfPaper);
    }
    println!("  store: {}", order.subject);
    Ok(())
}

/// What can go wrong with an order; the `error.type` of its span is the name of the type.
#[derive(Debug)]
struct OutOfPaper;

/// What a program sets up once.
struct Service {
    name: &'static str,
    provider: SdkTracerProvider,
    recorded: InMemorySpanExporter,
    telemetry: Telemetry,
}

impl Service {
    fn new(name: &'static str) -> Self {
        let recorded = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(recorded.clone())
            .build();
        // Each order has a subject of its own: names of spans have what stands for all of them.
        let policy = Policy::new().rule(Rule::of("orders.*").template("orders.*"));
        let telemetry = Telemetry::new().tracer_provider(provider.clone());
        Self {
            name,
            telemetry: telemetry.policy(policy),
            provider,
            recorded,
        }
    }
}

async fn connect() -> Result<client::Context> {
    let url = variable("NATS_URL");
    let url = url.ok_or_else(|| anyhow!("NATS_URL is not set. {HOW}"))?;
    let connected = async_nats::connect(&url).await;
    let connected = connected.context(format!("no nats-server answers at {url}. {HOW}"))?;
    Ok(client::new(connected))
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

const HOW: &str = "`docker compose up --wait nats` or `nats-server -js` starts one: then \
    NATS_URL=nats://localhost:4222";

const GUIDE: &str = "\
How to read it: each `process orders.*` without a parent is of a whole batch and links (⇠) to where
each of its messages was created; it is in no request's trace, since it belongs to several. What was
done for one order alone is in the trace of that order. The second one failed and was delivered again,
in a batch of its own.";
