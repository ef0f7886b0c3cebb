//! What the shop has at the brokers.

use anyhow::Result;
use examples::amqp::dead_letters_to;
use lapin::Channel;
use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;

/// Kafka with the topic of orders.
pub(crate) type Cluster = examples::kafka::Cluster<1>;

/// Enough for a few workers of billing.
const PARTITIONS: i32 = 3;

/// Makes the topic, if it is not there.
pub(crate) async fn cluster(suffix: &str) -> Result<Cluster> {
    Cluster::shared(["shop.orders"], suffix, PARTITIONS).await
}

/// Queues of RabbitMQ.
#[derive(Clone, Debug)]
pub(crate) struct Queues {
    pub(crate) shipments: String,
    pub(crate) dead_letters: String,
}

impl Queues {
    pub(crate) fn new(suffix: &str) -> Self {
        Self {
            shipments: format!("shop.shipments{suffix}"),
            dead_letters: format!("shop.dead-letters{suffix}"),
        }
    }

    /// Makes them, if they are not there.
    pub(crate) async fn declare(&self, channel: &Channel) -> lapin::Result<()> {
        for (queue, arguments) in [
            (&self.dead_letters, FieldTable::default()),
            (&self.shipments, dead_letters_to(&self.dead_letters)),
        ] {
            let options = QueueDeclareOptions::durable();
            let declared = channel.queue_declare(queue.as_str().into(), options, arguments);
            declared.await?;
        }
        Ok(())
    }

    pub(crate) async fn delete(&self, channel: &Channel) -> lapin::Result<()> {
        for queue in [&self.shipments, &self.dead_letters] {
            let options = QueueDeleteOptions::default();
            channel.queue_delete(queue.as_str().into(), options).await?;
        }
        Ok(())
    }
}

/// The subject of NATS that stock answers at.
pub(crate) fn stock(suffix: &str) -> String {
    format!("shop.stock{suffix}")
}
