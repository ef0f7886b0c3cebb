//! Receiving messages.

mod batches;
pub(super) mod jetstream;
mod pull;
mod service;
mod stored;
#[cfg(feature = "testing")]
pub(super) mod testing;

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_nats::client::SubscribeError;
use async_nats::{Client, Message, Subscriber, ToSubject, UnsubscribeError};
use futures_core::Stream;

pub use self::batches::{Batches, Taken};
pub use self::pull::{BatchBuilder, FetchBuilder, StreamBuilder};
use self::sealed::Deliver;
#[cfg(feature = "testing")]
pub use self::testing::{TestConsumer, TestMessage};
use super::attributes::{Identity, Patterns, Subscription, names_of_one, of_receive};
use crate::engine::destination::Names;
use crate::engine::received::sealed::MessageSource;
use crate::engine::received::{self as engine, Received, receive_failed};
use crate::semconv::exception::ErrorDetails;
use crate::telemetry::{Moment, Telemetry};

/// A client whose subscriptions deliver messages that know their creation context. The
/// [module](crate::nats) has an example.
///
/// It has the methods, results and waits of the client that it wraps, to subscribe. Cloning is
/// cheap and gives another handle to the same client.
#[derive(Clone)]
pub struct Consumer {
    client: Client,
    identity: Identity,
    telemetry: Telemetry,
    /// Those of all its subscriptions.
    names: Arc<Names>,
}

impl Consumer {
    /// Wraps a client.
    #[must_use]
    pub fn wrap(telemetry: &Telemetry, client: Client) -> Self {
        Self {
            client,
            identity: Identity::default(),
            telemetry: telemetry.clone(),
            names: names_of_one(telemetry),
        }
    }

    /// Sets the address and port of the server that the client connects to. Unset: spans and
    /// metrics do not have them.
    #[must_use]
    pub fn server(self, address: &str, port: u16) -> Self {
        Self {
            identity: self.identity.server(address, port),
            ..self
        }
    }

    /// Sets the client's id. Unset: spans have none.
    #[must_use]
    pub fn client_id(self, id: &str) -> Self {
        Self {
            identity: self.identity.client_id(id),
            ..self
        }
    }

    /// The client itself. What is received through it directly is not traced.
    #[must_use]
    pub const fn inner(&self) -> &Client {
        &self.client
    }

    /// Subscribes, as [`Client::subscribe`] does. A subject with wildcards replaces the subjects of
    /// the messages in span names and on metrics.
    ///
    /// # Errors
    ///
    /// The error of [`Client::subscribe`].
    pub async fn subscribe<S: ToSubject>(
        &self,
        subject: S,
    ) -> Result<Messages<Subscriber>, SubscribeError> {
        let subject = subject.to_subject();
        let subscription = self.subscription(&subject, None);
        let messages = self.client.subscribe(subject).await?;
        Ok(Messages::new(messages, Arc::new(subscription)))
    }

    /// Subscribes in a group, as [`Client::queue_subscribe`] does. It is the consumer group of the
    /// messages. Names are as for [`subscribe`](Self::subscribe).
    ///
    /// # Errors
    ///
    /// The error of [`Client::queue_subscribe`].
    pub async fn queue_subscribe<S: ToSubject>(
        &self,
        subject: S,
        queue_group: String,
    ) -> Result<Messages<Subscriber>, SubscribeError> {
        let subject = subject.to_subject();
        let subscription = self.subscription(&subject, Some(&queue_group));
        let messages = self.client.queue_subscribe(subject, queue_group).await?;
        Ok(Messages::new(messages, Arc::new(subscription)))
    }

    fn subscription(&self, subject: &str, group: Option<&str>) -> Subscription {
        Subscription::new(
            &self.telemetry,
            &self.client,
            &self.identity,
            Patterns::one(subject),
            group,
            &self.names,
        )
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.identity
            .known(&self.telemetry, None, &self.names)
            .shown("Consumer", f)
            .finish_non_exhaustive()
    }
}

/// A stream of [`Received`] messages, over one of the client's own streams. [`Consumer::subscribe`]
/// and [`jetstream::Consumer`](crate::nats::jetstream::Consumer) return it.
///
/// Its items are those of the client's stream; an error of the client is an item.
///
/// # Cancel safety
///
/// As for the client's own streams: dropping a wait loses no message.
#[must_use = "streams do nothing unless polled"]
pub struct Messages<S: Deliveries> {
    stream: S,
    source: Arc<<S::Item as Deliver>::Source>,
    /// Set while the application waits, where that is a receive operation.
    waited_since: Option<Moment>,
}

impl<S: Deliveries> Messages<S> {
    const fn new(stream: S, source: Arc<<S::Item as Deliver>::Source>) -> Self {
        Self {
            stream,
            source,
            waited_since: None,
        }
    }

    /// The client's own stream. What is received from it directly is not traced.
    pub const fn inner(&self) -> &S {
        &self.stream
    }

