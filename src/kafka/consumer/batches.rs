//! Receiving messages in batches.

use std::collections::BTreeMap;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::time::Duration;

use futures_core::Stream as _;
use rdkafka::consumer::{ConsumerContext, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::util::AsyncRuntime;
use rdkafka::{Offset, TopicPartitionList};

use super::{Consumer, MessageStream, StreamPartitionQueue};
use crate::Batch;
use crate::kafka::carrier::MessageHeaders;

/// The messages of a Kafka consumer in batches, see [`Batches`](crate::Batches).
pub type Batches<'a, X> = crate::Batches<MessageStream<'a, X>, BorrowedMessage<'a>, KafkaError>;

impl<X, R> Consumer<StreamConsumer<X, R>>
where
    X: ConsumerContext + 'static,
    R: AsyncRuntime,
{
    /// The messages in batches of at most `max`, each given out `within` so much time after its
    /// first message. A `max` of 0 is 1.
    ///
    /// A batch has a `poll {topic}` span over the wait for it, which links to the creation context
    /// of each message.
    ///
    /// ```
    /// use std::time::Duration;
    /// use otel_messaging::{Batch, kafka};
    /// use rdkafka::consumer::{CommitMode, Consumer as _};
    /// use rdkafka::message::BorrowedMessage;
    ///
    /// # async fn store(orders: &Batch<BorrowedMessage<'_>>) -> anyhow::Result<()> { Ok(()) }
    /// async fn run(consumer: &kafka::Consumer) -> anyhow::Result<()> {
    ///     let mut batches = consumer.batches(500, Duration::from_millis(100));
    ///     loop {
    ///         let batch = batches.recv().await?;
    ///         batch.process(async |orders| store(orders).await).await?;
    ///         consumer.commit(&batch.offsets()?, CommitMode::Async)?;
    ///     }
    /// }
    /// ```
    pub fn batches(&self, max: usize, within: Duration) -> Batches<'_, X> {
        crate::Batches::new(in_batches(self.stream()), max, within, delay::<R>)
    }
}

impl<X, R> StreamPartitionQueue<X, R>
where
    X: ConsumerContext,
    R: AsyncRuntime,
{
    /// The messages of the partition in batches, as [`Consumer::batches`] has them.
    pub fn batches(&self, max: usize, within: Duration) -> Batches<'_, X> {
        crate::Batches::new(in_batches(self.stream()), max, within, delay::<R>)
    }
}

impl<'a, X: ConsumerContext> Batches<'a, X> {
    /// Receives the next batch.
    ///
    /// # Errors
    ///
    /// The client's own error, as it came; the messages before it were in the batch before.
    ///
    /// # Cancel safety
    ///
    /// Messages that were taken stay here when the wait is dropped, and are in the next batch.
    pub async fn recv(&mut self) -> KafkaResult<Batch<BorrowedMessage<'a>>> {
        match poll_fn(|task| Pin::new(&mut *self).poll_next(task)).await {
            Some(received) => received,
            // The client's stream never ends.
            None => pending().await,
        }
    }
}

impl<M: MessageHeaders> Batch<M> {
    /// What to commit when all messages are processed: for each partition the offset after the last
    /// message.
    ///
    /// # Errors
    ///
    /// The client's own, if it does not take an offset.
    pub fn offsets(&self) -> KafkaResult<TopicPartitionList> {
        let mut ends = BTreeMap::new();
        for message in self {
            let end: &mut i64 = ends
                .entry((message.topic(), message.partition()))
                .or_default();
            *end = message.offset().saturating_add(1).max(*end);
        }
        let mut offsets = TopicPartitionList::with_capacity(ends.len());
        for ((topic, partition), end) in ends {
            offsets.add_partition_offset(topic, partition, Offset::Offset(end))?;
        }
        Ok(offsets)
    }
}

const fn in_batches<X: ConsumerContext>(mut stream: MessageStream<'_, X>) -> MessageStream<'_, X> {
    stream.is_part_of_wait = true;
    stream
}

fn delay<R: AsyncRuntime>(duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(R::delay_for(duration))
}
