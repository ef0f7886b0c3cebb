//! lapin's futures, on the RabbitMQ of `AMQP_URL`.

mod receives;
mod sends;
mod settles;

use integration::amqp::{confirming, connection, queue};
use integration::drops::{Counted, Sends, Trials, assert_fates_within, assert_same_fates};
use lapin::message::Delivery;
use lapin::options::{BasicGetOptions, BasicPublishOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection};
use otel_messaging::amqp::{ConnectionInfo, Producer};

use crate::given_up;

/// Messages that are sent, received or settled in each way.
fn rounds() -> usize {
    given_up::rounds(100)
}

/// Messages of a batch.
const TOGETHER: usize = 3;

/// A channel and a queue for each client.
struct Shop {
    counted: Counted,
    connection: Connection,
    /// For what is no part of the test.
    channel: Channel,
    client: Channel,
    wrapped: Channel,
    producer: Producer,
    queues: [ShortString; 2],
}

impl Shop {
    async fn open() -> Self {
        let counted = Counted::new();
        let connection = connection().await;
        let channel = confirming(&connection).await;
        let queues = [
            queue(&channel, "bare").await,
            queue(&channel, "wrapped").await,
        ];
        let wrapped = confirming(&connection).await;
        let telemetry = counted.telemetry();
        Self {
            client: confirming(&connection).await,
            producer: Producer::wrap(&telemetry, ConnectionInfo::new(), wrapped.clone()),
            wrapped,
            channel,
            connection,
            counted,
            queues,
        }
    }

    /// Publishes by names, one for each, to both queues or to one of them.
    async fn fill(&self, names: impl Iterator<Item = usize> + Clone, queues: &[ShortString]) {
        for queue in queues {
            for name in names.clone() {
                let confirm = publish(&self.channel, queue, &name.to_string()).await;
                confirm.await.expect("a confirm");
            }
        }
    }

    /// What lies in a queue, which is then empty.
    async fn names(&self, queue: &ShortString) -> Vec<String> {
        let mut names = Vec::new();
        let options = BasicGetOptions { no_ack: true };
        while let Some(message) = self
            .channel
            .basic_get(queue.clone(), options)
            .await
            .expect("one")
        {
            names.push(name(&message.delivery));
        }
        names
    }

    /// How many messages lie in one of the queues, as this channel is told.
    async fn count(&self, channel: &Channel, at: usize) -> usize {
        let passive = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::durable()
        };
        let declared =
            channel.queue_declare(self.queues[at].clone(), passive, FieldTable::default());
        declared.await.expect("the queue").message_count() as usize
    }

    /// Compares what has arrived with what was sent, by calls that each sent so many messages.
    async fn assert_same(&self, sends: Sends, messages: u64, trials: &[Trials; 2]) {
        for channel in [&self.client, &self.wrapped] {
            channel.wait_for_confirms().await.expect("confirms");
        }
        let mut fates = Vec::new();
        for (queue, trials) in self.queues.iter().zip(trials) {
            let arrived = self.names(queue).await;
            fates.push(trials.fates(arrived.iter().map(String::as_str)));
            if queue == &self.queues[1] {
                assert_eq!(self.counted.sent(), arrived.len() as u64);
                assert_eq!(self.counted.operations(), trials.polled());
                assert!(self.counted.sent() <= trials.polled() * messages);
            }
        }
        if messages == 1 {
            assert_same_fates(sends.api, &fates[0], &fates[1]);
        } else {
            // Between two polls lapin's thread takes as many as it comes to: a number that came about with one client and
            // not with the other, for so many polls or in all rounds, says nothing of either.
            let messages = usize::try_from(messages).expect("a few");
            assert_fates_within(sends.api, &fates[0], &fates[1], messages);
        }
    }
}

async fn publish(channel: &Channel, queue: &ShortString, name: &str) -> lapin::PublisherConfirm {
    let published = channel.basic_publish(
        "".into(),
        queue.clone(),
        BasicPublishOptions::default(),
        name.as_bytes(),
        BasicProperties::default(),
    );
    published.await.expect("a publish")
}

fn name(delivery: &Delivery) -> String {
    String::from_utf8(delivery.data.clone()).expect("a name")
}
