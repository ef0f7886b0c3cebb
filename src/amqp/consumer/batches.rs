//! Receiving deliveries in batches.

use std::time::Duration;

use lapin::message::Delivery;

use super::{Consumer, record_failure};
use crate::engine::batch::{self, Batch};

/// The deliveries of a consumer in [batches](crate::Batches), from [`Consumer::batches`].
pub type Batches = batch::Batches<Consumer, Delivery, lapin::Error>;

impl Consumer<lapin::Consumer> {
    /// The deliveries in batches of at most `max` deliveries. Each batch ends `within` this time
    /// after its first delivery. A `max` of 0 is 1.
    ///
    /// The wait for a batch has a `consume {destination}` span, which links to the creation context
    /// of each message. To settle a batch, settle its last delivery with `multiple`. That settles all
    /// deliveries of the channel before it too. So let the channel have no other consumer, and call this once for a
    /// consumer: what [`Batches`] has taken for its next batch is dropped with it, and would be settled unprocessed.
    ///
    /// Set the channel's prefetch (`basic_qos`) to `max`: with less, no batch is ever full, and what the client has
    /// fetched beyond it counts as delivered before when it comes again, though nobody has tried it.
    ///
    /// The timer is tokio's, whose runtime lapin uses unless it is told otherwise. On another
    /// runtime use [`batches_with_timer`](Self::batches_with_timer).
    ///
    /// ```
    /// use std::time::Duration;
    /// use anyhow::Context as _;
    /// use lapin::message::Delivery;
    /// use lapin::options::{BasicAckOptions, BasicNackOptions};
    /// use otel_messaging::{Batch, amqp};
    /// use tokio::time::timeout;
    ///
    /// # async fn store(orders: &Batch<Delivery>) -> anyhow::Result<()> { Ok(()) }
    /// // An error of the client ends it; then connect again, as the loop of the module does.
    /// async fn run(consumer: &amqp::Consumer) -> anyhow::Result<()> {
    ///     let mut batches = consumer.batches(500, Duration::from_millis(100));
    ///     loop {
    ///         let batch = batches.recv().await.context("cancelled by the broker")??;
    ///         let stored = batch.process(async |orders| store(orders).await).await;
    ///         // A connection that is lost may leave the client waiting for ever.
    ///         timeout(Duration::from_secs(10), settle(&batch, stored.is_ok())).await??;
    ///     }
    /// }
    ///
    /// async fn settle(batch: &Batch<Delivery>, is_stored: bool) -> lapin::Result<()> {
    ///     let Some(last) = batch.last() else { return Ok(()) };
    ///     if is_stored {
    ///         last.ack(BasicAckOptions { multiple: true }).await?;
    ///         return Ok(());
    ///     }
    ///     for order in batch {
    ///         // Each once more, and then to the dead-letter exchange of the queue. Without one, it is discarded.
    ///         let (multiple, requeue) = (false, !order.redelivered);
    ///         order.nack(BasicNackOptions { multiple, requeue }).await?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Panics
    ///
    /// The wait for a batch, if it is polled outside of a runtime of tokio with its timer enabled.
    pub fn batches(&self, max: usize, within: Duration) -> Batches {
        self.batches_with_timer(max, within, tokio::time::sleep)
    }

    /// The same with the timer of another runtime: `sleep` gives a future that is ready after that
    /// time.
    ///
    /// ```
    /// use std::time::Duration;
    /// use otel_messaging::amqp::{Batches, Consumer};
    ///
    /// # async fn after(time: Duration) {}
    /// fn on_another_runtime(consumer: &Consumer) -> Batches {
    ///     // `after` could be `async_io::Timer::after`, with what it gives left out.
    ///     consumer.batches_with_timer(500, Duration::from_millis(100), after)
    /// }
    /// ```
    pub fn batches_with_timer<S, F>(&self, max: usize, within: Duration, sleep: S) -> Batches
    where
        S: Fn(Duration) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let mut stream = self.clone();
        stream.is_part_of_wait = true;
        batch::Batches::new(
            stream,
            max,
            within,
            move |duration| Box::pin(sleep(duration)),
            |stream, since, error| record_failure(&stream.source, Some(0), since, error),
        )
    }
}

impl Batches {
    /// Receives the next batch. `None` when the consumer was cancelled.
    ///
    /// # Errors
    ///
    /// The error of lapin's [`Consumer`](lapin::Consumer) stream. The messages before it were in
    /// the batch before.
    ///
    /// # Cancel safety
    ///
    /// Dropping the wait loses no message: messages that were taken are in the next batch.
    pub async fn recv(&mut self) -> Option<lapin::Result<Batch<Delivery>>> {
        self.next_batch().await
    }
}
