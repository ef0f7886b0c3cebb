//! Orders of several requests are stored together, and the batch links to each of them.
//!
//! ```text
//! cargo run --example amqp_batch                                            # localhost:5672
//! AMQP_URL=amqp://user:password@host:5672/%2f cargo run --example amqp_batch
//! ```
//!
//! `shop` publishes orders. `store` receives them in batches, limited by count and time, stores each
//! batch at once and acknowledges it with its last message. Both run in this process, but each has
//! telemetry and a connection of its own, as two programs would.

use std::env;
use std::io::{self, IsTerminal as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions,
    QueueDeclareOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanKind, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use otel_messaging::testing::TraceTree;
use otel_messaging::{Telemetry, amqp};
use tokio::time::{sleep, timeout};

const ORDERS: [&str; 5] = ["order 1", "order 2", "order 3", "order 4", "order 5"];
const TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<()> {
    let shop = Service::start("shop").await?;
    let store = Service::start("store").await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let orders: ShortString = format!("orders-{:x}", now.subsec_micros()).into();
    // Gone with the service that declares it.
    let options = QueueDeclareOptions::exclusive();
    let declared = store
        .channel
        .queue_declare(orders.clone(), options, FieldTable::default());
    declared.await?;

    let done =
        async { tokio::try_join!(take_orders(&shop, &orders), store_orders(&store, &orders)) };
    timeout(TIMEOUT, done)
        .await
        .context("orders not stored")??;

    let tree = TraceTree::new()
        .service(shop.name, shop.recorded.get_finished_spans()?)
        .service(store.name, store.recorded.get_finished_spans()?)
        .color(io::stdout().is_terminal() && variable("NO_COLOR").is_none());
    println!("\n{tree}\n\n{GUIDE}");
    Ok(())
}

async fn take_orders(shop: &Service, orders: &ShortString) -> Result<()> {
    let tracer = shop.provider.tracer(shop.name);
    let producer = amqp::Producer::wrap(&shop.telemetry, &shop.known, shop.channel.clone());
    for order in ORDERS {
        let request = tracer
            .span_builder("POST /orders")
            .with_kind(SpanKind::Server)
            .start(&tracer);
        let request = opentelemetry::Context::current_with_span(request);
        let publish = async {
            let confirm = producer.basic_publish(
                "".into(),
                orders.clone(),
                BasicPublishOptions::default(),
                order.as_bytes(),
                BasicProperties::default().with_message_id(order.into()),
            );
            let confirmation = confirm.await?.await?;
            ensure!(
                confirmation == Confirmation::Ack(None),
                "{order} not taken: {confirmation:?}"
            );
            Ok(())
        };
        publish.with_context(request).await?;
    }
    Ok(())
}

async fn store_orders(store: &Service, orders: &ShortString) -> Result<()> {
    let consumer = store
        .channel
        .basic_consume(
            orders.clone(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await?;
    let consumer = amqp::Consumer::wrap(&store.telemetry, &store.known, consumer);
    let mut batches = consumer.batches(3, Duration::from_millis(100), sleep);
    let mut stored = 0;
    // A real service would loop for ever.
    while stored < ORDERS.len() {
        let batch = batches.recv().await.context("no more orders")??;
        batch
            .process(async |orders| -> Result<()> {
                for order in orders.iter() {
                    println!("  store: {}", str::from_utf8(&order.data)?);
                }
                Ok(())
            })
            .await?;
        if let Some(last) = batch.last() {
            last.ack(BasicAckOptions { multiple: true }).await?;
        }
        stored += batch.len();
    }
    Ok(())
}

/// What a program sets up once.
struct Service {
    name: &'static str,
    provider: SdkTracerProvider,
    recorded: InMemorySpanExporter,
    telemetry: Telemetry,
    known: amqp::ConnectionInfo,
    channel: Channel,
}

impl Service {
    async fn start(name: &'static str) -> Result<Self> {
        let recorded = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(recorded.clone())
            .build();
        let url = variable("AMQP_URL");
        let url = url.as_deref().unwrap_or(DEFAULT_URL);
        let connecting = Connection::connect(url, ConnectionProperties::default());
        let connection = match timeout(TIMEOUT, connecting).await {
            Ok(connected) => connected.context(NO_BROKER)?,
            Err(elapsed) => return Err(elapsed).context(NO_BROKER),
        };
        let channel = connection.create_channel().await?;
        // Without confirms a span would end when its message is written.
        let confirms = channel.confirm_select(ConfirmSelectOptions::default());
        confirms.await?;
        Ok(Self {
            name,
            telemetry: Telemetry::new().tracer_provider(provider.clone()),
            provider,
            recorded,
            known: amqp::ConnectionInfo::of(&connection).uri(url),
            channel,
        })
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

const DEFAULT_URL: &str = "amqp://guest:guest@localhost:5672/%2f";

const NO_BROKER: &str = "no RabbitMQ answers at AMQP_URL. \
To get one: `docker compose up --wait rabbitmq`, or `apt-get install rabbitmq-server` and \
`rabbitmq-server`. Unset, AMQP_URL is amqp://guest:guest@localhost:5672/%2f";

const GUIDE: &str = "\
How to read it: each `process orders` is of a whole batch and links to what each of its messages was
published by (⇠). It is in no request's trace, since it belongs to several.";
