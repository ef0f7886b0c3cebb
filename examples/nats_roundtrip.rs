//! An order goes from one service to another and back over NATS, after a request for its price, and
//! its trace stays whole.
//!
//! ```text
//! cargo run --features nats --example nats_roundtrip     # the server of `docker compose up --wait nats`
//! NATS_URL=nats://user:password@host:4222 cargo run --features nats --example nats_roundtrip
//! ```
//!
//! `shop` asks `stock` for the price and publishes the order, `billing` charges the card and reports
//! the payment, `shop` confirms. All run in this process, but each has telemetry and a connection of
//! its own, as three programs would.
//!
//! With `--features otlp` and `OTEL_EXPORTER_OTLP_ENDPOINT` set, the spans and the metrics go there too: see
//! `telemetry/mod.rs`.

use std::cell::Cell;
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::{Message, Subscriber};
use examples::nats::{connect, consume};
use examples::stop::Stop;
use examples::telemetry::{self, Providers};
use futures::StreamExt as _;
use opentelemetry::trace::SpanKind;
use otel_messaging::nats::{Consumer, Messages, Producer};
use tokio::time::timeout;

const ORDERS: [&str; 2] = ["1", "2"];
const TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<()> {
    let stop = Stop::on_ctrl_c().await;
    let shop = Service::start("shop").await?;
    let stock = Service::start("stock").await?;
    let billing = Service::start("billing").await?;
    // Subjects of this run's own, so that it meets nobody else's messages.
    let subjects = Subjects(examples::run());

    let requests = stock.subscribe(&subjects.prices("*")).await?;
    let orders = billing.subscribe(&subjects.orders("*")).await?;
    let payments = shop.subscribe(&subjects.payments("*")).await?;
    let work = async {
        tokio::try_join!(
            take_orders(&shop, &subjects, &stop),
            tell_prices(&stock, requests, &stop),
            bill_orders(&billing, orders, &subjects, &stop),
            confirm_orders(payments, &stop),
        )
    };
    let ended = timeout(6 * TIMEOUT, work).await;

    let programs = [&shop, &stock, &billing].map(|service| &service.providers);
    println!("\n{}\n", telemetry::tree(&programs)?);
    telemetry::shut_down(&programs);
    ended.context("the orders were not confirmed in time")??;
    println!("{}", stop.last_words(guide(&subjects)));
    Ok(())
}

async fn take_orders(shop: &Service, subjects: &Subjects, stop: &Stop) -> Result<()> {
    for order in ORDERS {
        let take = async {
            let price = tokio::select! {
                biased;
                // Who would answer is told to stop, too.
                () = stop.asked() => return Ok(()),
                price = shop.producer.request(subjects.prices(order), "?".into()) => price?,
            };
            shop.producer
                .publish(subjects.orders(order), price.payload)
                .await?;
            Ok(())
        };
        let providers = &shop.providers;
        let request = providers.in_span("POST /orders", SpanKind::Server, take);
        request.await?;
    }
    Ok(())
}

async fn tell_prices(stock: &Service, requests: Messages<Subscriber>, stop: &Stop) -> Result<()> {
    let tell = async |request: &Message| -> Result<()> {
        let asking = request.reply.clone().context("nobody asks")?;
        Ok(stock.producer.publish(asking, "12".into()).await?)
    };
    consume(requests, stop.asked(), tell).await;
    Ok(())
}

async fn bill_orders(
    billing: &Service,
    orders: Messages<Subscriber>,
    subjects: &Subjects,
    stop: &Stop,
) -> Result<()> {
    let bill = async |order: &Message| -> Result<()> {
        let id = order.subject.rsplit('.').next().context("no order")?;
        println!("  billing: order {id} charged");
        let payment = billing
            .producer
            .publish(subjects.payments(id), "paid".into());
        Ok(payment.await?)
    };
    consume(orders, stop.asked(), bill).await;
    Ok(())
}

async fn confirm_orders(payments: Messages<Subscriber>, stop: &Stop) -> Result<()> {
    let confirmed = Cell::new(0);
    let confirm = async |_: &Message| {
        confirmed.set(confirmed.get() + 1);
        if confirmed.get() == ORDERS.len() {
            stop.ask();
        }
        anyhow::Ok(())
    };
    consume(payments, stop.asked(), confirm).await;
    Ok(())
}

struct Service {
    providers: Providers,
    producer: Producer,
    consumer: Consumer,
}

impl Service {
    async fn start(name: &'static str) -> Result<Self> {
        let providers = Providers::new(name)?;
        let telemetry = providers.telemetry();
        let (client, address) = connect(name).await?;
        // The client does not tell where it is connected to, nor what it is called.
        let producer = Producer::wrap(&telemetry, client.clone());
        let consumer = Consumer::wrap(&telemetry, client);
        let (host, port) = (address.host(), address.port());
        Ok(Self {
            producer: producer.server(host, port).client_id(name),
            consumer: consumer.server(host, port).client_id(name),
            providers,
        })
    }

    async fn subscribe(&self, subject: &str) -> Result<Messages<Subscriber>> {
        let messages = self.consumer.subscribe(subject.to_owned()).await?;
        // The server deals with a connection's lines in their order: when it has sent this back, it
        // knows of the subscription. A flush would only say that it was sent.
        let client = self.consumer.inner();
        let inbox = client.new_inbox();
        let mut echo = client.subscribe(inbox.clone()).await?;
        client.publish(inbox, "".into()).await?;
        echo.next().await.context("the connection is closed")?;
        Ok(messages)
    }
}

/// The subjects of one run.
struct Subjects(String);

impl Subjects {
    fn prices(&self, order: &str) -> String {
        format!("prices.{}.{order}", self.0)
    }

    fn orders(&self, order: &str) -> String {
        format!("orders.{}.{order}", self.0)
    }

    fn payments(&self, order: &str) -> String {
        format!("payments.{}.{order}", self.0)
    }
}

fn guide(subjects: &Subjects) -> String {
    format!(
        "\
How to read it: below each `POST /orders` of shop stand the request for the price, with its answer,
and the order, in one trace. `process {}` of billing is named by the pattern that it
subscribed to, for there is a subject for each order; `_INBOX` stands for the inboxes of answers.",
        subjects.orders("*")
    )
}
