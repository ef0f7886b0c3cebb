//! `shipping` takes orders from RabbitMQ, asks stock over NATS, and ships them, many at a time.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use examples::amqp::concurrent::consume;
use examples::amqp::connect;
use examples::stop::Stop;
use lapin::Channel;
use lapin::message::Delivery;
use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use otel_messaging::{Received, amqp, nats};
use tokio::time::{sleep, timeout};
use tracing::{error, info};

use crate::names::{self, Queues};
use crate::order::{Kind, Order};
use crate::report::{Broker, Report, Reports};
use crate::service::Service;

/// Orders that are handled at a time.
const LIMIT: u16 = 20;

/// Before the next connection.
const PAUSE: Duration = Duration::from_millis(500);

/// For a channel, for the end of one, and for what NATS is still to be sent. A connection that is lost may leave a client
/// waiting for ever.
const PATIENCE: Duration = Duration::from_secs(10);

struct Shipping {
    producer: nats::Producer,
    stock: String,
    reports: Reports,
}

pub(crate) async fn run(service: Service) -> Result<()> {
    let suffix = &service.arguments.suffix;
    let queues = Queues::new(suffix);
    let (client, address) = examples::nats::connect("shipping").await?;
    let producer = nats::Producer::wrap(&service.telemetry, client)
        .server(address.host(), address.port())
        .client_id("shipping");
    let shipping = Arc::new(Shipping {
        producer: producer.clone(),
        stock: names::stock(suffix),
        reports: service.reports,
    });
    // A broker that is not there at the start is told at once.
    let mut connected = Some(deliveries(&service, &queues).await?);
    service.reports.tell(&Report::Ready { address: None });

    let work = async |stop: &Stop| {
        loop {
            let ended = ship_orders(&service, &queues, &shipping, connected.take(), stop).await;
            let Err(error) = ended else { return Ok(()) };
            // What was delivered and not acknowledged is delivered again.
            error!("{error:#}");
            tokio::select! {
                () = stop.asked() => return Ok(()),
                () = sleep(PAUSE) => {}
            }
        }
    };
    let close = async || {
        let flushed = timeout(PATIENCE, producer.flush()).await;
        Ok(flushed.context("NATS is away")??)
    };
    service.work(work, close).await
}

/// Over one connection, as long as that is good.
async fn ship_orders(
    service: &Service,
    queues: &Queues,
    shipping: &Arc<Shipping>,
    connected: Option<(amqp::Consumer, Channel)>,
    stop: &Stop,
) -> Result<()> {
    let (messages, channel) = match connected {
        Some(connected) => connected,
        None => deliveries(service, queues).await?,
    };
    let shipping = Arc::clone(shipping);
    let handle = move |message: Arc<Received<Delivery>>| {
        let shipping = Arc::clone(&shipping);
        async move { shipping.handle(&message).await }
    };
    consume(messages, LIMIT.into(), stop.asked(), handle).await?;
    let ending = async {
        if service.is_to_clean_up() {
            queues.delete(&channel).await?;
        }
        // What the client has fetched beside is delivered to who comes next.
        channel.close(200, "".into()).await
    };
    timeout(PATIENCE, ending).await.context("no end")??;
    Ok(())
}

async fn deliveries(service: &Service, queues: &Queues) -> Result<(amqp::Consumer, Channel)> {
    let (known, channel) = connect("shipping").await?;
    let consuming = async {
        queues.declare(&channel).await?;
        channel.basic_qos(LIMIT, BasicQosOptions::default()).await?;
        let (queue, options) = (&*queues.shipments, BasicConsumeOptions::default());
        channel
            .basic_consume(queue.into(), "".into(), options, FieldTable::default())
            .await
    };
    let consumer = timeout(PATIENCE, consuming)
        .await
        .context("no consumer")??;
    let consumer = amqp::Consumer::wrap(&service.telemetry, &known, consumer);
    Ok((consumer, channel))
}

impl Shipping {
    /// The handler of a message. One that fails comes once more, and then goes to the dead letters.
    async fn handle(&self, message: &Received<Delivery>) -> Result<()> {
        let order = Order::read(&message.data).context("not an order")?;
        if !message.redelivered {
            self.reports.waited(Broker::RabbitMq, &order);
        }
        let shipped = self.ship(&order).await;
        if shipped.is_ok() || message.redelivered {
            self.reports.tell(&Report::Done {
                order: order.id.clone(),
                is_shipped: shipped.is_ok(),
            });
        }
        shipped
    }

    async fn ship(&self, order: &Order) -> Result<()> {
        let question = order.body()?;
        let answer = self.producer.request(self.stock.clone(), question.into());
        let answer = answer.await.context("no answer from stock")?;
        ensure!(&*answer.payload == b"in stock", "not in stock");
        match order.kind {
            Kind::Ordinary => {}
            Kind::Failing => bail!("nobody knows the address"),
            // Whoever packs it has to fetch a ladder.
            Kind::Slow => sleep(Duration::from_millis(1200)).await,
        }
        info!(order = order.id, item = order.item, "order shipped");
        Ok(())
    }
}
