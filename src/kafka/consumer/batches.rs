//! Receiving messages in batches.

use std::collections::BTreeMap;
use std::future::pending;
use std::pin::Pin;
use std::time::Duration;

use rdkafka::consumer::{ConsumerContext, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::util::AsyncRuntime;
use rdkafka::{Offset, TopicPartitionList};

use super::{Consumer, MessageStream, StreamPartitionQueue, record_failure};
use crate::engine::batch::{self, Batch};
use crate::kafka::carrier::MessageHeaders;

/// The messages of a Kafka consumer in [batches](crate::Batches), from [`Consumer::batches`].
pub type Batches<'a, X> = batch::Batches<MessageStream<'a, X>, BorrowedMessage<'a>, KafkaError>;

impl<X, R> Consumer<StreamConsumer<X, R>>
where
    X: ConsumerContext + 'static,
    R: AsyncRuntime,
{
    /// The messages in batches of at most `max` messages. Each batch ends `within` this time after
    /// its first message. A `max` of 0 is 1.
    ///
    /// The wait for a batch has a `poll {topic}` span, which links to the creation context of each
    /// message.
    ///
    /// The client regards the messages of an incomplete batch as received: automatic commits can
    /// include them before they are processed; set `enable.auto.commit` to `false`. So can yours if it is dropped: keep the [`Batches`]. What it has taken
    /// for its next batch is dropped with it, the client goes on behind that, and a later commit passes over it.
    ///
    /// A batch can have messages of a partition that was revoked during the wait. To commit these moves back what the
    /// partition's new consumer has committed: leave out of the offsets what is not in the consumer's `assignment()`, or
    /// what `pre_rebalance` of your [`ConsumerContext`] was told of.
    ///
    /// ```
    /// use std::time::Duration;
    /// use otel_messaging::{Batch, kafka};
    /// use rdkafka::consumer::{CommitMode, Consumer as _};
    /// use rdkafka::error::{KafkaError, KafkaResult};
    /// use rdkafka::message::BorrowedMessage;
    /// use tokio::time::sleep;
    ///
    /// # async fn store(orders: &Batch<BorrowedMessage<'_>>) -> anyhow::Result<()> { Ok(()) }
    /// async fn run(consumer: &kafka::Consumer) -> KafkaResult<()> {
    ///     let mut batches = consumer.batches(500, Duration::from_millis(100));
    ///     loop {
    ///         let batch = match batches.recv().await {
    ///             Ok(batch) => batch,
    ///             Err(error @ KafkaError::MessageConsumptionFatal(_)) => return Err(error),
    ///             // The client tries again by itself.
    ///             Err(_) => continue,
    ///         };
    ///         while let Err(error) = batch.process(async |orders| store(orders).await).await {
    ///             eprintln!("{error:#}");
    ///             sleep(Duration::from_secs(1)).await;
    ///         }
    ///         let offsets = batch.offsets()?;
    ///         if let Err(error) = consumer.commit(&offsets, CommitMode::Async) {
    ///             eprintln!("{error}");
    ///         }
    ///     }
    /// }
    /// ```
    pub fn batches(&self, max: usize, within: Duration) -> Batches<'_, X> {
        in_batches::<X, R>(self.stream(), max, within)
    }
}

impl<X, R> StreamPartitionQueue<X, R>
where
    X: ConsumerContext,
    R: AsyncRuntime,
{
    /// The messages of the partition in batches, as from [`Consumer::batches`].
    pub fn batches(&self, max: usize, within: Duration) -> Batches<'_, X> {
        in_batches::<X, R>(self.stream(), max, within)
    }
}

impl<'a, X: ConsumerContext> Batches<'a, X> {
    /// Receives the next batch.
    ///
    /// # Errors
    ///
    /// The error of [`StreamConsumer::recv`]. The messages before it were in the batch before.
    ///
    /// # Cancel safety
    ///
    /// Dropping the wait loses no message: messages that were taken are in the next batch.
    pub async fn recv(&mut self) -> KafkaResult<Batch<BorrowedMessage<'a>>> {
        match self.next_batch().await {
            Some(received) => received,
            // The client's stream never ends.
            None => pending().await,
        }
    }
}

impl<M: MessageHeaders> Batch<M> {
    /// The offsets to commit when all messages are processed: for each partition, the offset after
    /// its last message in the batch.
    ///
    /// After a seek within the batch, that is not always the highest offset.
    ///
    /// # Errors
    ///
    /// The error of [`TopicPartitionList::add_partition_offset`], if it does not accept an offset.
    pub fn offsets(&self) -> KafkaResult<TopicPartitionList> {
        let mut ends = BTreeMap::new();
        for message in self {
            let end = message.offset().saturating_add(1);
            ends.insert((message.topic(), message.partition()), end);
        }
        let mut offsets = TopicPartitionList::with_capacity(ends.len());
        for ((topic, partition), end) in ends {
            offsets.add_partition_offset(topic, partition, Offset::Offset(end))?;
        }
        Ok(offsets)
    }
}

