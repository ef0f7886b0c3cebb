//! Messages that were read out of a stream one by one.

use std::sync::Arc;

use async_nats::jetstream::message::StreamMessage;

use super::Consumer;
use crate::engine::received::Received;
use crate::nats::attributes::{Patterns, Subscription};

impl Consumer {
    /// A message that was read out of `stream` by one of the client's many ways to do so.
    ///
    /// Whoever reads a stored message may do so long after it was written, and often: its process
    /// span links to the writer's context and is never its child. What key-value and object stores
    /// keep can be read so too; their own interfaces do not show headers.
    ///
    /// ```
    /// use async_nats::jetstream::stream::Stream;
    /// use otel_messaging::nats;
    ///
    /// # async fn handle(payload: &[u8]) -> anyhow::Result<()> { Ok(()) }
    /// async fn replay(consumer: &nats::Consumer, stream: &Stream) -> anyhow::Result<()> {
    ///     let order = consumer.stored("ORDERS", stream.get_raw_message(7).await?);
    ///     order.process(async |order| handle(&order.payload).await).await
    /// }
    /// ```
    pub fn stored(&self, stream: &str, message: StreamMessage) -> Received<StreamMessage> {
        let subscription = Arc::new(Subscription::new(
            &self.telemetry,
            self.client.clone(),
            &self.identity,
            Patterns::of_consumer(Vec::new(), stream),
            None,
            &self.names,
        ));
        Received::deliver(message, &subscription, None, |_| None)
    }
}
