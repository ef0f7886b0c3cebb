//! Receiving messages.

mod base;
mod batches;
mod client;
mod queue;
mod received;
#[cfg(feature = "testing")]
mod testing;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use rdkafka::client::Client;
use rdkafka::consumer::{self as rd, Consumer as _, ConsumerContext, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Message as _};

pub use self::base::Iter;
pub use self::batches::Batches;
pub use self::queue::{PartitionQueue, StreamPartitionQueue};
#[cfg(feature = "testing")]
pub use self::testing::{TestConsumer, TestMessage};
use super::attributes::{ClientInfo, PartitionInfo, error_type};
use super::native;
use crate::engine::received::sealed::MessageSource as _;
use crate::engine::received::{Received, receive_failed};
use crate::semconv::exception::ErrorDetails;
use crate::telemetry::{Moment, Telemetry};

/// A consumer whose messages know their creation context. The [module](crate::kafka) has an
/// example.
///
/// It has the methods, results and waits of the client that it wraps. The methods of rdkafka's
/// [`Consumer`](rd::Consumer) trait (`subscribe`, `seek`, `commit`) are available when the trait is
/// in scope, as `Consumer as _`; those that commit have spans.
/// [`commit_message`](Self::commit_message) also accepts a [`Received`] message. Cloning is cheap
/// and gives another handle to the same client.
#[must_use = "a consumer stops when its last handle is dropped"]
pub struct Consumer<C = StreamConsumer> {
    pub(super) client: Arc<C>,
    pub(super) info: Arc<ClientInfo>,
}

impl<C> Consumer<C> {
    /// Wraps a client. Its client id, group and servers are read from it.
    pub fn wrap<X>(telemetry: &Telemetry, client: C) -> Self
    where
        C: rd::Consumer<X> + ConsumerClient,
        X: ConsumerContext,
    {
        Self {
            info: Arc::new(ClientInfo::read(telemetry, client.client())),
            client: Arc::new(client),
        }
    }

    /// The client itself. What is received or committed through it directly is not traced.
    #[must_use]
    pub fn inner(&self) -> &C {
        &self.client
    }
}

impl<X, R> Consumer<StreamConsumer<X, R>>
where
    X: ConsumerContext + 'static,
{
    /// Receives the next message, as [`StreamConsumer::recv`] does.
    ///
    /// # Errors
    ///
    /// The error of [`StreamConsumer::recv`].
    ///
    /// # Cancel safety
    ///
    /// As for [`StreamConsumer::recv`]: dropping the future loses no message.
    pub async fn recv(&self) -> KafkaResult<Received<BorrowedMessage<'_>>> {
        let since = self.info.wait();
        let message = self.client.recv().await;
        received(message, &self.info, None, self.client.client(), since)
    }

    /// The messages as a stream, as from [`StreamConsumer::stream`].
    pub fn stream(&self) -> MessageStream<'_, X> {
        MessageStream {
            stream: self.client.stream(),
            info: &self.info,
            partition: None,
            client: self.client.client(),
            waited_since: None,
            is_part_of_wait: false,
        }
    }
}

/// A client of rdkafka that can be wrapped to receive: a [`BaseConsumer`](rd::BaseConsumer) or a
/// [`StreamConsumer`]. The trait is sealed.
///
/// A wrapped consumer cannot be wrapped again, because each commit would have two spans:
///
/// ```compile_fail,E0277
/// use otel_messaging::{Telemetry, kafka};
///
/// fn wrapped_twice(consumer: kafka::Consumer) {
///     let _consumer = kafka::Consumer::wrap(&Telemetry::new(), consumer);
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no client of rdkafka's that could be wrapped",
    label = "neither a `BaseConsumer` nor a `StreamConsumer`"
)]
pub trait ConsumerClient: sealed::Sealed {}

impl<C: sealed::Sealed> ConsumerClient for C {}

mod sealed {
    use rdkafka::consumer::{BaseConsumer, ConsumerContext, StreamConsumer};

    #[expect(unnameable_types, reason = "nobody else is to implement it")]
    pub trait Sealed {}

    impl<X: ConsumerContext> Sealed for BaseConsumer<X> {}

    impl<X: ConsumerContext, R> Sealed for StreamConsumer<X, R> {}
}

/// What every way of receiving does with what the client gives.
fn received<'a, X: ConsumerContext>(
    received: KafkaResult<BorrowedMessage<'a>>,
    info: &Arc<ClientInfo>,
    partition: Option<&PartitionInfo>,
    client: &Client<X>,
    waited_since: Option<Moment>,
) -> KafkaResult<Received<BorrowedMessage<'a>>> {
    info.learn_cluster_id(client);
    match received {
        Ok(message) => Ok(Received::deliver(message, info, waited_since, |message| {
            let end = native::high_watermark(client, message.topic(), message.partition())?;
            u64::try_from(end.saturating_sub(message.offset().saturating_add(1))).ok()
        })),
        Err(error) => {
            if let Some(since) = waited_since {
                record_failure(info, partition, None, since, &error);
            }
            Err(error)
        }
    }
}

/// Records that receiving failed. That a partition has no more messages for now is no failure: a
/// consumer has to ask to be told so.
fn record_failure(
    info: &Arc<ClientInfo>,
    partition: Option<&PartitionInfo>,
    batch: Option<usize>,
    since: Moment,
    error: &KafkaError,
) {
    let (of_type, details) = (error_type(error), || ErrorDetails::from_error(error));
    match partition {
        _ if matches!(error, KafkaError::PartitionEOF(_)) => {}
        Some(partition) => receive_failed(partition, batch, since, of_type, details),
        None => receive_failed(&**info, batch, since, of_type, details),
    }
}

impl<C> Clone for Consumer<C> {
    fn clone(&self) -> Self {
        Self {
            client: Arc::clone(&self.client),
            info: Arc::clone(&self.info),
        }
    }
}

impl<C> fmt::Debug for Consumer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.info
            .client
            .shown("Consumer", f)
            .finish_non_exhaustive()
    }
}

/// A stream of received messages, from [`Consumer::stream`]. It never ends; an error of the client
/// is an item. [`Batch`](crate::Batch) has an example.
///
/// # Cancel safety
///
/// As for rdkafka's own [`MessageStream`](rd::MessageStream): dropping a wait loses no message.
#[must_use = "streams do nothing unless polled"]
pub struct MessageStream<'a, X: ConsumerContext> {
    stream: rd::MessageStream<'a, X>,
    info: &'a Arc<ClientInfo>,
    /// The one partition whose messages they are.
    partition: Option<&'a PartitionInfo>,
    client: &'a Client<X>,
    /// Set while the application waits, where that is a receive operation.
    waited_since: Option<Moment>,
    /// Whoever polls it measures the wait.
    is_part_of_wait: bool,
}

impl<'a, X: ConsumerContext> Stream for MessageStream<'a, X> {
    type Item = KafkaResult<Received<BorrowedMessage<'a>>>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !self.is_part_of_wait {
            self.waited_since = self.waited_since.or_else(|| self.info.wait());
        }
        let next = ready!(Pin::new(&mut self.stream).poll_next(task));
        let since = self.waited_since.take();
        let (info, partition, client) = (self.info, self.partition, self.client);
        Poll::Ready(next.map(|message| received(message, info, partition, client, since)))
    }
}

impl<X: ConsumerContext> fmt::Debug for MessageStream<'_, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.info
            .client
            .shown("MessageStream", f)
            .finish_non_exhaustive()
    }
}
