//! An order goes from one service to another and back through Kafka, and its trace stays whole.
//!
//! ```text
//! cargo run --example kafka_roundtrip                                # embedded mock cluster
//! KAFKA_BROKERS=127.0.0.1:9092 cargo run --example kafka_roundtrip   # a cluster of yours
//! ```
//!
//! `shop` sends orders, `billing` charges the card and reports the payment, `shop` confirms. Both
//! run in this process, but each has telemetry and clients of its own, as two programs would.
//!
//! Each of them handles its messages by the loop in `kafka/consume.rs`. With `--features otlp` and
//! `OTEL_EXPORTER_OTLP_ENDPOINT` set, the spans and the metrics go there too: see `telemetry/mod.rs`, which is what a
//! program sets up once.

use std::cell::Cell;
use std::time::Duration;

use anyhow::{Context as _, Result};
use examples::kafka::consume;
use examples::stop::Stop;
use examples::telemetry::{self, Providers};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanKind, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use otel_messaging::{Telemetry, kafka};
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use tokio::time::error::Elapsed;
use tokio::time::{sleep, timeout};

type Cluster = examples::kafka::Cluster<3>;

const ORDERS: [&str; 2] = ["order 1", "order 2"];
const TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<()> {
    let stop = Stop::on_ctrl_c().await;
    let cluster = Cluster::from_env(["orders", "payments", "dead-letters"]).await?;
    let shop = Service::start("shop", &cluster)?;
    let billing = Service::start("billing", &cluster)?;

    let work = async {
        tokio::try_join!(
            take_orders(&shop, &cluster),
            bill_orders(&billing, &cluster, &stop),
            confirm_orders(&shop, &cluster, &stop),
        )
    };
    let ended = timeout(6 * TIMEOUT, work).await;

    // A send span ends with its delivery report: the producers come first, then the spans.
    let shop_flushed = shop.producer.flush(TIMEOUT);
    let billing_flushed = billing.producer.flush(TIMEOUT);
    let cleaned_up = cluster.clean_up(&["shop", "billing"]).await;
    let programs = [&shop.providers, &billing.providers];
    println!("\n{}\n", telemetry::tree(&programs)?);
    telemetry::shut_down(&programs);
    ended.context("the orders were not confirmed in time")??;
    println!("{}", stop.last_words(guide(&cluster)));
    shop_flushed.and(billing_flushed)?;
    cleaned_up
}

async fn take_orders(shop: &Service, cluster: &Cluster) -> Result<()> {
    let [orders, ..] = &cluster.topics;
    // Baggage travels with each message that is sent while it is current.
    let tenant = Context::new().with_baggage([KeyValue::new("tenant", "acme")]);
    for order in ORDERS {
        let send = shop.send(orders, order);
        let request = shop
            .providers
            .in_span("POST /orders", SpanKind::Server, send);
        request.with_context(tenant.clone()).await?;
    }
    Ok(())
}

async fn bill_orders(billing: &Service, cluster: &Cluster, stop: &Stop) -> Result<()> {
    let [orders, payments, dead_letters] = &cluster.topics;
    let consumer = billing.consumer(cluster, orders)?;
    let bill = async |order: &BorrowedMessage<'_>| {
        let id = order.payload_view::<str>().context("no payload")??;
        charge_card(billing, id).await?;
        billing.send(payments, id).await
    };
    let producer = &billing.producer;
    consume(&consumer, producer, dead_letters, stop.asked(), bill).await?;
    Ok(())
}

/// Charges a card. The card network does not answer the first request for the last order.
async fn charge_card(billing: &Service, order: &str) -> Result<()> {
    let is_stuck = ORDERS.last() == Some(&order) && !billing.was_stuck.replace(true);
    let answer = sleep(Duration::from_millis(if is_stuck { 1000 } else { 20 }));
    let charge = async {
        let context = Context::current();
        let tenant = context.baggage().get("tenant").context("no tenant")?;
        let attribute = KeyValue::new("tenant", tenant.clone());
        context.span().set_attribute(attribute);
        let answered = timeout(Duration::from_millis(50), answer).await;
        answered.context("card network timed out")?;
        println!("  billing: {order} charged to tenant {tenant}, known from the baggage");
        Ok(())
    };
    let providers = &billing.providers;
    let span = providers.in_span("charge card", SpanKind::Internal, charge);
    span.await
}

async fn confirm_orders(shop: &Service, cluster: &Cluster, stop: &Stop) -> Result<()> {
    let [_, payments, dead_letters] = &cluster.topics;
    let consumer = shop.consumer(cluster, payments)?;
    let confirmed = Cell::new(0);
    let confirm = async |_: &BorrowedMessage<'_>| {
        let confirm = async { Ok(()) };
        let providers = &shop.providers;
        let span = providers.in_span("confirm order", SpanKind::Internal, confirm);
        span.await?;
        confirmed.set(confirmed.get() + 1);
        if confirmed.get() == ORDERS.len() {
            stop.ask();
        }
        anyhow::Ok(())
    };
    let producer = &shop.producer;
    consume(&consumer, producer, dead_letters, stop.asked(), confirm).await?;
    Ok(())
}

struct Service {
    providers: Providers,
    telemetry: Telemetry,
    producer: kafka::Producer,
    was_stuck: Cell<bool>,
}

impl Service {
    fn start(name: &'static str, cluster: &Cluster) -> Result<Self> {
        let providers = Providers::new(name)?;
        // anyhow hides the types of errors; without this, all would be `_OTHER`.
        let telemetry = providers.telemetry().error_classifier(|error| {
            let error = error.downcast_ref::<anyhow::Error>();
            let timed_out = error.is_some_and(|error| error.is::<Elapsed>());
            Some(if timed_out { "timeout" } else { "_OTHER" }.into())
        });
        let producer: FutureProducer = cluster.client(name).create()?;
        Ok(Self {
            producer: kafka::Producer::wrap(&telemetry, producer),
            providers,
            telemetry,
            was_stuck: Cell::default(),
        })
    }

    fn consumer(&self, cluster: &Cluster, topic: &str) -> Result<kafka::Consumer> {
        let consumer: StreamConsumer = cluster.consumer(self.providers.service).create()?;
        let consumer = kafka::Consumer::wrap(&self.telemetry, consumer);
        consumer.subscribe(&[topic])?;
        Ok(consumer)
    }

    async fn send(&self, topic: &str, order: &str) -> Result<()> {
        let record = FutureRecord::to(topic).key(order).payload(order);
        let delivered = self.producer.send(record, TIMEOUT).await;
        delivered.map(|_| ()).map_err(|(error, _)| error.into())
    }
}

fn guide(cluster: &Cluster) -> String {
    let [orders, ..] = &cluster.topics;
    format!(
        "\
How to read it: each `process {orders}` of billing stands below the `send {orders}` of shop whose
message it handles, in one trace, and links to it (⇠). The last order was processed twice, for the
first attempt failed. Next, try KAFKA_BROKERS=127.0.0.1:9092 (a real cluster), or --features otlp with
OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 (the same in Jaeger or another back end)."
    )
}
