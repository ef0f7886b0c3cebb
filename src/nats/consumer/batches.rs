//! Receiving JetStream messages in batches.

use std::time::Duration;

use async_nats::jetstream::Message;
use futures_core::Stream;

use super::Messages;
use crate::Batch;

/// The messages of a JetStream consumer in batches, see [`Batches`](crate::Batches).
pub type Batches<S, E> = crate::Batches<Messages<S>, Message, E>;

impl<S, E> Messages<S>
where
    S: Stream<Item = Result<Message, E>> + Unpin,
{
    /// The messages in batches of at most `max`, each given out `within` so much time after its
    /// first message. A `max` of 0 is 1.
    ///
    /// `sleep` is the timer of the runtime that this runs in. A batch has a `next {subject}` span
    /// over the wait for it, which links to the creation context of each message. The time within
    /// which a message is to be acknowledged runs while it waits for others: let it be longer.
    ///
    /// ```
    /// use std::time::Duration;
    /// use async_nats::jetstream::Message;
    /// use otel_messaging::{Batch, nats};
    ///
    /// # async fn store(orders: &Batch<Message>) -> anyhow::Result<()> { Ok(()) }
    /// async fn run(consumer: &nats::jetstream::Consumer) -> Result<(), async_nats::Error> {
    ///     let orders = consumer.messages().await?;
    ///     let mut batches = orders.batches(500, Duration::from_millis(100), tokio::time::sleep);
    ///     while let Some(batch) = batches.recv().await {
    ///         let batch = batch?;
    ///         batch.process(async |orders| store(orders).await).await?;
    ///         for order in batch.iter() {
    ///             order.ack().await?;
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn batches<T, F>(mut self, max: usize, within: Duration, sleep: T) -> Batches<S, E>
    where
        T: Fn(Duration) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        self.is_part_of_wait = true;
        crate::Batches::new(self, max, within, move |duration| Box::pin(sleep(duration)))
    }
}

impl<S, E> Batches<S, E>
where
    S: Stream<Item = Result<Message, E>> + Unpin,
    E: Unpin,
{
    /// Receives the next batch; `None` when the client's stream has ended.
    ///
    /// # Errors
    ///
    /// The client's own error, as it came; the messages before it were in the batch before.
    ///
    /// # Cancel safety
    ///
    /// Messages that were taken stay here when the wait is dropped, and are in the next batch.
    pub async fn recv(&mut self) -> Option<Result<Batch<Message>, E>> {
        self.next_batch().await
    }
}