fn in_batches<X: ConsumerContext, R: AsyncRuntime>(
    mut stream: MessageStream<'_, X>,
    max: usize,
    within: Duration,
) -> Batches<'_, X> {
    stream.is_part_of_wait = true;
    batch::Batches::new(stream, max, within, delay::<R>, |stream, since, error| {
        record_failure(stream.info, stream.partition, Some(0), since, error);
    })
}

fn delay<R: AsyncRuntime>(duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(R::delay_for(duration))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::expect_used, reason = "a test panics where it fails")]

    use std::sync::Arc;

    use futures::stream;
    use rdkafka::ClientConfig;
    use rdkafka::message::{OwnedMessage, Timestamp};
    use rdkafka::producer::{FutureProducer, Producer as _};
    use rdkafka::util::TokioRuntime;

    use super::*;
    use crate::kafka::attributes::ClientInfo;
    use crate::{Received, Telemetry};

    /// More than can be taken in the time that the tests give.
    const MESSAGES: usize = 300_000;

    type Item = KafkaResult<Received<OwnedMessage>>;

    /// Messages that are all there at once.
    fn messages() -> impl futures_core::Stream<Item = Item> + Unpin {
        let client: FutureProducer = ClientConfig::new().create().expect("a client");
        let info = Arc::new(ClientInfo::read(&Telemetry::new(), client.client()));
        let message = |offset| {
            let time = Timestamp::NotAvailable;
            let topic = "orders".to_owned();
            let message = OwnedMessage::new(None, None, topic, time, 0, offset, None);
            Ok(Received::deliver(message, &info, None, |_| None))
        };
        let messages: Vec<Item> = (0..MESSAGES as i64).map(message).collect();
        stream::iter(messages)
    }

    #[test]
    fn the_offsets_of_a_batch_are_what_committing_each_message_in_turn_would_leave() {
        let client: FutureProducer = ClientConfig::new().create().expect("a client");
        let info = Arc::new(ClientInfo::read(&Telemetry::new(), client.client()));
        let message = |(topic, partition, offset): (&str, i32, i64)| {
            let time = Timestamp::NotAvailable;
            let topic = topic.to_owned();
            let message = OwnedMessage::new(None, None, topic, time, partition, offset, None);
            Received::deliver(message, &info, None, |_| None)
        };
        let seek_back = [("orders", 0, 7), ("orders", 0, 8), ("orders", 0, 3)];
        let made_anew = [("orders", 1, 900), ("payments", 1, 5), ("orders", 1, 0)];
        let messages = seek_back.into_iter().chain(made_anew).map(message);

        let offsets = Batch::from(messages.collect::<Vec<_>>()).offsets();

        let offsets = offsets.expect("offsets");
        let elements = offsets.elements();
        let shown = elements.iter().map(|one| {
            let offset = one.offset().to_raw();
            (one.topic(), one.partition(), offset)
        });
        let expected = [
            ("orders", 0, Some(4)),
            ("orders", 1, Some(1)),
            ("payments", 1, Some(6)),
        ];
        assert_eq!(shown.collect::<Vec<_>>(), expected);
    }

    #[tokio::test]
    async fn a_batch_of_messages_that_are_all_there_ends_in_time_too() {
        let within = Duration::from_millis(1);
        let delay = delay::<TokioRuntime>;
        let mut batches = batch::Batches::new(messages(), usize::MAX, within, delay, |_, _, _| ());

        let batch = batches
            .next_batch()
            .await
            .expect("no end")
            .expect("a batch");

        assert!(batch.len() < MESSAGES);
    }

    #[tokio::test]
    async fn a_wait_for_messages_that_are_all_there_can_be_given_up_and_loses_none() {
        let (within, patience) = (Duration::from_secs(60), Duration::from_millis(1));
        let delay = delay::<TokioRuntime>;
        let mut batches = batch::Batches::new(messages(), MESSAGES, within, delay, |_, _, _| ());

        let given_up = tokio::time::timeout(patience, batches.next_batch()).await;
        let batch = batches
            .next_batch()
            .await
            .expect("no end")
            .expect("a batch");

        assert!(given_up.is_err());
        let offsets = batch.iter().map(|message| message.offset());
        assert!(offsets.eq(0..MESSAGES as i64));
    }
}
