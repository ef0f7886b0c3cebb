//! `stock` answers over NATS what is there.

use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::{Client, Message};
use examples::nats::{connect, consume};
use examples::stop::Stop;
use futures::StreamExt as _;
use otel_messaging::nats;
use tokio::time::timeout;
use tracing::info;

use crate::names;
use crate::order::Order;
use crate::report::{Broker, Report};
use crate::service::Service;

/// For what is still to be sent. While the connection is away, the client waits without an end.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) async fn run(service: Service) -> Result<()> {
    let (client, address) = connect("stock").await?;
    // The client does not tell where it is connected to, nor what it is called.
    let (host, port) = (address.host(), address.port());
    let producer = nats::Producer::wrap(&service.telemetry, client.clone())
        .server(host, port)
        .client_id("stock");
    let consumer = nats::Consumer::wrap(&service.telemetry, client.clone())
        .server(host, port)
        .client_id("stock");
    let subject = names::stock(&service.arguments.suffix);
    // In a group, of whom each question is asked one.
    let questions = consumer
        .queue_subscribe(subject, "stock".to_owned())
        .await?;
    is_known(&client).await?;
    service.reports.tell(&Report::Ready { address: None });

    let answer = async |question: &Message| -> Result<()> {
        let order = Order::read(&question.payload).context("not an order")?;
        service.reports.waited(Broker::Nats, &order);
        let asking = question.reply.clone().context("nobody asks")?;
        producer.publish(asking, "in stock".into()).await?;
        info!(order = order.id, item = order.item, "in stock");
        Ok(())
    };
    let work = async |stop: &Stop| {
        consume(questions, stop.asked(), answer).await;
        Ok(())
    };
    let close = async || {
        let flushed = timeout(PATIENCE, producer.flush()).await;
        Ok(flushed.context("NATS is away")??)
    };
    service.work(work, close).await
}

/// The server deals with a connection's lines in their order: when it has sent this back, it knows of what was subscribed
/// to before.
async fn is_known(client: &Client) -> Result<()> {
    let inbox = client.new_inbox();
    let mut echo = client.subscribe(inbox.clone()).await?;
    client.publish(inbox, "".into()).await?;
    echo.next().await.context("the connection is closed")?;
    Ok(())
}
