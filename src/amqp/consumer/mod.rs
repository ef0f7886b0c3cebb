//! Receiving messages.

mod batches;
mod delegate;
mod get;
#[cfg(feature = "testing")]
mod testing;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use lapin::Channel;
use lapin::message::Delivery;
use lapin::types::ShortString;

pub use self::batches::Batches;
pub use self::delegate::{ConsumerDelegate, DeliveryResult};
#[cfg(feature = "testing")]
pub use self::testing::{TestConsumer, TestMessage};
use super::attributes::{ConnectionInfo, Source, error_type};
use crate::engine::received::sealed::MessageSource as _;
use crate::engine::received::{Received, receive_failed};
use crate::semconv::exception::ErrorDetails;
use crate::telemetry::{Moment, Telemetry};

/// A consumer whose deliveries know their creation context. The [module](crate::amqp) has an
/// example.
///
/// Over lapin's [`Consumer`](lapin::Consumer) it is a [`Stream`] of its deliveries. Over a
/// [`Channel`] it has [`basic_get`](Self::basic_get) and [`basic_consume`](Self::basic_consume). An
/// error of the client is an item of the stream, for
/// [`wait_for_recovery`](Channel::wait_for_recovery) for example. Cloning is as cheap as cloning
/// the client.
///
/// # Cancel safety
///
/// As for lapin's own stream: dropping a wait loses no delivery.
#[must_use = "a consumer is cancelled when its last handle is dropped"]
pub struct Consumer<C = lapin::Consumer> {
    client: C,
    source: Arc<Source>,
    /// Set while the application waits, where that is a receive operation.
    waited_since: Option<Moment>,
    /// Whoever polls it measures the wait.
    is_part_of_wait: bool,
}

impl<C: ConsumerClient> Consumer<C> {
    /// Wraps a client, whose queue is read from it. Its `connection` is `(&connection, uri)` or a
    /// [`ConnectionInfo`].
    pub fn wrap(telemetry: &Telemetry, connection: impl Into<ConnectionInfo>, client: C) -> Self {
        let source = Source {
            client: connection.into().client(telemetry),
            queue: client.queue(),
            is_temporary: false,
            receive_name: C::RECEIVE_NAME,
        };
        Self {
            source: Arc::new(source),
            client,
            waited_since: None,
            is_part_of_wait: false,
        }
    }
}

impl<C> Consumer<C> {
    /// Marks the queue as temporary, for example an exclusive one. Span names and metrics leave its
    /// name out. Unset: only queues with a name that the server generated are temporary.
    pub fn temporary_queue(mut self) -> Self {
        Arc::make_mut(&mut self.source).is_temporary = true;
        self
    }

    /// The client itself. What is received through it directly is not traced.
    pub const fn inner(&self) -> &C {
        &self.client
    }
}

impl Consumer<lapin::Consumer> {
    /// The tag of the consumer, as from [`lapin::Consumer::tag`].
    #[must_use]
    pub fn tag(&self) -> ShortString {
        self.client.tag()
    }

    /// The queue, as from [`lapin::Consumer::queue`].
    #[must_use]
    pub fn queue(&self) -> ShortString {
        self.client.queue()
    }
}

impl Stream for Consumer<lapin::Consumer> {
    type Item = lapin::Result<Received<Delivery>>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !self.is_part_of_wait {
            self.waited_since = self.waited_since.or_else(|| self.source.wait());
        }
        let next = ready!(Pin::new(&mut self.client).poll_next(task));
        let since = self.waited_since.take();
        if let (Some(Err(error)), Some(since)) = (&next, since) {
            record_failure(&self.source, None, since, error);
        }
        Poll::Ready(next.map(|item| {
            item.map(|delivery| Received::deliver(delivery, &self.source, since, |_| None))
        }))
    }
}

/// Records that receiving failed.
fn record_failure(source: &Source, batch: Option<usize>, since: Moment, error: &lapin::Error) {
    receive_failed(source, batch, since, error_type(error), || {
        ErrorDetails::from_error(error)
    });
}

impl<C: Clone> Clone for Consumer<C> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            source: Arc::clone(&self.source),
            waited_since: None,
            is_part_of_wait: false,
        }
    }
}

impl<C> fmt::Debug for Consumer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.source.client.shown("Consumer", f);
        if !self.source.queue.as_str().is_empty() {
            shown.field("queue", &self.source.queue.as_str());
        }
        shown.finish_non_exhaustive()
    }
}

/// A client that can be wrapped to receive: lapin's [`Consumer`](lapin::Consumer), or a
/// [`Channel`]. The trait is sealed.
pub trait ConsumerClient: sealed::Sealed {}

impl ConsumerClient for lapin::Consumer {}
impl ConsumerClient for Channel {}

mod sealed {
    use lapin::Channel;
    use lapin::types::ShortString;

    #[expect(unnameable_types, reason = "nobody else is to implement it")]
    pub trait Sealed {
        /// The protocol's verb for receiving.
        const RECEIVE_NAME: &'static str;

        /// The queue, where the client has just one.
        fn queue(&self) -> ShortString;
    }

    impl Sealed for lapin::Consumer {
        const RECEIVE_NAME: &'static str = "consume";

        fn queue(&self) -> ShortString {
            Self::queue(self)
        }
    }

    impl Sealed for Channel {
        const RECEIVE_NAME: &'static str = "get";

        fn queue(&self) -> ShortString {
            ShortString::default()
        }
    }
}
