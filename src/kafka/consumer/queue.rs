//! Partitions whose messages come through a queue of their own.

use std::fmt;

use rdkafka::consumer::base_consumer::PartitionQueue as ClientQueue;
use rdkafka::consumer::stream_consumer::StreamPartitionQueue as ClientStreamQueue;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, StreamConsumer};
use rdkafka::error::KafkaResult;
use rdkafka::message::BorrowedMessage;
use rdkafka::util::{DefaultRuntime, Timeout};

use super::{Consumer, MessageStream, received};
use crate::engine::received::Received;
use crate::engine::received::sealed::MessageSource as _;
use crate::kafka::attributes::PartitionInfo;

impl<X> Consumer<BaseConsumer<X>>
where
    X: ConsumerContext,
{
    /// Gives one partition a queue of its own, as [`BaseConsumer::split_partition_queue`] does.
    /// `None` if the topic or the partition is invalid.
    ///
    /// Messages of the partition that the client has already can still come from the consumer's own `poll`: call this
    /// before that. Each `assign` of the consumer, that of a rebalance too, makes its queues inactive: then make them again.
    #[must_use]
    pub fn split_partition_queue(&self, topic: &str, partition: i32) -> Option<PartitionQueue<X>> {
        Some(PartitionQueue {
            queue: self.client.split_partition_queue(topic, partition)?,
            partition: PartitionInfo::new(&self.info, topic, partition),
            consumer: self.clone(),
        })
    }
}

impl<X, R> Consumer<StreamConsumer<X, R>>
where
    X: ConsumerContext + 'static,
{
    /// Gives one partition a queue of its own, as [`StreamConsumer::split_partition_queue`] does.
    /// `None` if the topic or the partition is invalid.
    ///
    /// Messages of the partition that the client has already can still come from the consumer's own `recv`: call this
    /// before that. Each `assign` of the consumer, that of a rebalance too, makes its queues inactive: then make them again.
    ///
    /// ```
    /// use anyhow::Context as _;
    /// use otel_messaging::kafka;
    /// use rdkafka::error::KafkaError;
    /// use rdkafka::message::BorrowedMessage;
    ///
    /// # async fn handle(order: &BorrowedMessage<'_>) -> anyhow::Result<()> { Ok(()) }
    /// async fn run(consumer: &kafka::Consumer) -> anyhow::Result<()> {
    ///     let first = consumer.split_partition_queue("orders", 0).context("no such partition")?;
    ///     loop {
    ///         // Without the second, a subscription is assigned no partition, or loses it after `max.poll.interval.ms`.
    ///         let received = tokio::select! {
    ///             received = first.recv() => received,
    ///             received = consumer.recv() => received,
    ///         };
    ///         let order = match received {
    ///             Ok(order) => order,
    ///             Err(error @ KafkaError::MessageConsumptionFatal(_)) => return Err(error.into()),
    ///             // The client tries again by itself.
    ///             Err(_) => continue,
    ///         };
    ///         if let Err(error) = order.process(async |order| handle(order).await).await {
    ///             eprintln!("{error:#}");
    ///         }
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn split_partition_queue(
        &self,
        topic: &str,
        partition: i32,
    ) -> Option<StreamPartitionQueue<X, R>> {
        Some(StreamPartitionQueue {
            queue: self.client.split_partition_queue(topic, partition)?,
            partition: PartitionInfo::new(&self.info, topic, partition),
            consumer: self.clone(),
        })
    }
}

/// The queue of one partition of a blocking consumer, from `split_partition_queue`. It is used as
/// [`Consumer`]'s own `poll`.
///
/// The consumer itself has to be polled too, even if all its partitions have queues.
pub struct PartitionQueue<X: ConsumerContext> {
    queue: ClientQueue<X>,
    partition: PartitionInfo,
    consumer: Consumer<BaseConsumer<X>>,
}

impl<X: ConsumerContext> PartitionQueue<X> {
    /// Waits for the next message of the partition, as [`PartitionQueue::poll`](ClientQueue::poll)
    /// does. `None` if there was none in time.
    ///
    /// # Errors
    ///
    /// The error of [`PartitionQueue::poll`](ClientQueue::poll).
    pub fn poll<T: Into<Timeout>>(
        &self,
        timeout: T,
    ) -> Option<KafkaResult<Received<BorrowedMessage<'_>>>> {
        let since = self.consumer.info.wait();
        let polled = self.queue.poll(timeout)?;
        let Consumer { info, client } = &self.consumer;
        let partition = Some(&self.partition);
        Some(received(polled, info, partition, client.client(), since))
    }

    /// Sets the function that is called when the empty queue receives a message. It replaces the
    /// one before.
    pub fn set_nonempty_callback<F>(&mut self, callback: F)
    where
        F: Fn() + Send + Sync + 'static,
    {
        self.queue.set_nonempty_callback(callback);
    }
}

impl<X: ConsumerContext> fmt::Debug for PartitionQueue<X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.partition
            .shown("PartitionQueue", f)
            .finish_non_exhaustive()
    }
}

/// The queue of one partition of a stream consumer, from `split_partition_queue`, which has an
/// example.
///
/// The consumer itself has to be received from too, even if all its partitions have queues.
pub struct StreamPartitionQueue<X: ConsumerContext, R = DefaultRuntime> {
    queue: ClientStreamQueue<X, R>,
    partition: PartitionInfo,
    consumer: Consumer<StreamConsumer<X, R>>,
}

impl<X: ConsumerContext, R> StreamPartitionQueue<X, R> {
    /// Receives the next message of the partition, as
    /// [`StreamPartitionQueue::recv`](ClientStreamQueue::recv) does.
    ///
    /// # Errors
    ///
    /// The error of [`StreamPartitionQueue::recv`](ClientStreamQueue::recv).
    ///
    /// # Cancel safety
    ///
    /// As for [`StreamPartitionQueue::recv`](ClientStreamQueue::recv): dropping the future loses no
    /// message.
    pub async fn recv(&self) -> KafkaResult<Received<BorrowedMessage<'_>>> {
        let since = self.consumer.info.wait();
        let message = self.queue.recv().await;
        let Consumer { info, client } = &self.consumer;
        let partition = Some(&self.partition);
        received(message, info, partition, client.client(), since)
    }

    /// The messages of the partition as a stream.
    pub fn stream(&self) -> MessageStream<'_, X> {
        MessageStream {
            stream: self.queue.stream(),
            waited_since: None,
            is_part_of_wait: false,
            info: &self.consumer.info,
            partition: Some(&self.partition),
            client: self.consumer.client.client(),
        }
    }
}

impl<X: ConsumerContext, R> fmt::Debug for StreamPartitionQueue<X, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.partition
            .shown("StreamPartitionQueue", f)
            .finish_non_exhaustive()
    }
}
