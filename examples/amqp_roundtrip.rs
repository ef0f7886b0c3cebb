//! An order goes from one service to another and back through RabbitMQ, and its trace stays whole.
//!
//! ```text
//! cargo run --features amqp --example amqp_roundtrip     # the RabbitMQ of `docker compose up --wait rabbitmq`
//! AMQP_URL=amqp://user:password@host:5672/%2f cargo run --features amqp --example amqp_roundtrip
//! ```
//!
//! `shop` publishes orders, `billing` charges the card and reports the payment, `shop` confirms. Both
//! run in this process, but each has telemetry and a connection of its own, as two programs would.
//!
//! With `--features otlp` and `OTEL_EXPORTER_OTLP_ENDPOINT` set, the spans and the metrics go there too: see
//! `telemetry/mod.rs`, which is what a program sets up once.

use std::cell::Cell;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use examples::amqp::{connect, consume, dead_letters_to, url};
use examples::stop::Stop;
use examples::telemetry::{self, Providers};
use lapin::message::Delivery;
use lapin::options::{BasicPublishOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanKind, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use otel_messaging::{Telemetry, amqp};
use tokio::time::error::Elapsed;
use tokio::time::{sleep, timeout};

const ORDERS: [&str; 2] = ["order 1", "order 2"];
const TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<()> {
    let stop = Stop::on_ctrl_c().await;
    let shop = Service::start("shop").await?;
    let billing = Service::start("billing").await?;
    let queues = Queues::new();
    queues.declare(&shop.channel).await?;

    let work = async {
        tokio::try_join!(
            take_orders(&shop, &queues),
            bill_orders(&billing, &queues, &stop),
            confirm_orders(&shop, &queues, &stop),
        )
    };
    let ended = timeout(6 * TIMEOUT, work).await;

    let cleaned_up = timeout(TIMEOUT, queues.delete(&shop.channel)).await;
    let programs = [&shop.providers, &billing.providers];
    println!("\n{}\n", telemetry::tree(&programs)?);
    telemetry::shut_down(&programs);
    ended.context("the orders were not confirmed in time")??;
    println!("{}", stop.last_words(guide(&queues)));
    cleaned_up?
}

async fn take_orders(shop: &Service, queues: &Queues) -> Result<()> {
    // Baggage travels with each message that is published while it is current.
    let tenant = Context::new().with_baggage([KeyValue::new("tenant", "acme")]);
    for order in ORDERS {
        let publish = publish(&shop.producer, &queues.orders, order);
        let request = shop
            .providers
            .in_span("POST /orders", SpanKind::Server, publish);
        request.with_context(tenant.clone()).await?;
    }
    Ok(())
}

async fn bill_orders(billing: &Service, queues: &Queues, stop: &Stop) -> Result<()> {
    let bill = async |order: &Delivery, producer: &amqp::Producer| {
        let id = str::from_utf8(&order.data)?;
        charge_card(billing, id).await?;
        publish(producer, &queues.payments, id).await
    };
    let telemetry = &billing.telemetry;
    let name = billing.providers.service;
    consume(telemetry, &url(), name, &queues.orders, stop.asked(), bill).await;
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

async fn confirm_orders(shop: &Service, queues: &Queues, stop: &Stop) -> Result<()> {
    let confirmed = Cell::new(0);
    let confirm = async |_: &Delivery, _: &amqp::Producer| {
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
    let telemetry = &shop.telemetry;
    let name = shop.providers.service;
    consume(
        telemetry,
        &url(),
        name,
        &queues.payments,
        stop.asked(),
        confirm,
    )
    .await;
    Ok(())
}

async fn publish(producer: &amqp::Producer, queue: &str, order: &str) -> Result<()> {
    let confirm = producer.basic_publish(
        "".into(),
        queue.into(),
        // Where no queue is there for it, it comes back.
        BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        },
        order.as_bytes(),
        BasicProperties::default()
            .with_message_id(order.into())
            .with_delivery_mode(2),
    );
    // A connection that is lost may leave the client waiting for ever.
    let confirmed = timeout(TIMEOUT, async { confirm.await?.await });
    let confirmation = confirmed.await.context("no confirm")??;
    ensure!(
        confirmation == Confirmation::Ack(None),
        "{order} not taken: {confirmation:?}"
    );
    Ok(())
}

struct Service {
    providers: Providers,
    telemetry: Telemetry,
    channel: Channel,
    producer: amqp::Producer,
    was_stuck: Cell<bool>,
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
        let (known, channel) = connect(name).await?;
        Ok(Self {
            providers,
            producer: amqp::Producer::wrap(&telemetry, known, channel.clone()),
            channel,
            telemetry,
            was_stuck: Cell::default(),
        })
    }
}

/// Queues of this run's own, so that it meets nobody else's messages.
struct Queues {
    orders: String,
    payments: String,
    dead_letters: String,
}

impl Queues {
    fn new() -> Self {
        let run = examples::run();
        Self {
            orders: format!("orders-{run}"),
            payments: format!("payments-{run}"),
            dead_letters: format!("dead-letters-{run}"),
        }
    }

    async fn declare(&self, channel: &Channel) -> Result<()> {
        let dead = dead_letters_to(&self.dead_letters);
        for (queue, arguments) in [
            (&self.dead_letters, FieldTable::default()),
            (&self.orders, dead.clone()),
            (&self.payments, dead),
        ] {
            let options = QueueDeclareOptions::durable();
            let declared = channel.queue_declare(queue.as_str().into(), options, arguments);
            declared.await?;
        }
        Ok(())
    }

    /// Leaves the broker as it was.
    async fn delete(&self, channel: &Channel) -> Result<()> {
        for queue in [&self.orders, &self.payments, &self.dead_letters] {
            let options = QueueDeleteOptions::default();
            channel.queue_delete(queue.as_str().into(), options).await?;
        }
        Ok(())
    }
}

fn guide(queues: &Queues) -> String {
    let Queues { orders, .. } = queues;
    format!(
        "\
How to read it: each `process {orders}` of billing stands below the `publish {orders}` of shop whose
message it handles, in one trace, and links to it (⇠). The last order was processed twice, for the
first attempt failed and the message went back into the queue. Next, try --features otlp with
OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 (the same in Jaeger or another back end)."
    )
}
