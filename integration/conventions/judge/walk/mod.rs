//! The walk through the public API: what is the same for every broker here, what is not in a file for each.

mod abilities;
mod amqp;
mod amqp_failures;
mod kafka;
mod kafka_failures;
mod nats;
mod nats_failures;
mod nats_more;
mod policies;
mod shared;

use crate::model::Scene;

/// All scenes, on all brokers.
pub(crate) async fn all() -> Vec<Scene> {
    let (kafka, amqp, nats) = futures::join!(kafka::scenes(), amqp::scenes(), nats::scenes());
    [kafka, amqp, nats].concat()
}
