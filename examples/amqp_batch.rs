//! Orders of several requests are stored together, and the batch links to each of them.
//!
//! ```text
//! cargo run --features amqp --example amqp_batch         # the RabbitMQ of `docker compose up --wait rabbitmq`
//! AMQP_URL=amqp://user:password@host:5672/%2f cargo run --features amqp --example amqp_batch
//! ```
//!
//! `shop` publishes orders, `store` takes them in batches by count and time, stores each batch at
//! once and acknowledges it by its last message. A batch that fails is refused message by message.
//! Both run in this process, but each has telemetry and a connection of its own, as two programs would.
//!
//! With `--features otlp` and `OTEL_EXPORTER_OTLP_ENDPOINT` set, the spans and the metrics go there too: see
//! `telemetry/mod.rs`.

use std::cell::Cell;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use examples::amqp::{connect, dead_letters_to};
use examples::stop::Stop;
use examples::telemetry::{self, Providers};
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicPublishOptions, BasicQosOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation};
use opentelemetry::trace::SpanKind;
use otel_messaging::{Batch, Telemetry, amqp};
use tokio::time::{sleep, timeout};

const ORDERS: [&str; 5] = ["order 1", "order 2", "order 3", "order 4", "order 5"];
/// The most orders of a batch.
const BATCH: u16 = 3;
const TIMEOUT: Duration = Duration::from_secs(5);
/// Before a batch is tried again, and before the next connection.
const PAUSE: Duration = Duration::from_millis(500);

#[tokio::main]
async fn main() -> Result<()> {
    let stop = Stop::on_ctrl_c().await;
    let shop = Service::start("shop").await?;
    let store = Providers::new("store")?;
    let run = examples::run();
    let orders: ShortString = format!("orders-{run}").into();
    let dead_letters: ShortString = format!("dead-letters-{run}").into();
    for (queue, arguments) in [
        (&dead_letters, FieldTable::default()),
        (&orders, dead_letters_to(dead_letters.as_str())),
    ] {
        let options = QueueDeclareOptions::durable();
        let declared = shop
            .channel
            .queue_declare(queue.clone(), options, arguments);
        declared.await?;
    }

    let work = async {
        tokio::try_join!(
            take_orders(&shop, &orders),
            store_orders(&store, &orders, &stop),
        )
    };
    let ended = timeout(6 * TIMEOUT, work).await;

    let deleting = async {
        for queue in [&orders, &dead_letters] {
            let options = QueueDeleteOptions::default();
            shop.channel.queue_delete(queue.clone(), options).await?;
        }
        lapin::Result::Ok(())
    };
    let cleaned_up = timeout(TIMEOUT, deleting).await;
    let programs = [&shop.providers, &store];
    println!("\n{}\n", telemetry::tree(&programs)?);
    telemetry::shut_down(&programs);
    ended.context("the orders were not stored in time")??;
    println!("{}", stop.last_words(guide(&orders)));
    cleaned_up??;
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

/// Stores batches until it is asked to stop. Neither a failed batch ends it, nor does an error of the client.
async fn store_orders(store: &Providers, orders: &ShortString, stop: &Stop) -> Result<()> {
    let stored = Cell::new(0);
    while let Err(error) = connect_and_store(store, orders, stop, &stored).await {
        eprintln!("{orders}: {error:#}");
        tokio::select! {
            () = stop.asked() => return Ok(()),
            () = sleep(PAUSE) => {}
        }
    }
    Ok(())
}

/// The same over one connection, as long as that is good.
async fn connect_and_store(
    store: &Providers,
    orders: &ShortString,
    stop: &Stop,
    stored: &Cell<usize>,
) -> Result<()> {
    let (known, channel) = connect(store.service).await?;
    let consuming = async {
        // As many as a batch has: what is fetched and then not tried counts as tried.
        channel.basic_qos(BATCH, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions::default();
        channel
            .basic_consume(orders.clone(), "".into(), options, FieldTable::default())
            .await
    };
    let consumer = timeout(TIMEOUT, consuming).await.context("no consumer")??;
    let consumer = amqp::Consumer::wrap(&store.telemetry(), &known, consumer);
    let mut batches = consumer.batches(BATCH.into(), Duration::from_millis(100));
    while stored.get() < ORDERS.len() {
        let batch = tokio::select! {
            biased;
            () = stop.asked() => return Ok(()),
            next = batches.recv() => next.context("cancelled by the broker")??,
        };
        let storing = batch.process(async |orders| -> Result<()> {
            for order in orders.iter() {
                println!("  store: {}", str::from_utf8(&order.data)?);
            }
            Ok(())
        });
        let settled = if let Err(error) = storing.await {
            eprintln!("{orders}: {error:#}");
            sleep(PAUSE).await;
            timeout(TIMEOUT, nack(&batch)).await
        } else {
            stored.set(stored.get() + batch.len());
            timeout(TIMEOUT, ack(&batch)).await
        };
        settled.context("the connection takes no acknowledgement")??;
    }
    Ok(())
}

/// Acknowledges a batch by its last message. It is the only consumer of its channel: nobody else's are before it.
async fn ack(batch: &Batch<Delivery>) -> lapin::Result<()> {
    if let Some(last) = batch.last() {
        last.ack(BasicAckOptions { multiple: true }).await?;
    }
    Ok(())
}

/// Each message of a failed batch goes back into the queue once, and then to the dead-letter exchange of the queue.
async fn nack(batch: &Batch<Delivery>) -> lapin::Result<()> {
    for order in batch {
        let options = BasicNackOptions {
            requeue: !order.redelivered,
            ..BasicNackOptions::default()
        };
        order.nack(options).await?;
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
        let (known, channel) = connect(name).await?;
        Ok(Self {
            telemetry: providers.telemetry(),
            providers,
            known,
            channel,
        })
    }
}

fn guide(orders: &ShortString) -> String {
    format!(
        "\
How to read it: each `process {orders}` is of a whole batch and links to what each of its messages was
published by (⇠). It is in no request's trace, since it belongs to several."
    )
}
