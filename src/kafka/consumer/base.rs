//! The blocking client, [`BaseConsumer`].

use std::fmt;

use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::message::BorrowedMessage;
use rdkafka::util::Timeout;

use super::Consumer;
use crate::Received;

impl<X: ConsumerContext> Consumer<BaseConsumer<X>> {
    /// Waits for the next message, as [`BaseConsumer::poll`] does; `None` if none came in time.
    ///
    /// # Errors
    ///
    /// The client's own error, as it came.
    pub fn poll<T: Into<Timeout>>(
        &self,
        timeout: T,
    ) -> Option<KafkaResult<Received<BorrowedMessage<'_>>>> {
        let since = self.info.wait();
        let polled = self.client.poll(timeout)?;
        Some(polled.map(|message| self.received(message, since)))
    }

    /// The messages as an iterator, as [`BaseConsumer::iter`] has them; it waits for each, and never
    /// ends.
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

/// An iterator over received messages; a client error is an item like any other.
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
