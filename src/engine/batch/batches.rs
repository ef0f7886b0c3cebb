//! [`Batches`]: messages of a stream, taken by count and time.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;

use super::Batch;
use crate::engine::received::{Message, Received};
use crate::telemetry::Moment;

/// A wait, by a timer of the client's own runtime.
pub(crate) type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Messages that are taken at a time.
const TURN: usize = 128;

/// A stream of batches of messages, limited by count and time.
///
/// A wrapped consumer makes it: `kafka::Consumer::batches`, `amqp::Consumer::batches` and
/// `nats::Messages::batches` have examples. A batch ends when it has the most messages, or when the
/// time since its first message is over. It is never empty: the wait for a first message has no
/// limit. An error of the client ends a batch with the messages before it, and is the next item.
///
/// # Cancel safety
///
/// Dropping a wait loses no message: messages that were taken are in the next batch. Keep the batches themselves for as
/// long as the consumer: dropping them drops the messages that were taken for the next batch. What settles or commits
/// all messages up to a later one settles these too, and they are never processed.
#[must_use = "streams do nothing unless polled"]
pub struct Batches<S: Stream, M: Message, E> {
    stream: S,
    max: usize,
    within: Duration,
    delay: Box<dyn Fn(Duration) -> Sleep + Send + Sync>,
    record_failure: fn(&S, Moment, &E),
    taken: Vec<Received<M>>,
    since: Option<Moment>,
    /// Set from the first message of a batch on.
    deadline: Option<Sleep>,
    failed: Option<E>,
    has_ended: bool,
}

impl<S, M, E> Batches<S, M, E>
where
    S: Stream<Item = Result<Received<M>, E>> + Unpin,
    M: Message,
{
    /// `record_failure` records a wait that ended with an error; the stream itself does not.
    pub(crate) fn new(
        stream: S,
        max: usize,
        within: Duration,
        delay: impl Fn(Duration) -> Sleep + Send + Sync + 'static,
        record_failure: fn(&S, Moment, &E),
    ) -> Self {
        Self {
            stream,
            max: max.max(1),
            within,
            delay: Box::new(delay),
            record_failure,
            taken: Vec::new(),
            since: None,
            deadline: None,
            failed: None,
            has_ended: false,
        }
    }

    /// The next batch; `None` at the end of the stream.
    ///
    /// A wait that was given up counts only if it took messages.
    pub(crate) async fn next_batch(&mut self) -> Option<Result<Batch<M>, E>>
    where
        M: Unpin,
        E: Unpin,
    {
        if self.taken.is_empty() {
            self.since = None;
        }
        poll_fn(|task| Pin::new(&mut *self).poll_next(task)).await
    }

    /// Takes messages until the batch has its end.
    fn poll_taken(&mut self, task: &mut Context<'_>) -> Poll<()> {
        while !self.has_ended && self.failed.is_none() && self.taken.len() < self.max {
            match Pin::new(&mut self.stream).poll_next(task) {
                Poll::Ready(Some(Ok(message))) => {
                    self.taken.push(message);
                    if self.taken.len().is_multiple_of(TURN) && self.taken.len() < self.max {
                        // A stream that never waits leaves no time for the timer, or for others.
                        task.waker().wake_by_ref();
                        return self.poll_deadline(task);
                    }
                }
                Poll::Ready(Some(Err(error))) => self.failed = Some(error),
                Poll::Ready(None) => self.has_ended = true,
                Poll::Pending if self.taken.is_empty() => return Poll::Pending,
                Poll::Pending => return self.poll_deadline(task),
            }
        }
        Poll::Ready(())
    }

    fn poll_deadline(&mut self, task: &mut Context<'_>) -> Poll<()> {
        let deadline = &mut self.deadline;
        let deadline = deadline.get_or_insert_with(|| (self.delay)(self.within));
        deadline.as_mut().poll(task)
    }
}

impl<S: Stream, M: Message, E> Batches<S, M, E> {
    /// The stream that the messages are taken from, to change it. Messages that are received from
    /// it directly are in no batch.
    pub const fn inner_mut(&mut self) -> &mut S {
        &mut self.stream
    }
}

impl<S, M, E> Stream for Batches<S, M, E>
where
    S: Stream<Item = Result<Received<M>, E>> + Unpin,
    M: Message + Unpin,
    E: Unpin,
{
    type Item = Result<Batch<M>, E>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let since = *self.since.get_or_insert_with(Moment::now);
        ready!(self.poll_taken(task));
        self.since = None;
        self.deadline = None;
        if !self.taken.is_empty() {
            let taken = std::mem::take(&mut self.taken);
            return Poll::Ready(Some(Ok(Batch::received(taken, since))));
        }
        let failed = self.failed.take();
        if let Some(error) = &failed {
            (self.record_failure)(&self.stream, since, error);
        }
        Poll::Ready(failed.map(Err))
    }
}

impl<S: Stream, M: Message, E> fmt::Debug for Batches<S, M, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batches")
            .field("max", &self.max)
            .field("within", &self.within)
            .field("taken", &self.taken.len())
            .finish_non_exhaustive()
    }
}
