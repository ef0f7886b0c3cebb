//! The blocking client, [`BaseConsumer`].

use std::fmt;
use std::sync::Arc;

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::message::BorrowedMessage;
use rdkafka::util::Timeout;

use super::{Consumer, received};
use crate::engine::received::Received;
use crate::engine::received::sealed::MessageSource as _;

impl<X: ConsumerContext> Consumer<BaseConsumer<X>> {
    /// Waits for the next message, as [`BaseConsumer::poll`] does. `None` if there was none in
    /// time.
    ///
    /// # Errors
    ///
    /// The error of [`BaseConsumer::poll`].
    pub fn poll<T: Into<Timeout>>(
        &self,
        timeout: T,
    ) -> Option<KafkaResult<Received<BorrowedMessage<'_>>>> {
        let since = self.info.wait();
        let polled = self.client.poll(timeout)?;
        let client = self.client.client();
        Some(received(polled, &self.info, None, client, since))
    }

    /// Sets the function that is called when the empty queue of the consumer receives a message, as
    /// [`BaseConsumer::set_nonempty_callback`] does. It replaces the one before.
    ///
    /// # Errors
    ///
    /// The function itself, which is not set then, if the consumer has other handles: clones of it,
    /// or queues of its partitions. The client requires exclusive access.
    pub fn set_nonempty_callback<F>(&mut self, callback: F) -> Result<(), F>
    where
        F: Fn() + Send + Sync + 'static,
    {
        match Arc::get_mut(&mut self.client) {
            Some(client) => {
                client.set_nonempty_callback(callback);
                Ok(())
            }
            None => Err(callback),
        }
    }

    /// The messages as an iterator, as from [`BaseConsumer::iter`]. It waits for each message, and
    /// never ends.
    ///
    /// A handler that does not wait runs in the attached context of the process span:
    ///
    /// ```
    /// use otel_messaging::kafka;
    /// use rdkafka::consumer::{BaseConsumer, CommitMode};
    /// use rdkafka::error::KafkaError;
    /// use rdkafka::message::BorrowedMessage;
    ///
    /// # fn handle(order: &BorrowedMessage<'_>) -> anyhow::Result<()> { Ok(()) }
    /// fn run(consumer: &kafka::Consumer<BaseConsumer>) {
    ///     for order in consumer.iter() {
    ///         let order = match order {
    ///             Ok(order) => order,
    ///             Err(KafkaError::MessageConsumptionFatal(_)) => return,
    ///             // The client tries again by itself.
    ///             Err(_) => continue,
    ///         };
    ///         let span = order.start_process_span();
    ///         let outcome = {
    ///             let _attached = span.context().clone().attach();
    ///             handle(&order)
    ///         };
    ///         span.end(&outcome);
    ///         if let Err(error) = outcome {
    ///             // The next commit passes over it: retry, or send it to a dead letter.
    ///             eprintln!("{error:#}");
    ///         } else if let Err(error) = consumer.commit_message(&order, CommitMode::Async) {
    ///             eprintln!("{error}");
    ///         }
    ///     }
    /// }
    /// ```
    pub const fn iter(&self) -> Iter<'_, X> {
        Iter(self)
    }
}

impl<'a, X: ConsumerContext> IntoIterator for &'a Consumer<BaseConsumer<X>> {
    type Item = KafkaResult<Received<BorrowedMessage<'a>>>;
    type IntoIter = Iter<'a, X>;

    fn into_iter(self) -> Iter<'a, X> {
        self.iter()
    }
}

/// An iterator over received messages, from [`Consumer::iter`]. An error of the client is an item.
#[must_use = "iterators do nothing unless asked for an item"]
pub struct Iter<'a, X: ConsumerContext>(&'a Consumer<BaseConsumer<X>>);

impl<'a, X: ConsumerContext> Iterator for Iter<'a, X> {
    type Item = KafkaResult<Received<BorrowedMessage<'a>>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.0.poll(Timeout::Never) {
                return Some(item);
            }
        }
    }
}

impl<X: ConsumerContext> fmt::Debug for Iter<'_, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Iter").field(self.0).finish()
    }
}
