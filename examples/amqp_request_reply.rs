//! A question goes to another service over RabbitMQ, and the answer comes back in the same trace.
//!
//! ```text
//! cargo run --example amqp_request_reply                                    # localhost:5672
//! AMQP_URL=amqp://user:password@host:5672/%2f cargo run --example amqp_request_reply
//! ```
//!
//! `shop` asks what is in stock, `warehouse` answers into the queue that the question names by
//! `reply_to`, and `correlation_id` says which question the answer is to. Both run in this process,
//! but each has telemetry and a connection of its own, as two programs would.
//!
//! With `OTEL_EXPORTER_OTLP_ENDPOINT` set, the spans and the metrics go there too: see
//! `telemetry/mod.rs`.

mod rabbitmq;
mod telemetry;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation};
use opentelemetry::trace::SpanKind;
use otel_messaging::{Telemetry, amqp};
use tokio::time::timeout;

use self::telemetry::Providers;

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

    let asking = ask(&shop, &stock, &answers);
    let providers = &shop.providers;
    let request = providers.in_span("GET /books", SpanKind::Server, asking);
    let answered = async { tokio::try_join!(request, reply(&warehouse, &stock)) };
    let answered = timeout(TIMEOUT, answered).await;

    let programs = [&shop.providers, &warehouse.providers];
    println!("\n{}\n", telemetry::tree(&programs)?);
    telemetry::shut_down(&programs);
    let (answer, ()) = answered.context("no answer")??;
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
        let telemetry = providers.telemetry();
        let (known, channel) = rabbitmq::channel(name).await?;
        Ok(Self {
            providers,
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

const GUIDE: &str = "\
How to read it: the question, the work on it and the answer are one
trace. The answer is processed inside the request that waits for it, so that its span stands there
and links to whoever sent it (⇠).";
