//! `billing` takes orders from Kafka in batches, charges them together, and publishes each to RabbitMQ in the trace of its
//! own request.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use examples::amqp::connect;
use examples::stop::Stop;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Confirmation};
use otel_messaging::amqp::Publish;
use otel_messaging::{Batch, amqp, kafka};
use rdkafka::ClientContext;
use rdkafka::consumer::{
    BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance, StreamConsumer,
};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use tokio::time::{sleep, timeout};
use tracing::{error, info};

use crate::names::{self, Queues};
use crate::order::Order;
use crate::report::{Broker, Report, Reports};
use crate::service::Service;

/// Orders of a batch, and how long the first of them waits for others.
const BATCH: usize = 50;
const WITHIN: Duration = Duration::from_millis(100);

/// Before a batch is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// For the queues, and for the confirms of a batch. A connection that is lost may leave the client waiting for ever.
const PATIENCE: Duration = Duration::from_secs(10);

struct Billing {
    consumer: kafka::Consumer<StreamConsumer<Joined>>,
    queues: Queues,
    reports: Reports,
}

pub(crate) async fn run(service: Service) -> Result<()> {
    let suffix = &service.arguments.suffix;
    let cluster = names::cluster(suffix).await?;
    let client = cluster
        .consumer("billing")
        .create_with_context(Joined(service.reports));
    let client: StreamConsumer<Joined> = client?;
    let billing = Billing {
        consumer: kafka::Consumer::wrap(&service.telemetry, client),
        queues: Queues::new(suffix),
        reports: service.reports,
    };
    let [topic] = &cluster.topics;
    billing.consumer.subscribe(&[topic])?;
    // A broker that is not there at the start is told at once.
    let mut producer = Some(billing.producer(&service).await?);

    let work = async |stop: &Stop| billing.bill_orders(&service, &mut producer, stop).await;
    let close = async || Ok(());
    let worked = service.work(work, close).await;
    // It leaves its group, and waits for the last commits.
    drop(billing);
    if service.is_to_clean_up() {
        cluster.clean_up(&["billing"]).await?;
    }
    worked
}

/// It works when the group has given it partitions, which takes some seconds where the group is new.
struct Joined(Reports);

impl ClientContext for Joined {}

impl ConsumerContext for Joined {
    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(_) = rebalance {
            self.0.tell(&Report::Ready { address: None });
        }
    }
}

impl Billing {
    /// What publishes to RabbitMQ, over a connection of its own.
    async fn producer(&self, service: &Service) -> Result<amqp::Producer> {
        let (known, channel) = connect("billing").await?;
        let declared = timeout(PATIENCE, self.queues.declare(&channel));
        declared.await.context("no queues")??;
        Ok(amqp::Producer::wrap(&service.telemetry, &known, channel))
    }

    /// Until it is to stop. Neither a batch that fails ends it, nor a broker that is gone for a while.
    async fn bill_orders(
        &self,
        service: &Service,
        producer: &mut Option<amqp::Producer>,
        stop: &Stop,
    ) -> Result<()> {
        let mut batches = self.consumer.batches(BATCH, WITHIN);
        loop {
            let received = tokio::select! {
                biased;
                () = stop.asked() => return Ok(()),
                received = batches.recv() => received,
            };
            let batch = match received {
                Ok(batch) => batch,
                Err(error @ KafkaError::MessageConsumptionFatal(_)) => return Err(error.into()),
                // The client tries again by itself.
                Err(error) => {
                    error!("{error}");
                    continue;
                }
            };
            self.tell_waits(&batch);
            while let Err(error) = self.bill(service, producer, &batch).await {
                error!("{} orders are not billed: {error:#}", batch.len());
                // Not committed, it is delivered again to who comes next.
                tokio::select! {
                    () = stop.asked() => return Ok(()),
                    () = sleep(PAUSE) => {}
                }
            }
            let committed = batch.offsets();
            let committed =
                committed.and_then(|offsets| self.consumer.commit(&offsets, CommitMode::Async));
            if let Err(error) = committed {
                error!("{error}");
            }
        }
    }

    /// One batch, in a span of its own that links to each order.
    async fn bill(
        &self,
        service: &Service,
        producer: &mut Option<amqp::Producer>,
        batch: &Batch<BorrowedMessage<'_>>,
    ) -> Result<()> {
        let connected = match producer.take() {
            Some(connected) => connected,
            None => self.producer(service).await?,
        };
        let billed = batch.process(async |batch| self.publish(&connected, batch).await);
        billed.await?;
        // After an error, the next try has a connection of its own.
        *producer = Some(connected);
        info!("{} orders are billed together", batch.len());
        Ok(())
    }

    /// Each order goes on in its own trace, and all wait for their confirms together.
    async fn publish(
        &self,
        producer: &amqp::Producer,
        batch: &Batch<BorrowedMessage<'_>>,
    ) -> Result<()> {
        let mut bodies = Vec::new();
        for record in batch.iter() {
            match Order::read(record.payload().unwrap_or_default()) {
                Ok(order) => bodies.push((record.creation_context().clone(), order.body()?)),
                // It would not be one the next time either.
                Err(error) => error!("{}: not an order: {error}", record.offset()),
            }
        }
        let messages = bodies.iter().map(|(context, body)| {
            let message = Publish::new("", self.queues.shipments.as_str(), body);
            let message = message.options(BasicPublishOptions {
                // A message that no queue is there for shall not be taken for one that was delivered.
                mandatory: true,
                ..BasicPublishOptions::default()
            });
            (context.clone(), message.properties(sent_now()))
        });
        let published = producer.publish_batch_with_contexts(messages);
        let confirmations = timeout(PATIENCE, published).await.context("no confirm")?;
        for confirmation in confirmations {
            let confirmation = confirmation?;
            ensure!(
                confirmation == Confirmation::Ack(None),
                "not taken: {confirmation:?}"
            );
        }
        Ok(())
    }

    fn tell_waits(&self, batch: &Batch<BorrowedMessage<'_>>) {
        for record in batch.iter() {
            if let Ok(order) = Order::read(record.payload().unwrap_or_default()) {
                self.reports.waited(Broker::Kafka, &order);
            }
        }
    }
}

/// When a message is sent, for the metric of the time in the queue: the property has whole seconds.
fn sent_now() -> BasicProperties {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let since = since.unwrap_or_default();
    let mut headers = FieldTable::default();
    if let Ok(milliseconds) = i64::try_from(since.as_millis()) {
        let milliseconds = AMQPValue::LongLongInt(milliseconds);
        headers.insert("timestamp_in_ms".into(), milliseconds);
    }
    BasicProperties::default()
        .with_timestamp(since.as_secs())
        .with_delivery_mode(2)
        .with_headers(headers)
}
