//! A question goes to another service over RabbitMQ, and the answer comes back in the same trace.
//!
//! ```text
//! cargo run --example amqp_request_reply                                    # localhost:5672
//! AMQP_URL=amqp://user:password@host:5672/%2f cargo run --example amqp_request_reply
//! ```
//!
//! `shop` asks what is in stock. `warehouse` sends the answer to the queue in the `reply_to` of the
//! question, with the question's `correlation_id`. Both run in this process, but each has telemetry
//! and a connection of its own, as two programs would.

use std::env;
use std::io::{self, IsTerminal as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions,
    QueueDeclareOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanKind, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use otel_messaging::testing::TraceTree;
use otel_messaging::{Telemetry, amqp};
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<()> {
    let shop = Service::start("shop").await?;
    let warehouse = Service::start("warehouse").await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let stock = format!("stock-{:x}", now.subsec_micros()).into();
    let stock = warehouse.queue(stock).await?;
    // The server makes up a name, which spans call `amq.gen`.
    let answers = shop.queue("".into()).await?;

    let tracer = shop.provider.tracer(shop.name);
    let request = tracer
        .span_builder("GET /books")
        .with_kind(SpanKind::Server)
        .start(&tracer);
    let request = opentelemetry::Context::current_with_span(request);
    let answered = async {
        tokio::try_join!(
            ask(&shop, &stock, &answers).with_context(request),
            reply(&warehouse, &stock),
        )
    };
    let (answer, ()) = timeout(TIMEOUT, answered).await.context("no answer")??;

    let tree = TraceTree::new()
        .service(shop.name, shop.recorded.get_finished_spans()?)
        .service(warehouse.name, warehouse.recorded.get_finished_spans()?)
        .color(io::stdout().is_terminal() && variable("NO_COLOR").is_none());
    println!("\n{tree}\n");
    println!("The answer is {answer:?}. {GUIDE}");
    Ok(())
}

async fn ask(shop: &Service, stock: &ShortString, answers: &ShortString) -> Result<String> {
    let mut consumer = shop.consumer(answers).await?;
    let question = BasicProperties::default()
        .with_reply_to(answers.clone())
        .with_correlation_id("question-7".into());
    shop.publish(stock, b"books", question.clone()).await?;

    loop {
        let answer = consumer.next().await.context("no more answers")??;
        let text = answer
            .process(async |answer| String::from_utf8(answer.data.clone()))
            .await?;
        answer.ack(BasicAckOptions::default()).await?;
        // An answer to an earlier question may come late.
        if answer.properties.correlation_id() == question.correlation_id() {
            return Ok(text);
        }
    }
}

async fn reply(warehouse: &Service, stock: &ShortString) -> Result<()> {
    let mut consumer = warehouse.consumer(stock).await?;
    // A real service would loop for ever.
    let question = consumer.next().await.context("no more questions")??;
    question
        .process(async |question| -> Result<()> {
            let reply_to = question.properties.reply_to().clone();
            let mut properties = BasicProperties::default();
            if let Some(id) = question.properties.correlation_id() {
                properties = properties.with_correlation_id(id.clone());
            }
            let reply_to = reply_to.context("nobody to answer")?;
            warehouse.publish(&reply_to, b"two", properties).await
        })
        .await?;
    question.ack(BasicAckOptions::default()).await?;
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
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(recorded.clone())
            .build();
        let telemetry = Telemetry::new().tracer_provider(provider.clone());
        let url = variable("AMQP_URL");
        let url = url.as_deref().unwrap_or(DEFAULT_URL);
        let connecting = Connection::connect(url, ConnectionProperties::default());
        let connection = match timeout(TIMEOUT, connecting).await {
            Ok(connected) => connected.context(NO_BROKER)?,
            Err(elapsed) => return Err(elapsed).context(NO_BROKER),
        };
        let channel = connection.create_channel().await?;
        // Without confirms a span would end when its message is written.
        let confirms = channel.confirm_select(ConfirmSelectOptions::default());
        confirms.await?;
        let known = amqp::ConnectionInfo::of(&connection).uri(url);
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

    /// Declares a queue that is gone with this service.
    async fn queue(&self, name: ShortString) -> Result<ShortString> {
        let options = QueueDeclareOptions::exclusive();
        let queue = self
            .channel
            .queue_declare(name, options, FieldTable::default())
            .await?;
        Ok(queue.name().clone())
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

    async fn publish(
        &self,
        queue: &ShortString,
        body: &[u8],
        properties: BasicProperties,
    ) -> Result<()> {
        // A message that no queue is there for shall not be taken for one that was delivered.
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let confirm =
            self.producer
                .basic_publish("".into(), queue.clone(), options, body, properties);
        let confirmation = confirm.await?.await?;
        ensure!(
            confirmation == Confirmation::Ack(None),
            "not taken: {confirmation:?}"
        );
        Ok(())
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

const DEFAULT_URL: &str = "amqp://guest:guest@localhost:5672/%2f";

const NO_BROKER: &str = "no RabbitMQ answers at AMQP_URL. \
To get one: `docker compose up --wait rabbitmq`, or `apt-get install rabbitmq-server` and \
`rabbitmq-server`. Unset, AMQP_URL is amqp://guest:guest@localhost:5672/%2f";

const GUIDE: &str = "\
How to read it: the question, the work on it and the answer are one
trace. The answer is processed inside the request that waits for it, so that its span stands there
and links to whoever sent it (⇠).";
