//! Orders of several requests are stored together, and the batch links to each of them.
//!
//! ```text
//! cargo run --example jetstream_batch                           # localhost:4222
//! NATS_URL=nats://user:password@host:4222 cargo run --example jetstream_batch
//! ```
//!
//! `shop` publishes the orders of each request by one call, into a stream that this run creates.
//! `store` receives them in batches, limited by count and time, prints a slip for each order and
//! acknowledges it, or asks for it again.
//!
//! With `OTEL_EXPORTER_OTLP_ENDPOINT` set, the spans and the metrics go there too: see
//! `telemetry/mod.rs`.

mod nats;
mod telemetry;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow};
use async_nats::ServerAddr;
use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, StorageType, Stream};
use async_nats::jetstream::{self as client, AckKind};
use opentelemetry::trace::SpanKind;
use otel_messaging::Telemetry;
use otel_messaging::nats::jetstream::{Consumer, Producer};
use otel_messaging::policy::{Policy, Rule};
use tokio::time::timeout;

use self::telemetry::Providers;

/// The orders of each request.
const REQUESTS: [&[&str]; 2] = [&["1", "2"], &["3"]];
const ORDERS: usize = 3;
const TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<()> {
    let shop = Service::start("shop").await?;
    let store = Service::start("store").await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let run = format!("{:x}", now.subsec_micros());
    let name = format!("ORDERS-{run}");
    let created = shop
        .context
        .create_stream(Config {
            name: name.clone(),
            subjects: vec![format!("orders.{run}.*")],
            storage: StorageType::Memory,
            ..Config::default()
        })
        .await;
    created.context("is JetStream enabled? `nats-server -js` starts a server that has it")?;
    let stream = store.context.get_stream(&name).await?;

    let work = async {
        take_orders(&shop, &run).await?;
        store_orders(store.consumer(&stream).await?).await
    };
    let ended = timeout(6 * TIMEOUT, work).await;
    shop.context.delete_stream(&name).await?;

    let programs = [&shop.providers, &store.providers];
    println!("\n{}\n", telemetry::tree(&programs)?);
    telemetry::shut_down(&programs);
    ended.context("the orders were not stored in time")??;
    println!("{GUIDE}");
    Ok(())
}

async fn take_orders(shop: &Service, run: &str) -> Result<()> {
    let producer = shop.producer();
    for orders in REQUESTS {
        let messages = orders.iter().map(|order| {
            let message = PublishMessage::build().payload("two books".into());
            (format!("orders.{run}.{order}"), message.message_id(order))
        });
        let publish = async {
            for result in producer.publish_batch(messages).await {
                let ack = result?;
                println!("  shop: number {} of {}", ack.sequence, ack.stream);
            }
            Ok(())
        };
        let providers = &shop.providers;
        let request = providers.in_span("POST /orders", SpanKind::Server, publish);
        request.await?;
    }
    Ok(())
}

async fn store_orders(consumer: Consumer<pull::Config>) -> Result<()> {
    let messages = consumer.messages().await?;
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

struct Service {
    providers: Providers,
    telemetry: Telemetry,
    address: ServerAddr,
    context: client::Context,
}

impl Service {
    async fn start(name: &'static str) -> Result<Self> {
        let providers = Providers::new(name)?;
        let (client, address) = nats::connect(name).await?;
        // Each order has a subject of its own: names of spans have what stands for all of them.
        let policy = Policy::new().rule(Rule::of("orders.*").template("orders.*"));
        Ok(Self {
            telemetry: providers.telemetry().policy(policy),
            providers,
            address,
            context: client::new(client),
        })
    }

    // The client does not tell where it is connected to, nor what it is called.
    fn producer(&self) -> Producer {
        Producer::wrap(&self.telemetry, self.context.clone())
            .server(self.address.host(), self.address.port())
            .client_id(self.providers.service)
    }

    async fn consumer(&self, stream: &Stream) -> Result<Consumer<pull::Config>> {
        let consumer = stream
            .create_consumer(pull::Config {
                durable_name: Some(self.providers.service.to_owned()),
                filter_subject: stream.cached_info().config.subjects.concat(),
                ..pull::Config::default()
            })
            .await?;
        Ok(Consumer::wrap(&self.telemetry, consumer)
            .server(self.address.host(), self.address.port())
            .client_id(self.providers.service))
    }
}

const GUIDE: &str = "\
How to read it: each `process orders.*` without a parent is of a whole batch and links (⇠) to where
each of its messages was created; it is in no request's trace, since it belongs to several. What was
done for one order alone is in the trace of that order. The second one failed and was delivered again,
in a batch of its own.";
