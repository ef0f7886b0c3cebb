//! A worker pulls orders out of a JetStream stream; one fails at first and is delivered again.
//!
//! ```text
//! cargo run --features nats --example jetstream_worker     # the server of `docker compose up --wait nats`
//! NATS_URL=nats://user:password@host:4222 cargo run --features nats --example jetstream_worker
//! ```
//!
//! `shop` publishes orders into a stream of this run's own, `worker` fetches them, processes each and
//! acknowledges it, or asks for it again.
//!
//! With `--features otlp` and `OTEL_EXPORTER_OTLP_ENDPOINT` set, the spans and the metrics go there too: see
//! `telemetry/mod.rs`.

use std::cell::Cell;
use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::ServerAddr;
use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, StorageType};
use async_nats::jetstream::{self as client, Message};
use examples::nats::{connect, jetstream};
use examples::stop::Stop;
use examples::telemetry::{self, Providers};
use opentelemetry::trace::SpanKind;
use otel_messaging::Telemetry;
use otel_messaging::nats::jetstream::{Consumer, Producer};
use tokio::time::timeout;

const ORDERS: [&str; 3] = ["1", "2", "3"];
const TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<()> {
    let stop = Stop::on_ctrl_c().await;
    let shop = Service::start("shop").await?;
    let worker = Service::start("worker").await?;
    let run = examples::run();
    let name = format!("ORDERS-{run}");
    let created = shop
        .context
        .create_stream(Config {
            name: name.clone(),
            subjects: vec![format!("orders.{run}.*"), format!("dead-letters.{run}")],
            storage: StorageType::Memory,
            ..Config::default()
        })
        .await;
    created.context("is JetStream enabled? `nats-server -js` starts a server that has it")?;

    let work = async {
        publish_orders(&shop, &run).await?;
        process_orders(&worker, &name, &run, &stop).await;
        anyhow::Ok(())
    };
    let ended = timeout(6 * TIMEOUT, work).await;
    let cleaned_up = shop.context.delete_stream(&name).await;

    let programs = [&shop.providers, &worker.providers];
    println!("\n{}\n", telemetry::tree(&programs)?);
    telemetry::shut_down(&programs);
    ended.context("the orders were not processed in time")??;
    println!("{}", stop.last_words(guide(&run)));
    cleaned_up?;
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

async fn process_orders(worker: &Service, stream: &str, run: &str, stop: &Stop) {
    let done = Cell::new(0);
    let process = async |order: &Message| {
        let is_first = order.info().is_ok_and(|info| info.delivered == 1);
        if is_first && order.subject.ends_with(".2") {
            return Err(OutOfPaper);
        }
        done.set(done.get() + 1);
        if done.get() == ORDERS.len() {
            stop.ask();
        }
        Ok(())
    };
    let look_up = async || worker.consumer(stream, run).await;
    let producer = worker.producer();
    let dead_letters = format!("dead-letters.{run}");
    jetstream::consume(look_up, &producer, &dead_letters, stop.asked(), process).await;
}

/// What can go wrong with an order; the `error.type` of its span is the name of the type.
#[derive(Debug)]
struct OutOfPaper;

impl fmt::Display for OutOfPaper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("out of paper")
    }
}

struct Service {
    providers: Providers,
    telemetry: Telemetry,
    address: ServerAddr,
    context: client::Context,
}

impl Service {
    async fn start(name: &'static str) -> Result<Self> {
        let providers = Providers::new(name)?;
        let (client, address) = connect(name).await?;
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

    async fn consumer(&self, stream: &str, run: &str) -> Result<Consumer<pull::Config>> {
        let config = pull::Config {
            durable_name: Some(self.providers.service.to_owned()),
            filter_subject: format!("orders.{run}.*"),
            ..pull::Config::default()
        };
        let consumer = self.context.create_consumer_on_stream(config, stream);
        let consumer = consumer.await?;
        Ok(Consumer::wrap(&self.telemetry, consumer)
            .server(self.address.host(), self.address.port())
            .client_id(self.providers.service))
    }
}

fn guide(run: &str) -> String {
    format!(
        "\
How to read it: each `process orders.{run}.*` of worker stands below the `publish` of shop whose message
it handles. The second order failed once and was delivered again, in the same trace: there are two
spans of it, and a `nak` beside the `double_ack`."
    )
}
