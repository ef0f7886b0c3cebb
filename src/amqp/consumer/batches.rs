//! Receiving deliveries in batches.

use std::time::Duration;

use lapin::message::Delivery;

use super::Consumer;
use crate::engine::batch::{self, Batch};

/// The deliveries of a consumer in batches, see [`Batches`](crate::Batches).
pub type Batches = batch::Batches<Consumer, Delivery, lapin::Error>;

impl Consumer<lapin::Consumer> {
    /// The deliveries in batches of at most `max`, each given out `within` so much time after its
    /// first delivery. A `max` of 0 is 1.
    ///
    /// `sleep` is the timer of the runtime that this runs in, since lapin has none that can be asked
    /// for. A batch has a `consume {destination}` span over the wait for it, which links to the
    /// creation context of each message. It is settled by its last delivery, with `multiple`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use lapin::message::Delivery;
    /// use lapin::options::BasicAckOptions;
    /// use otel_messaging::{Batch, amqp};
    ///
    /// # async fn store(orders: &Batch<Delivery>) -> anyhow::Result<()> { Ok(()) }
    /// async fn run(consumer: &amqp::Consumer) -> anyhow::Result<()> {
    ///     let mut batches = consumer.batches(500, Duration::from_millis(100), tokio::time::sleep);
    ///     while let Some(batch) = batches.recv().await {
    ///         let batch = batch?;
    ///         batch.process(async |orders| store(orders).await).await?;
    ///         if let Some(last) = batch.last() {
    ///             last.ack(BasicAckOptions { multiple: true }).await?;
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn batches<S, F>(&self, max: usize, within: Duration, sleep: S) -> Batches
    where
        S: Fn(Duration) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let mut stream = self.clone();
        stream.is_part_of_wait = true;
        batch::Batches::new(stream, max, within, move |duration| {
            Box::pin(sleep(duration))
        })
    }
}

impl Batches {
    /// Receives the next batch; `None` when the consumer was cancelled.
    ///
    /// # Errors
    ///
    /// The client's own error, as it came; the messages before it were in the batch before.
    ///
    /// # Cancel safety
    ///
    /// Messages that were taken stay here when the wait is dropped, and are in the next batch.
    pub async fn recv(&mut self) -> Option<lapin::Result<Batch<Delivery>>> {
        self.next_batch().await
    }
}
