//! Messages that were read out of a stream one by one.

use std::sync::Arc;

use async_nats::jetstream::message::StreamMessage;

use super::Consumer;
use crate::engine::received::Received;
use crate::nats::attributes::{Patterns, Subscription};

impl Consumer {
    /// A message that was read directly from `stream`, with any of the client's methods.
    ///
    /// A stored message can be read long after it was written, and often. Its process span links to
    /// the writer's context and is never its child. Entries of key-value and object stores can be
    /// read this way too; their own APIs do not show headers.
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
            &self.client,
            &self.identity,
            Patterns::of_consumer(Vec::new(), stream),
            None,
            &self.names,
        ));
        Received::deliver(message, &subscription, None, |_| None)
    }
}
