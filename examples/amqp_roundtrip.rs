//! An order goes from one service to another and back through RabbitMQ, and its trace stays whole.
//!
//! ```text
//! cargo run --example amqp_roundtrip                                        # localhost:5672
//! AMQP_URL=amqp://user:password@host:5672/%2f cargo run --example amqp_roundtrip
//! ```
//!
//! `shop` publishes orders, `billing` charges the card and reports the payment, `shop` confirms. Both
//! run in this process, but each has telemetry and a connection of its own, as two programs would.
//!
//! With `OTEL_EXPORTER_OTLP_ENDPOINT` set, the spans and the metrics go there too: see
//! `telemetry/mod.rs`, which is what a program sets up once.

mod rabbitmq;
mod telemetry;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow, ensure};
use futures::StreamExt as _;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicPublishOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanKind, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use otel_messaging::{Telemetry, amqp};
use tokio::time::error::Elapsed;
use tokio::time::{sleep, timeout};

use self::telemetry::Providers;

const ORDERS: [&str; 2] = ["order 1", "order 2"];
const TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<()> {
    let queues = Queues::new()?;
    let shop = Service::start("shop").await?;
    let billing = Service::start("billing").await?;
    queues.declare(&shop.channel).await?;

    let ended = tokio::select! {
        ended = async { tokio::try_join!(
            take_orders(&shop, &queues),
            bill_orders(&billing, &queues),
            confirm_orders(&shop, &queues),
        ) } => ended.map(|_| GUIDE),
        _ = tokio::signal::ctrl_c() => Ok("Interrupted."),
        () = sleep(6 * TIMEOUT) => Err(anyhow!("orders not confirmed after {:?}", 6 * TIMEOUT)),
    };

    let cleaned_up = queues.delete(&shop.channel).await;
    let programs = [&shop.providers, &billing.providers];
    println!("\n{}\n", telemetry::tree(&programs)?);
    telemetry::shut_down(&programs);
    println!("{}", ended?);
    cleaned_up
}

async fn take_orders(shop: &Service, queues: &Queues) -> Result<()> {
    // Baggage travels with each message that is published while it is current.
    let tenant = Context::new().with_baggage([KeyValue::new("tenant", "acme")]);
    for order in ORDERS {
        let publish = shop.publish(&queues.orders, order);
        let request = shop
            .providers
            .in_span("POST /orders", SpanKind::Server, publish);
        request.with_context(tenant.clone()).await?;
    }
    Ok(())
}

async fn bill_orders(billing: &Service, queues: &Queues) -> Result<()> {
    let mut orders = billing.consumer(&queues.orders).await?;
    let mut billed = 0;
    // A real service would loop for ever, and wait for recovery when an error comes.
    while billed < ORDERS.len() {
        let order = orders.next().await.context("no more orders")??;
        let outcome = order
            .process(async |order| -> Result<()> {
                let id = str::from_utf8(&order.data)?;
                charge_card(billing, id, order.redelivered).await?;
                billing.publish(&queues.payments, id).await
            })
            .await;
        // The broker delivers once more what it is given back: each attempt is a process span.
        match outcome {
            Ok(()) => {
                order.ack(BasicAckOptions::default()).await?;
                billed += 1;
            }
            Err(error) => {
                println!("  billing: {error}, back into the queue");
                let again = BasicNackOptions {
                    requeue: !order.redelivered,
                    ..BasicNackOptions::default()
                };
                order.nack(again).await?;
                ensure!(!order.redelivered, "an order failed twice");
            }
        }
    }
    Ok(())
}

/// Charges a card. The card network does not answer the first request for the last order.
async fn charge_card(billing: &Service, order: &str, is_again: bool) -> Result<()> {
    let stuck = !is_again && ORDERS.last() == Some(&order);
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

async fn confirm_orders(shop: &Service, queues: &Queues) -> Result<()> {
    let mut payments = shop.consumer(&queues.payments).await?;
    for _ in ORDERS {
        let payment = payments.next().await.context("no more payments")??;
        let confirm = async { Ok(()) };
        let providers = &shop.providers;
        let confirm = providers.in_span("confirm order", SpanKind::Internal, confirm);
        payment.process(async |_| confirm.await).await?;
        payment.ack(BasicAckOptions::default()).await?;
    }
    Ok(())
}

struct Service {
    providers: Providers,
    telemetry: Telemetry,
    known: amqp::ConnectionInfo,
    channel: Channel,
    producer: amqp::Producer,
}

impl Service {
    async fn start(name: &'static str) -> Result<Self> {
        let providers = Providers::new(name)?;
        // anyhow hides the types of errors; without this, all would be `_OTHER`.
        let telemetry = providers.telemetry().error_classifier(|error| {
            let error = error.downcast_ref::<anyhow::Error>();
            let timed_out = error.is_some_and(|error| error.is::<Elapsed>());
            Some(if timed_out { "timeout" } else { "_OTHER" }.into())
        });
        let (known, channel) = rabbitmq::channel(name).await?;
        Ok(Self {
            providers,
            producer: amqp::Producer::wrap(&telemetry, &known, channel.clone()),
            channel,
            known,
            telemetry,
        })
    }

    async fn publish(&self, queue: &ShortString, order: &str) -> Result<()> {
        let confirm = self.producer.basic_publish(
            "".into(),
            queue.clone(),
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
    }

    async fn consumer(&self, queue: &ShortString) -> Result<amqp::Consumer> {
        let consumer = self
            .channel
            .basic_consume(
                queue.clone(),
                "".into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await?;
        Ok(amqp::Consumer::wrap(&self.telemetry, &self.known, consumer))
    }
}

/// Queues of this run's own, so that it meets nobody else's messages.
struct Queues {
    orders: ShortString,
    payments: ShortString,
}

impl Queues {
    fn new() -> Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let name = |name| format!("{name}-{:x}", now.subsec_micros()).into();
        Ok(Self {
            orders: name("orders"),
            payments: name("payments"),
        })
    }

    async fn declare(&self, channel: &Channel) -> Result<()> {
        for queue in [&self.orders, &self.payments] {
            let options = QueueDeclareOptions::durable();
            let declared = channel.queue_declare(queue.clone(), options, FieldTable::default());
            declared.await?;
        }
        Ok(())
    }

    /// Leaves the broker as it was.
    async fn delete(&self, channel: &Channel) -> Result<()> {
        for queue in [&self.orders, &self.payments] {
            let deleted = channel.queue_delete(queue.clone(), QueueDeleteOptions::default());
            deleted.await?;
        }
        Ok(())
    }
}

const GUIDE: &str = "\
How to read it: each `process orders` of billing stands below the `publish orders` of shop whose
message it handles, in one trace, and links to it (⇠). The last order was processed twice, for the
first attempt failed and the message went back into the queue. Next, try
OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 (the same in Jaeger or another back end).";
