//! A worker pulls orders out of a JetStream stream; one fails at first and is delivered again.
//!
//! ```text
//! cargo run --example jetstream_worker                          # localhost:4222
//! NATS_URL=nats://user:password@host:4222 cargo run --example jetstream_worker
//! ```
//!
//! `shop` publishes orders into a stream of this run's own, `worker` fetches them, processes each and
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
use futures::StreamExt as _;
use opentelemetry::trace::SpanKind;
use otel_messaging::Telemetry;
use otel_messaging::nats::jetstream::{Consumer, Producer};
use tokio::time::timeout;

use self::telemetry::Providers;

const ORDERS: [&str; 3] = ["1", "2", "3"];
const TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<()> {
    let shop = Service::start("shop").await?;
    let worker = Service::start("worker").await?;
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
    let stream = worker.context.get_stream(&name).await?;

    let work = async {
        publish_orders(&shop, &run).await?;
        process_orders(worker.consumer(&stream).await?).await
    };
    let ended = timeout(6 * TIMEOUT, work).await;
    shop.context.delete_stream(&name).await?;

    let programs = [&shop.providers, &worker.providers];
    println!("\n{}\n", telemetry::tree(&programs)?);
    telemetry::shut_down(&programs);
    ended.context("the orders were not processed in time")??;
    println!("{GUIDE}");
    Ok(())
}

async fn publish_orders(shop: &Service, run: &str) -> Result<()> {
    let producer = shop.producer();
    for order in ORDERS {
        let publish = async {
            let message = PublishMessage::build()
                .payload("two books".into())
                .message_id(format!("order-{order}"));
            let published = producer.send_publish(format!("orders.{run}.{order}"), message);
            let ack = published.await?.await?;
            println!(
                "  shop: order {order} is number {} of {}",
                ack.sequence, ack.stream
            );
            Ok(())
        };
        let providers = &shop.providers;
        let request = providers.in_span("POST /orders", SpanKind::Server, publish);
        request.await?;
    }
    Ok(())
}

async fn process_orders(consumer: Consumer<pull::Config>) -> Result<()> {
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
        Ok(Self {
            telemetry: providers.telemetry(),
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
How to read it: each `process orders.….*` of worker stands below the `publish` of shop whose message
it handles. The second order failed once and was delivered again, in the same trace: there are two
spans of it, and a `nak` beside the `double_ack`.";
