//! Orders of several requests are stored together, and the batch links to each of them.
//!
//! ```text
//! cargo run --example amqp_batch                                            # localhost:5672
//! AMQP_URL=amqp://user:password@host:5672/%2f cargo run --example amqp_batch
//! ```
//!
//! `shop` publishes orders, `store` takes them in batches by count and time, stores each batch at
//! once and acknowledges it by its last message. Both run in this process, but each has telemetry
//! and a connection of its own, as two programs would.
//!
//! With `OTEL_EXPORTER_OTLP_ENDPOINT` set, the spans and the metrics go there too: see
//! `telemetry/mod.rs`.

mod rabbitmq;
mod telemetry;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation};
use opentelemetry::trace::SpanKind;
use otel_messaging::{Telemetry, amqp};
use tokio::time::{sleep, timeout};

use self::telemetry::Providers;

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
    let done = timeout(TIMEOUT, done).await;

    let programs = [&shop.providers, &store.providers];
    println!("\n{}\n", telemetry::tree(&programs)?);
    telemetry::shut_down(&programs);
    done.context("orders not stored")??;
    println!("{GUIDE}");
    Ok(())
}

async fn take_orders(shop: &Service, orders: &ShortString) -> Result<()> {
    let producer = amqp::Producer::wrap(&shop.telemetry, &shop.known, shop.channel.clone());
    for order in ORDERS {
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
        let providers = &shop.providers;
        let request = providers.in_span("POST /orders", SpanKind::Server, publish);
        request.await?;
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

struct Service {
    providers: Providers,
    telemetry: Telemetry,
    known: amqp::ConnectionInfo,
    channel: Channel,
}

impl Service {
    async fn start(name: &'static str) -> Result<Self> {
        let providers = Providers::new(name)?;
        let (known, channel) = rabbitmq::channel(name).await?;
        Ok(Self {
            telemetry: providers.telemetry(),
            providers,
            known,
            channel,
        })
    }
}

const GUIDE: &str = "\
How to read it: each `process orders` is of a whole batch and links to what each of its messages was
published by (⇠). It is in no request's trace, since it belongs to several.";
