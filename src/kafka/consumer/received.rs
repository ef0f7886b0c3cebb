//! What only Kafka's received messages have.

use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Message, OwnedMessage, Timestamp};

use crate::engine::batch::Batch;
use crate::engine::received::Received;
use crate::kafka::carrier::{MessageHeaders, sealed};

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

impl Batch<BorrowedMessage<'_>> {
    /// Copies the messages out of the client's buffer, so that another task can process them.
    ///
    /// ```
    /// use std::time::Duration;
    /// use otel_messaging::{Batch, kafka};
    /// use rdkafka::message::OwnedMessage;
    /// use tokio::task::JoinSet;
    ///
    /// # async fn store(orders: &Batch<OwnedMessage>) {}
    /// async fn spread(consumer: &kafka::Consumer) -> anyhow::Result<()> {
    ///     let mut batches = consumer.batches(500, Duration::from_millis(100));
    ///     let mut tasks = JoinSet::new();
    ///     for _ in 0..10 {
    ///         let batch = batches.recv().await?.detach();
    ///         tasks.spawn(async move { batch.process(async |orders| store(orders).await).await });
    ///     }
    ///     tasks.join_all().await;
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn detach(&self) -> Batch<OwnedMessage> {
        let messages: Vec<_> = self.iter().map(Received::detach).collect();
        Batch::from(messages)
    }
}

impl<M: MessageHeaders> sealed::Sealed for Received<M> {}

impl<M: MessageHeaders> MessageHeaders for Received<M> {
    fn borrowed_headers(&self) -> Option<&BorrowedHeaders> {
        (**self).borrowed_headers()
    }
}

/// Forwards to the received message.
impl<M: MessageHeaders> Message for Received<M> {
    type Headers = M::Headers;

    fn key(&self) -> Option<&[u8]> {
        (**self).key()
    }

    fn payload(&self) -> Option<&[u8]> {
        (**self).payload()
    }

    #[expect(unsafe_code, reason = "the trait has an unsafe method")]
    unsafe fn payload_mut(&mut self) -> Option<&mut [u8]> {
        // SAFETY: the caller keeps what the method asks for, which is the same for the message.
        unsafe { self.message_mut().payload_mut() }
    }

    fn topic(&self) -> &str {
        (**self).topic()
    }

    fn partition(&self) -> i32 {
        (**self).partition()
    }

    fn offset(&self) -> i64 {
        (**self).offset()
    }

    fn timestamp(&self) -> Timestamp {
        (**self).timestamp()
    }

    fn headers(&self) -> Option<&Self::Headers> {
        (**self).headers()
    }
}
