//! Receiving messages in batches.

use std::convert::Infallible;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_nats::{Message, jetstream};
use futures_core::Stream;
use tokio::time::sleep;

use super::sealed::{Deliver, Single};
use super::{Delivered, Messages};
use crate::engine::batch::{self, Batch};
use crate::engine::received::Received;

/// The messages of one of the client's streams in batches, see [`Batches`](crate::Batches).
pub type Batches<S> = batch::Batches<
    Taken<S>,
    <<<S as Stream>::Item as Deliver>::Received as Single>::Message,
    <<<S as Stream>::Item as Deliver>::Received as Single>::Error,
>;

impl<S> Messages<S>
where
    S: Stream + Unpin,
    S::Item: Delivered,
    <S::Item as Deliver>::Received: Single,
{
    /// The messages in batches of at most `max`, each given out `within` so much time after its
    /// first message. A `max` of 0 is 1.
    ///
    /// A batch has a `next {subject}` span over the wait for it, which links to the creation context
    /// of each message. Messages of several subjects that were asked for by one pattern are known by
    /// it.
    ///
    /// What a stream delivers again unless it is acknowledged in time waits here too: `within` is
    /// a part of that time. Each message is acknowledged by itself, or by the last one of the batch
    /// where the consumer's policy is [`AckPolicy::All`](jetstream::consumer::AckPolicy::All).
    ///
    /// ```
    /// use std::time::Duration;
    /// use async_nats::jetstream::Message;
    /// use otel_messaging::{Batch, nats};
    ///
    /// # async fn store(orders: &Batch<Message>) -> anyhow::Result<()> { Ok(()) }
    /// async fn run(consumer: &nats::jetstream::Consumer) -> Result<(), async_nats::Error> {
    ///     let mut batches = consumer.messages().await?.batches(500, Duration::from_millis(100));
    ///     while let Some(batch) = batches.recv().await {
    ///         let batch = batch?;
    ///         batch.process(async |orders| store(orders).await).await?;
    ///         for order in &batch {
    ///             order.ack().await?;
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn batches(self, max: usize, within: Duration) -> Batches<S> {
        batch::Batches::new(Taken(self), max, within, |duration| {
            Box::pin(sleep(duration))
        })
    }
}

impl<S, E> batch::Batches<Taken<S>, jetstream::Message, E>
where
    S: Stream + Unpin,
    S::Item: Delivered,
    <S::Item as Deliver>::Received: Single<Message = jetstream::Message, Error = E>,
    E: Unpin,
{
    /// Receives the next batch; `None` at the end of the stream.
    ///
    /// # Errors
    ///
    /// The client's own error, as it came; the messages before it were in the batch before.
    ///
    /// # Cancel safety
    ///
    /// Messages that were taken stay here when the wait is dropped, and are in the next batch.
    pub async fn recv(&mut self) -> Option<Result<Batch<jetstream::Message>, E>> {
        self.next_batch().await
    }
}

impl<S> batch::Batches<Taken<S>, Message, Infallible>
where
    S: Stream + Unpin,
    S::Item: Delivered,
    <S::Item as Deliver>::Received: Single<Message = Message, Error = Infallible>,
{
    /// Receives the next batch; `None` at the end of the subscription, which
    /// [`inner_mut`](crate::Batches::inner_mut) can bring about:
    ///
    /// ```
    /// use async_nats::{Subscriber, UnsubscribeError};
    /// use otel_messaging::nats::Batches;
    ///
    /// async fn stop(batches: &mut Batches<Subscriber>) -> Result<(), UnsubscribeError> {
    ///     batches.inner_mut().drain().await
    /// }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Messages that were taken stay here when the wait is dropped, and are in the next batch.
    pub async fn recv(&mut self) -> Option<Batch<Message>> {
        self.next_batch().await.map(|Ok(batch)| batch)
    }
}

/// A stream whose messages are taken into batches. It derefs to the stream.
#[must_use = "streams do nothing unless polled"]
pub struct Taken<S>(Messages<S>)
where
    S: Stream,
    S::Item: Delivered;

/// A message that is taken into a batch is no receive operation of its own.
impl<S> Stream for Taken<S>
where
    S: Stream + Unpin,
    S::Item: Delivered,
    <S::Item as Deliver>::Received: Single,
{
    type Item = Result<
        Received<<<S::Item as Deliver>::Received as Single>::Message>,
        <<S::Item as Deliver>::Received as Single>::Error,
    >;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Messages { stream, origin, .. } = &mut self.0;
        let next = ready!(Pin::new(stream).poll_next(task));
        Poll::Ready(next.map(|item| item.deliver(origin, None).into_result()))
    }
}

impl<S> Deref for Taken<S>
where
    S: Stream,
    S::Item: Delivered,
{
    type Target = Messages<S>;

    fn deref(&self) -> &Messages<S> {
        &self.0
    }
}

impl<S> DerefMut for Taken<S>
where
    S: Stream,
    S::Item: Delivered,
{
    fn deref_mut(&mut self) -> &mut Messages<S> {
        &mut self.0
    }
}

impl<S> fmt::Debug for Taken<S>
where
    S: Stream,
    S::Item: Delivered,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Taken").field(&self.0).finish()
    }
}

/// A subscription's streams have no errors.
impl Single for Received<Message> {
    type Message = Message;
    type Error = Infallible;

    fn into_result(self) -> Result<Self, Infallible> {
        Ok(self)
    }
}

impl<E> Single for Result<Received<jetstream::Message>, E> {
    type Message = jetstream::Message;
    type Error = E;

    fn into_result(self) -> Self {
        self
    }
}
