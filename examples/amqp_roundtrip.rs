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
//! With `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` set, the spans go
//! there too, over OTLP/HTTP. If the export fails, a line is printed; the exit code is that of the messages.

use std::env;
use std::io::{self, IsTerminal as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow, ensure};
use futures::StreamExt as _;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicPublishOptions,
    ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{
    SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use otel_messaging::testing::TraceTree;
use otel_messaging::{Telemetry, amqp};
use tokio::time::error::Elapsed;
use tokio::time::{sleep, timeout};

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

    let tree = TraceTree::new()
        .service(shop.name, shop.recorded.get_finished_spans()?)
        .service(billing.name, billing.recorded.get_finished_spans()?)
        .color(io::stdout().is_terminal() && variable("NO_COLOR").is_none());
    println!("\n{tree}\n");
    let cleaned_up = queues.delete(&shop.channel).await;
    export_rest(&[shop.provider, billing.provider]);
    println!("{}", ended?);
    cleaned_up
}

async fn take_orders(shop: &Service, queues: &Queues) -> Result<()> {
    // Baggage travels with each message that is published while it is current.
    let tenant = Context::new().with_baggage([KeyValue::new("tenant", "acme")]);
    for order in ORDERS {
        let publish = shop.publish(&queues.orders, order);
        let request = shop.in_span("POST /orders", SpanKind::Server, publish);
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
    let span = billing.in_span("charge card", SpanKind::Internal, charge);
    span.await
}

async fn confirm_orders(shop: &Service, queues: &Queues) -> Result<()> {
    let mut payments = shop.consumer(&queues.payments).await?;
    for _ in ORDERS {
        let payment = payments.next().await.context("no more payments")??;
        let confirm = shop.in_span("confirm order", SpanKind::Internal, async { Ok(()) });
        payment.process(async |_| confirm.await).await?;
        payment.ack(BasicAckOptions::default()).await?;
    }
    Ok(())
}

/// What a program sets up once.
struct Service {
    name: &'static str,
    provider: SdkTracerProvider,
    recorded: InMemorySpanExporter,
    telemetry: Telemetry,
    known: amqp::ConnectionInfo,
    channel: Channel,
    producer: amqp::Producer,
}

impl Service {
    async fn start(name: &'static str) -> Result<Self> {
        let recorded = InMemorySpanExporter::default();
        let mut provider = SdkTracerProvider::builder()
            .with_resource(Resource::builder().with_service_name(name).build())
            .with_simple_exporter(recorded.clone());
        if otlp_endpoint().is_some() {
            let exporter = SpanExporter::builder().with_http();
            let exporter = exporter.with_timeout(Duration::from_secs(2)).build()?;
            provider = provider.with_batch_exporter(exporter);
        }
        let provider = provider.build();
        let telemetry = Telemetry::new()
            .tracer_provider(provider.clone())
            // anyhow hides the types of errors; without this, all would be `anyhow::Error`.
            .error_classifier(|error| {
                let error = error.downcast_ref::<anyhow::Error>();
                let timed_out = error.is_some_and(|error| error.is::<Elapsed>());
                Some(if timed_out { "timeout" } else { "_OTHER" }.into())
            });
        let url = url();
        let connecting = Connection::connect(&url, ConnectionProperties::default());
        let connection = match timeout(TIMEOUT, connecting).await {
            Ok(connected) => connected.context(NO_BROKER)?,
            Err(elapsed) => return Err(elapsed).context(NO_BROKER),
        };
        let known = amqp::ConnectionInfo::of(&connection)
            .uri(&url)
            .client_id(name);
        let channel = connection.create_channel().await?;
        // Without confirms a span would end when its message is written.
        let confirms = channel.confirm_select(ConfirmSelectOptions::default());
        confirms.await?;
        Ok(Self {
            name,
            provider,
            recorded,
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

    /// Does `work` in a span of the application's own.
    async fn in_span<F>(&self, name: &'static str, kind: SpanKind, work: F) -> Result<()>
    where
        F: Future<Output = Result<()>>,
    {
        let tracer = self.provider.tracer(self.name);
        let span = tracer.span_builder(name).with_kind(kind).start(&tracer);
        let context = Context::current_with_span(span);
        let result = work.with_context(context.clone()).await;
        if let Err(error) = &result {
            context.span().set_status(Status::error(error.to_string()));
        }
        result
    }
}

/// If a collector fails or hangs, that costs some seconds and a line, but not the exit code.
fn export_rest(providers: &[SdkTracerProvider]) {
    let mut problem = None;
    for provider in providers {
        // Only a flush tells how the export went.
        problem = provider.force_flush().err().or(problem);
        let _ = provider.shutdown();
    }
    match (otlp_endpoint(), problem) {
        (None, _) => {}
        (Some(url), None) => println!("Spans exported to {url}."),
        (Some(url), Some(error)) => println!("Spans not exported to {url} (OTLP/HTTP): {error}."),
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

fn url() -> String {
    variable("AMQP_URL").unwrap_or_else(|| "amqp://guest:guest@localhost:5672/%2f".to_owned())
}

fn otlp_endpoint() -> Option<String> {
    let of_traces = variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    of_traces.or_else(|| variable("OTEL_EXPORTER_OTLP_ENDPOINT"))
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

const NO_BROKER: &str = "no RabbitMQ answers at AMQP_URL. \
To get one: `docker compose up --wait rabbitmq`, or `apt-get install rabbitmq-server` and \
`rabbitmq-server`. Unset, AMQP_URL is amqp://guest:guest@localhost:5672/%2f";

const GUIDE: &str = "\
How to read it: each `process orders` of billing stands below the `publish orders` of shop whose
message it handles, in one trace, and links to it (⇠). The last order was processed twice, for the
first attempt failed and the message went back into the queue. Next, try
OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 (the same spans in Jaeger or another backend).";
