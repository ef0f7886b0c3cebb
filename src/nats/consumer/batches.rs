//! Receiving messages in batches.

use std::convert::Infallible;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_nats::service::Request;
use async_nats::{Message, jetstream};
use futures_core::Stream;
use tokio::time::sleep;

use super::sealed::Deliver as _;
use super::{Deliveries, Messages, record_failure};
use crate::engine::batch::{self, Batch};
use crate::engine::received::Received;

/// The messages of one of the client's streams in [batches](crate::Batches), from
/// [`Messages::batches`].
pub type Batches<S> =
    batch::Batches<Taken<S>, <S as Deliveries>::Message, <S as Deliveries>::Error>;

impl<S: Deliveries + Unpin> Messages<S> {
    /// The messages in batches of at most `max` messages. Each batch ends `within` this time after
    /// its first message. A `max` of 0 is 1.
    ///
    /// The wait for a batch has a `next {subject}` span, which links to the creation context of
    /// each message. The pattern or the filter replaces the subjects of messages of several.
    ///
    /// A stream delivers a message again if it is not acknowledged in time. The time in an
    /// incomplete batch, up to `within`, is part of that, and so is the time in the client, which asks for 200 messages
    /// at a time unless [`max_messages_per_batch`](super::StreamBuilder::max_messages_per_batch) says less; set a
    /// `heartbeat` with it, as the client does otherwise. Acknowledge each message, or only the
    /// last one of the batch if the consumer has
    /// [`AckPolicy::All`](jetstream::consumer::AckPolicy::All). That acknowledges all messages before it too,
    /// whoever has them: let nobody else receive from such a consumer, and keep the [`Batches`], since what it has taken
    /// for its next batch is dropped with it. Clients of a micro-service wait for their answers during that time too.
    ///
    /// ```
    /// use std::time::Duration;
    /// use async_nats::jetstream::{AckKind, Message};
    /// use otel_messaging::{Batch, nats};
    ///
    /// # async fn store(orders: &Batch<Message>) -> anyhow::Result<()> { Ok(()) }
    /// // An error of the client ends it; then call it again, as the loop of the module does.
    /// async fn run(consumer: &nats::jetstream::Consumer) -> Result<(), async_nats::Error> {
    ///     let mut batches = consumer.messages().await?.batches(500, Duration::from_millis(100));
    ///     while let Some(batch) = batches.recv().await {
    ///         let batch = batch?;
    ///         let stored = batch.process(async |orders| store(orders).await).await;
    ///         for order in &batch {
    ///             let later = AckKind::Nak(Some(Duration::from_secs(1)));
    ///             order.ack_with(if stored.is_ok() { AckKind::Ack } else { later }).await?;
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn batches(self, max: usize, within: Duration) -> Batches<S> {
        batch::Batches::new(
            Taken(self),
            max,
            within,
            |duration| Box::pin(sleep(duration)),
            |taken, since, error| record_failure(&*taken.0.source, Some(0), since, error),
        )
    }
}

impl<S, E> batch::Batches<Taken<S>, jetstream::Message, E>
where
    S: Deliveries<Message = jetstream::Message, Error = E> + Unpin,
    E: Unpin,
{
    /// Receives the next batch. `None` at the end of the stream.
    ///
    /// # Errors
    ///
    /// The error of the client's own stream. The messages before it were in the batch before.
    ///
    /// # Cancel safety
    ///
    /// Dropping the wait loses no message: messages that were taken are in the next batch.
    pub async fn recv(&mut self) -> Option<Result<Batch<jetstream::Message>, E>> {
        self.next_batch().await
    }
}

impl<S> batch::Batches<Taken<S>, Message, Infallible>
where
    S: Deliveries<Message = Message, Error = Infallible> + Unpin,
{
    /// Receives the next batch. `None` at the end of the subscription, which
    /// [`inner_mut`](crate::Batches::inner_mut) can cause:
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
    /// Dropping the wait loses no message: messages that were taken are in the next batch.
    pub async fn recv(&mut self) -> Option<Batch<Message>> {
        self.next_batch().await.map(|Ok(batch)| batch)
    }
}

impl<S> batch::Batches<Taken<S>, Request, Infallible>
where
    S: Deliveries<Message = Request, Error = Infallible> + Unpin,
{
    /// Receives the next batch of requests to a micro-service. `None` when its endpoint has
    /// stopped.
    ///
    /// # Cancel safety
    ///
    /// Dropping the wait loses no request: requests that were taken are in the next batch.
    pub async fn recv(&mut self) -> Option<Batch<Request>> {
        self.next_batch().await.map(|Ok(batch)| batch)
    }
}

/// The stream under [`Batches`], whose messages are taken into batches. It derefs to the [`Messages`] that
/// it takes from.
#[must_use = "streams do nothing unless polled"]
pub struct Taken<S: Deliveries>(Messages<S>);

/// A message that is taken into a batch is no receive operation of its own.
impl<S: Deliveries + Unpin> Stream for Taken<S> {
    type Item = Result<Received<S::Message>, S::Error>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Messages { stream, source, .. } = &mut self.0;
        let next = ready!(Pin::new(stream).poll_next(task));
        Poll::Ready(next.map(|item| item.deliver(source, None)))
    }
}

impl<S: Deliveries> Deref for Taken<S> {
    type Target = Messages<S>;

    fn deref(&self) -> &Messages<S> {
        &self.0
    }
}

impl<S: Deliveries> DerefMut for Taken<S> {
    fn deref_mut(&mut self) -> &mut Messages<S> {
        &mut self.0
    }
}

impl<S: Deliveries> fmt::Debug for Taken<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Taken").field(&self.0).finish()
    }
}
