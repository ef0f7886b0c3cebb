//! An order goes from one service to another and back through Kafka, and its trace stays whole.
//!
//! ```text
//! cargo run --example kafka_roundtrip                                # embedded mock cluster
//! KAFKA_BROKERS=localhost:9092 cargo run --example kafka_roundtrip   # a cluster of yours
//! ```
//!
//! `shop` sends orders, `billing` charges the card and reports the payment, `shop` confirms. Both
//! run in this process, but each has telemetry and clients of its own, as two programs would.
//!
//! With `OTEL_EXPORTER_OTLP_ENDPOINT` set, the spans and the metrics go there too: see
//! `telemetry/mod.rs`, which is what a program sets up once.

mod cluster;
mod telemetry;

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanKind, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use otel_messaging::{Telemetry, kafka};
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::message::Message as _;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use tokio::time::error::Elapsed;
use tokio::time::{sleep, timeout};

use self::telemetry::Providers;

type Cluster = cluster::Cluster<2>;

const ORDERS: [&str; 2] = ["order 1", "order 2"];
const TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<()> {
    let cluster = Cluster::from_env(["orders", "payments"]).await?;
    let [orders, payments] = &cluster.topics;
    let shop = Service::start("shop", &cluster)?;
    let billing = Service::start("billing", &cluster)?;

    let ended = tokio::select! {
        ended = async { tokio::try_join!(
            take_orders(&shop, orders),
            bill_orders(&billing, billing.consumer(&cluster, orders)?, payments),
            confirm_orders(&shop, shop.consumer(&cluster, payments)?),
        ) } => ended.map(|_| GUIDE),
        _ = tokio::signal::ctrl_c() => Ok("Interrupted."),
        () = sleep(6 * TIMEOUT) => Err(anyhow!("orders not confirmed after {:?}", 6 * TIMEOUT)),
    };

    // A send span ends with its delivery report: the producers come first, then the spans.
    let shop_flushed = shop.producer.flush(TIMEOUT);
    let billing_flushed = billing.producer.flush(TIMEOUT);
    let cleaned_up = cluster.clean_up(&["shop", "billing"]).await;
    let programs = [&shop.providers, &billing.providers];
    println!("\n{}\n", telemetry::tree(&programs)?);
    telemetry::shut_down(&programs);
    println!("{}", ended?);
    shop_flushed.and(billing_flushed)?;
    cleaned_up
}

async fn take_orders(shop: &Service, orders: &str) -> Result<()> {
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

async fn bill_orders(billing: &Service, orders: kafka::Consumer, payments: &str) -> Result<()> {
    // A real service would loop for ever.
    for _ in ORDERS {
        let order = orders.recv().await?;
        let mut attempt = 1;
        // Each attempt is a process span of its own.
        while let Err(error) = order
            .process(async |order| -> Result<()> {
                let id = order.payload_view::<str>().context("no payload")??;
                charge_card(billing, id, attempt).await?;
                billing.send(payments, id).await
            })
            .await
        {
            if attempt == 3 {
                return Err(error);
            }
            println!("  billing: {error}, trying again");
            attempt += 1;
        }
        orders.commit_message(&order, CommitMode::Async)?;
    }
    Ok(())
}

/// Charges a card. The card network does not answer the first request for the last order.
async fn charge_card(billing: &Service, order: &str, attempt: u32) -> Result<()> {
    let stuck = attempt == 1 && ORDERS.last() == Some(&order);
    let answer = sleep(Duration::from_millis(if stuck { 1000 } else { 20 }));
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

async fn confirm_orders(shop: &Service, payments: kafka::Consumer) -> Result<()> {
    for _ in ORDERS {
        let payment = payments.recv().await?;
        let confirm = async { Ok(()) };
        let providers = &shop.providers;
        let confirm = providers.in_span("confirm order", SpanKind::Internal, confirm);
        payment.process(async |_| confirm.await).await?;
        payments.commit_message(&payment, CommitMode::Async)?;
    }
    Ok(())
}

struct Service {
    providers: Providers,
    telemetry: Telemetry,
    producer: kafka::Producer,
}

impl Service {
    fn start(name: &'static str, cluster: &Cluster) -> Result<Self> {
        let providers = Providers::new(name)?;
        // anyhow hides the types of errors; without this, all would be `anyhow::Error`.
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

const GUIDE: &str = "\
How to read it: each `process orders` of billing stands below the `send orders` of shop whose
message it handles, in one trace, and links to it (⇠). The last order was processed twice, for the
first attempt failed. Next, try KAFKA_BROKERS=localhost:9092 (a real cluster) or
OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 (the same in Jaeger or another back end).";
