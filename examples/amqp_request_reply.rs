//! A question goes to another service over RabbitMQ, and the answer comes back in the same trace.
//!
//! ```text
//! cargo run --features amqp --example amqp_request_reply # the RabbitMQ of `docker compose up --wait rabbitmq`
//! AMQP_URL=amqp://user:password@host:5672/%2f cargo run --features amqp --example amqp_request_reply
//! ```
//!
//! `shop` asks what is in stock, `warehouse` answers into the queue that the question names by
//! `reply_to`, and `correlation_id` says which question the answer is to. Both run in this process,
//! but each has telemetry and a connection of its own, as two programs would.
//!
//! With `--features otlp` and `OTEL_EXPORTER_OTLP_ENDPOINT` set, the spans and the metrics go there too: see
//! `telemetry/mod.rs`.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use examples::amqp::{connect, consume, url};
use examples::stop::Stop;
use examples::telemetry::{self, Providers};
use futures::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions,
    QueueDeleteOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation};
use opentelemetry::trace::SpanKind;
use otel_messaging::{Telemetry, amqp};
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<()> {
    let stop = Stop::on_ctrl_c().await;
    let shop = Service::start("shop").await?;
    let warehouse = Service::start("warehouse").await?;
    let stock = format!("stock-{}", examples::run());
    let stock = warehouse
        .queue(&stock, QueueDeclareOptions::durable())
        .await?;
    // Gone with this service. The server makes up a name, which spans call `amq.gen`.
    let answers = shop.queue("", QueueDeclareOptions::exclusive()).await?;

    let asking = async {
        tokio::select! {
            answer = timeout(TIMEOUT, ask(&shop, &stock, &answers)) => answer.context("no answer")?,
            () = stop.asked() => Ok(String::new()),
        }
    };
    let request = async {
        let providers = &shop.providers;
        let request = providers.in_span("GET /books", SpanKind::Server, asking);
        let answer = request.await;
        stop.ask();
        answer
    };
    let work = async { tokio::join!(request, reply(&warehouse, &stock, &stop)).0 };
    let ended = timeout(6 * TIMEOUT, Box::pin(work)).await;

    let deleted = warehouse
        .channel
        .queue_delete(stock, QueueDeleteOptions::default());
    let cleaned_up = timeout(TIMEOUT, deleted).await;
    let programs = [&shop.providers, &warehouse.providers];
    println!("\n{}\n", telemetry::tree(&programs)?);
    telemetry::shut_down(&programs);
    let answer = ended.context("the warehouse has not ended in time")??;
    let words = format!("The answer is {answer:?}. {GUIDE}");
    println!("{}", stop.last_words(words));
    cleaned_up??;
    Ok(())
}

async fn ask(shop: &Service, stock: &ShortString, answers: &ShortString) -> Result<String> {
    let mut consumer = shop.consumer(answers).await?;
    let question = BasicProperties::default()
        .with_reply_to(answers.clone())
        .with_correlation_id("question-7".into());
    publish(&shop.producer, stock, b"books", question.clone()).await?;

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

async fn reply(warehouse: &Service, stock: &ShortString, stop: &Stop) {
    let reply = async |question: &Delivery, producer: &amqp::Producer| {
        let reply_to = question.properties.reply_to().clone();
        let mut properties = BasicProperties::default();
        if let Some(id) = question.properties.correlation_id() {
            properties = properties.with_correlation_id(id.clone());
        }
        let reply_to = reply_to.context("nobody to answer")?;
        publish(producer, &reply_to, b"two", properties).await
    };
    let telemetry = &warehouse.telemetry;
    let name = warehouse.providers.service;
    consume(telemetry, &url(), name, stock.as_str(), stop.asked(), reply).await;
}

async fn publish(
    producer: &amqp::Producer,
    queue: &ShortString,
    body: &[u8],
    properties: BasicProperties,
) -> Result<()> {
    // A message that no queue is there for shall not be taken for one that was delivered.
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let confirm = producer.basic_publish("".into(), queue.clone(), options, body, properties);
    // A connection that is lost may leave the client waiting for ever.
    let confirmed = timeout(TIMEOUT, async { confirm.await?.await });
    let confirmation = confirmed.await.context("no confirm")??;
    ensure!(
        confirmation == Confirmation::Ack(None),
        "not taken: {confirmation:?}"
    );
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
        let (known, channel) = connect(name).await?;
        Ok(Self {
            providers,
            producer: amqp::Producer::wrap(&telemetry, &known, channel.clone()),
            channel,
            known,
            telemetry,
        })
    }

    async fn queue(&self, name: &str, options: QueueDeclareOptions) -> Result<ShortString> {
        let queue = self
            .channel
            .queue_declare(name.into(), options, FieldTable::default())
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
}

const GUIDE: &str = "\
How to read it: the question, the work on it and the answer are one
trace. The answer is processed inside the request that waits for it, so that its span stands there
and links to whoever sent it (⇠).";
