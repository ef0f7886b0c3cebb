//! Orders of several requests are stored together, and the batch links to each of them.
//!
//! ```text
//! cargo run --features nats --example jetstream_batch     # the server of `docker compose up --wait nats`
//! NATS_URL=nats://user:password@host:4222 cargo run --features nats --example jetstream_batch
//! ```
//!
//! `shop` publishes the orders of each request by one call, into a stream that this run creates.
//! `store` receives them in batches, limited by count and time, prints a slip for each order and
//! acknowledges it, or asks for it again.
//!
//! With `--features otlp` and `OTEL_EXPORTER_OTLP_ENDPOINT` set, the spans and the metrics go there too: see
//! `telemetry/mod.rs`.

use std::cell::Cell;
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::ServerAddr;
use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, StorageType};
use async_nats::jetstream::{self as client, AckKind};
use examples::nats::connect;
use examples::stop::Stop;
use examples::telemetry::{self, Providers};
use opentelemetry::trace::SpanKind;
use otel_messaging::Telemetry;
use otel_messaging::nats::jetstream::{Consumer, Producer};
use otel_messaging::policy::{Policy, Rule};
use tokio::time::{sleep, timeout};

/// The orders of each request.
const REQUESTS: [&[&str]; 2] = [&["1", "2"], &["3"]];
const ORDERS: usize = 3;
const TIMEOUT: Duration = Duration::from_secs(5);
/// Before the consumer is looked up again.
const PAUSE: Duration = Duration::from_millis(500);
/// How often a server that has no messages shows that it is there.
const HEARTBEAT: Duration = Duration::from_secs(15);

#[tokio::main]
async fn main() -> Result<()> {
    let stop = Stop::on_ctrl_c().await;
    let shop = Service::start("shop").await?;
    let store = Service::start("store").await?;
    let run = examples::run();
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

    let work = async {
        take_orders(&shop, &run).await?;
        store_orders(&store, &name, &stop).await;
        anyhow::Ok(())
    };
    let ended = timeout(6 * TIMEOUT, work).await;
    let cleaned_up = shop.context.delete_stream(&name).await;

    let programs = [&shop.providers, &store.providers];
    println!("\n{}\n", telemetry::tree(&programs)?);
    telemetry::shut_down(&programs);
    ended.context("the orders were not stored in time")??;
    println!("{}", stop.last_words(GUIDE.to_owned()));
    cleaned_up?;
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

/// Stores batches until it is asked to stop. Neither a failed order ends it, nor does an error of the client.
async fn store_orders(store: &Service, stream: &str, stop: &Stop) {
    let stored = Cell::new(0);
    while let Err(error) = look_up_and_store(store, stream, stop, &stored).await {
        eprintln!("{stream}: {error:#}");
        tokio::select! {
            () = stop.asked() => return,
            () = sleep(PAUSE) => {}
        }
    }
}

/// The same with one consumer, as long as that is good.
async fn look_up_and_store(
    store: &Service,
    stream: &str,
    stop: &Stop,
    stored: &Cell<usize>,
) -> Result<()> {
    let consumer = store.consumer(stream).await?;
    // What waits in the client for longer than `ack_wait` is delivered again, and counts as tried.
    let messages = consumer.stream().max_messages_per_batch(ORDERS);
    let messages = messages.heartbeat(HEARTBEAT).messages().await?;
    let mut batches = messages.batches(ORDERS, Duration::from_millis(100));
    while stored.get() < ORDERS {
        let batch = tokio::select! {
            biased;
            () = stop.asked() => return Ok(()),
            next = batches.recv() => next.context("no more messages")??,
        };
        let store = batch.process(async |orders| {
            for order in orders {
                // What is done for one order alone is a span in the trace of that order.
                let printed = order.process(async |order| print_slip(order)).await;
                let settled = match printed {
                    Ok(()) => {
                        stored.set(stored.get() + 1);
                        order.double_ack().await
                    }
                    Err(OutOfPaper) => {
                        println!("  store: out of paper, once more in a moment");
                        let later = AckKind::Nak(Some(Duration::from_millis(100)));
                        order.ack_with(later).await
                    }
                };
                if let Err(error) = settled {
                    // Without an answer, the server delivers it again.
                    eprintln!("{}: {error:#}", order.subject);
                }
            }
        });
        store.await;
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
        let (client, address) = connect(name).await?;
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

    async fn consumer(&self, stream: &str) -> Result<Consumer<pull::Config>> {
        let config = pull::Config {
            durable_name: Some(self.providers.service.to_owned()),
            // More often than that, an order is not tried.
            max_deliver: 3,
            ..pull::Config::default()
        };
        let consumer = self.context.create_consumer_on_stream(config, stream);
        let consumer = consumer.await?;
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