    /// The client's own stream, to change it.
    pub const fn inner_mut(&mut self) -> &mut S {
        &mut self.stream
    }
}

impl Messages<Subscriber> {
    /// Ends the subscription, as [`Subscriber::unsubscribe`] does: it takes no more from the server.
    /// What the client has already is still received.
    ///
    /// # Errors
    ///
    /// The error of [`Subscriber::unsubscribe`].
    pub async fn unsubscribe(&mut self) -> Result<(), UnsubscribeError> {
        self.stream.unsubscribe().await
    }

    /// Ends the subscription after this number of messages, as [`Subscriber::unsubscribe_after`]
    /// does.
    ///
    /// # Errors
    ///
    /// The error of [`Subscriber::unsubscribe_after`].
    pub async fn unsubscribe_after(&mut self, messages: u64) -> Result<(), UnsubscribeError> {
        self.stream.unsubscribe_after(messages).await
    }

    /// Ends the subscription when the messages that the server has sent are received, as
    /// [`Subscriber::drain`] does.
    ///
    /// # Errors
    ///
    /// The error of [`Subscriber::drain`].
    pub async fn drain(&mut self) -> Result<(), UnsubscribeError> {
        self.stream.drain().await
    }
}

impl<S: Deliveries + Unpin> Stream for Messages<S> {
    type Item = S::Received;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        this.waited_since = this.waited_since.or_else(|| this.source.wait());
        let next = ready!(Pin::new(&mut this.stream).poll_next(task));
        let since = this.waited_since.take();
        Poll::Ready(next.map(|item| {
            let delivered = item.deliver(&this.source, since);
            S::Item::give(unless_failed(delivered, &*this.source, since))
        }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.size_hint()
    }
}

impl<S: Deliveries> fmt::Debug for Messages<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let client = self.source.client();
        client.shown("Messages", f).finish_non_exhaustive()
    }
}

/// What the client gives, or else a receive operation that failed.
fn unless_failed<T, E: fmt::Display + 'static>(
    result: Result<T, E>,
    source: &impl MessageSource,
    since: Option<Moment>,
) -> Result<T, E> {
    if let (Err(error), Some(since)) = (&result, since) {
        record_failure(source, None, since, error);
    }
    result
}

/// Records that receiving failed.
fn record_failure<E: fmt::Display + 'static>(
    source: &impl MessageSource,
    batch: Option<usize>,
    since: Moment,
    error: &E,
) {
    receive_failed(source, batch, since, of_receive(error), || {
        ErrorDetails::displayed(error)
    });
}

/// One of the client's streams: of messages, or of results with them. The trait is sealed.
///
/// | items of the stream | `Received` | `Error` |
/// |---|---|---|
/// | [`Message`] | `Received<Message>` | `Infallible` |
/// | [`service::Request`](async_nats::service::Request) | `Received<service::Request>` | `Infallible` |
/// | `Result<jetstream::Message, E>` | `Result<Received<jetstream::Message>, E>` | `E` |
pub trait Deliveries:
    Stream<
    Item: Deliver<
        Received = <Self as Deliveries>::Received,
        Message = <Self as Deliveries>::Message,
        Error = <Self as Deliveries>::Error,
    >,
>
{
    /// Item of [`Messages`].
    type Received;
    /// The client's own message.
    type Message: engine::Message;
    /// The client's own error.
    type Error: fmt::Display + 'static;
}

impl<S: Stream<Item: Deliver>> Deliveries for S {
    type Received = <S::Item as Deliver>::Received;
    type Message = <S::Item as Deliver>::Message;
    type Error = <S::Item as Deliver>::Error;
}

pub(super) mod sealed {
    use std::fmt;
    use std::sync::Arc;

    use crate::engine::received::sealed::MessageSource;
    use crate::engine::received::{Message, Received};
    use crate::telemetry::Moment;

    /// What a stream of the client's gives.
    #[expect(unnameable_types, reason = "nobody else is to implement or call it")]
    pub trait Deliver {
        /// What is known of where it came from.
        type Source: MessageSource;
        type Message: Message;
        type Error: fmt::Display + 'static;
        type Received;

        fn deliver(
            self,
            source: &Arc<Self::Source>,
            since: Option<Moment>,
        ) -> Result<Received<Self::Message>, Self::Error>;
        /// Gives it to the application as the client does, which has no result where it has no error.
        fn give(delivered: Result<Received<Self::Message>, Self::Error>) -> Self::Received;
    }
}

impl Deliver for Message {
    type Source = Subscription;
    type Message = Self;
    type Error = Infallible;
    type Received = Received<Self>;

    fn deliver(
        self,
        source: &Arc<Subscription>,
        since: Option<Moment>,
    ) -> Result<Received<Self>, Infallible> {
        Ok(Received::deliver(self, source, since, |_| None))
    }

    fn give(Ok(message): Result<Received<Self>, Infallible>) -> Received<Self> {
        message
    }
}
