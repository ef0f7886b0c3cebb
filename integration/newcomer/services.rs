//! A shop, billing, shipping and the stock that shipping asks: four services in one process, each with a recorder of its
//! own, and one trace through Kafka, RabbitMQ and NATS.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use integration::unique;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions,
    QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanKind, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry_sdk::trace::SdkTracer;
use otel_messaging::testing::{ExpectedSpan, Recorder, TraceTree};
use otel_messaging::{Telemetry, amqp, kafka, nats};
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::{address, make_topics};

/// Takes orders over HTTP, and sends them to billing.
struct Shop {
    tracer: SdkTracer,
    producer: kafka::Producer,
    orders: String,
}

impl Shop {
    /// The handler of `POST /orders`.
    async fn post(&self, order: &str) -> Result<()> {
        let request = self
            .tracer
            .span_builder("POST /orders")
            .with_kind(SpanKind::Server);
        let context = Context::current_with_span(request.start(&self.tracer));
        let record = FutureRecord::to(&self.orders).key("42").payload(order);
        let sent = self.producer.send(record, Duration::from_secs(10));
        sent.with_context(context.clone())
            .await
            .map_err(|(error, _)| error)?;
        context.span().end();
        Ok(())
    }
}

/// Handles an order from Kafka, and has it shipped.
async fn billing(
    telemetry: Telemetry,
    group: String,
    orders: String,
    shipments: String,
) -> Result<()> {
    let uri = address("AMQP_URL");
    let connection = Connection::connect(&uri, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    let producer = amqp::Producer::wrap(&telemetry, (&connection, &uri), channel);

    let consumer = crate::kafka(&group).create::<StreamConsumer>()?;
    let consumer = kafka::Consumer::wrap(&telemetry, consumer);
    consumer.subscribe(&[&orders])?;

    let order = consumer.recv().await?;
    order
        .process(async |order| bill(order, &producer, &shipments).await)
        .await?;
    consumer.commit_message(&order, CommitMode::Async)?;
    Ok(())
}

async fn bill(
    order: &BorrowedMessage<'_>,
    producer: &amqp::Producer,
    shipments: &str,
) -> Result<()> {
    let confirm = producer.basic_publish(
        "".into(),
        shipments.into(),
        BasicPublishOptions::default(),
        order.payload().context("an order of nothing")?,
        BasicProperties::default(),
    );
    confirm.await?.await?;
    Ok(())
}

/// Handles a shipment from RabbitMQ, and asks the stock for it. The queue is there when it returns.
async fn shipping(
    telemetry: Telemetry,
    shipments: String,
    stock: String,
) -> Result<impl Future<Output = Result<()>>> {
    let client = async_nats::connect(address("NATS_URL")).await?;
    let producer = nats::Producer::wrap(&telemetry, client);

    let uri = address("AMQP_URL");
    let connection = Connection::connect(&uri, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let declared = QueueDeclareOptions {
        exclusive: true,
        ..QueueDeclareOptions::default()
    };
    channel
        .queue_declare(shipments.as_str().into(), declared, FieldTable::default())
        .await?;
    let consumer = channel
        .basic_consume(
            shipments.as_str().into(),
            "shipping".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await?;
    let mut consumer = amqp::Consumer::wrap(&telemetry, (&connection, &uri), consumer);

    Ok(async move {
        let shipment = consumer.next().await.context("cancelled by the broker")??;
        shipment
            .process(async |shipment| ship(shipment, &producer, &stock).await)
            .await?;
        shipment.ack(BasicAckOptions::default()).await?;
        connection.close(200, "".into()).await?;
        Ok(())
    })
}

async fn ship(shipment: &Delivery, producer: &nats::Producer, stock: &str) -> Result<()> {
    let answer = producer
        .request(stock.to_owned(), shipment.data.clone().into())
        .await?;
    anyhow::ensure!(answer.payload == "in stock", "out of stock");
    Ok(())
}

/// Answers what is in stock. It listens when it returns.
async fn stock(telemetry: Telemetry, stock: String) -> Result<impl Future<Output = Result<()>>> {
    let client = async_nats::connect(address("NATS_URL")).await?;
    let producer = nats::Producer::wrap(&telemetry, client.clone());
    let mut requests = nats::Consumer::wrap(&telemetry, client)
        .subscribe(stock)
        .await?;
    producer.flush().await?;

    Ok(async move {
        let request = requests.next().await.context("the connection is closed")?;
        request
            .process(async |request| answer(request, &producer).await)
            .await?;
        producer.flush().await?;
        Ok(())
    })
}

async fn answer(request: &async_nats::Message, producer: &nats::Producer) -> Result<()> {
    let reply = request
        .reply
        .clone()
        .context("nobody waits for the answer")?;
    producer.publish(reply, "in stock".into()).await?;
    Ok(())
}

#[tokio::test]
async fn an_order_is_one_trace_through_kafka_rabbitmq_and_nats() -> Result<()> {
    let [shop, billing, shipping, stock] = [(); 4].map(|()| Recorder::new());
    let [group, orders, shipments, subject] =
        ["billing", "orders", "shipments", "stock"].map(unique);
    make_topics(&[&orders]).await?;

    // Spawned, as services are: what they wait for goes from thread to thread.
    let stock_runs = tokio::spawn(self::stock(stock.telemetry(), subject.clone()).await?);
    let shipping_runs = self::shipping(shipping.telemetry(), shipments.clone(), subject.clone());
    let shipping_runs = tokio::spawn(shipping_runs.await?);
    let billing_runs = self::billing(
        billing.telemetry(),
        group.clone(),
        orders.clone(),
        shipments.clone(),
    );
    let billing_runs = tokio::spawn(billing_runs);
    let producer = crate::kafka("shop").create::<FutureProducer>()?;
    let service = Shop {
        tracer: shop.tracer_provider().tracer("shop"),
        producer: kafka::Producer::wrap(&shop.telemetry(), producer),
        orders: orders.clone(),
    };
    service.post("two books").await?;
    for service in [billing_runs, shipping_runs, stock_runs] {
        service.await??;
    }

    let post = shop.span("POST /orders");
    ExpectedSpan::new("POST /orders", SpanKind::Server)
        .exactly()
        .assert(&post);
    let send = shop.span(&format!("send {orders}"));
    ExpectedSpan::new(format!("send {orders}"), SpanKind::Producer)
        .child_of(&post.span_context)
        .attribute("messaging.destination.name", orders.clone())
        .attribute("kafka.message.key", "42")
        .any("kafka.offset")
        .assert(&send);

    let process = billing.span(&format!("process {orders}"));
    ExpectedSpan::new(format!("process {orders}"), SpanKind::Consumer)
        .child_of(&send.span_context)
        .link(&send.span_context)
        .attribute("messaging.consumer.group.name", group)
        .assert(&process);
    let publish = billing.span(&format!("publish {shipments}"));
    ExpectedSpan::new(format!("publish {shipments}"), SpanKind::Producer)
        .child_of(&process.span_context)
        .attribute("messaging.system.name", "rabbitmq")
        .assert(&publish);
    ExpectedSpan::new(format!("commit {orders}"), SpanKind::Client)
        .child_of(&process.span_context)
        .link(&send.span_context)
        .assert(&billing.span(&format!("commit {orders}")));

    let process = shipping.span(&format!("process {shipments}"));
    ExpectedSpan::new(format!("process {shipments}"), SpanKind::Consumer)
        .child_of(&publish.span_context)
        .link(&publish.span_context)
        .assert(&process);
    let request = shipping.span(&format!("request {subject}"));
    ExpectedSpan::new(format!("request {subject}"), SpanKind::Producer)
        .child_of(&process.span_context)
        .attribute("messaging.system.name", "nats")
        .assert(&request);
    ExpectedSpan::new(format!("ack {shipments}"), SpanKind::Client)
        .child_of(&process.span_context)
        .link(&publish.span_context)
        .assert(&shipping.span(&format!("ack {shipments}")));

    let process = stock.span(&format!("process {subject}"));
    ExpectedSpan::new(format!("process {subject}"), SpanKind::Consumer)
        .child_of(&request.span_context)
        .link(&request.span_context)
        .assert(&process);
    ExpectedSpan::new("publish _INBOX", SpanKind::Producer)
        .child_of(&process.span_context)
        .assert(&stock.span("publish _INBOX"));

    let tree = TraceTree::new()
        .ids_and_times(false)
        .service("shop", shop.spans())
        .service("billing", billing.spans())
        .service("shipping", shipping.spans())
        .service("stock", stock.spans())
        .to_string();
    assert!(
        tree.starts_with("trace 1 (10 spans, 4 services)\nPOST /orders "),
        "{tree}"
    );
    assert!(!tree.contains("trace 2"), "{tree}");
    Ok(())
}
