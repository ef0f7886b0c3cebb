//! What only Kafka's received messages have.

use rdkafka::message::{BorrowedHeaders, BorrowedMessage, OwnedMessage};

use crate::engine::received::Received;
use crate::kafka::carrier::MessageHeaders;

impl Received<BorrowedMessage<'_>> {
    /// Copies the message out of the client's buffer, so that another task can process it.
    ///
    /// ```
    /// use otel_messaging::kafka;
    /// use tokio::task::JoinSet;
    ///
    /// # async fn work() {}
    /// async fn spread(consumer: &kafka::Consumer) -> anyhow::Result<()> {
    ///     let mut tasks = JoinSet::new();
    ///     for _ in 0..10 {
    ///         let order = consumer.recv().await?.detach();
    ///         tasks.spawn(async move { order.process(async |_| work().await).await });
    ///     }
    ///     tasks.join_all().await;
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn detach(&self) -> Received<OwnedMessage> {
        self.in_the_form_of(BorrowedMessage::detach(self))
    }
}

impl<M: MessageHeaders> MessageHeaders for Received<M> {
    fn borrowed_headers(&self) -> Option<&BorrowedHeaders> {
        (**self).borrowed_headers()
    }
}
