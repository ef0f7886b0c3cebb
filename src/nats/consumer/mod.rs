//! Receiving messages.

mod batches;
pub(super) mod jetstream;
mod pull;
mod service;
mod stored;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_nats::client::SubscribeError;
use async_nats::{Client, Message, Subscriber, ToSubject, UnsubscribeError};
use futures_core::Stream;

pub use self::batches::{Batches, Taken};
pub use self::pull::{BatchBuilder, FetchBuilder, StreamBuilder};
use self::sealed::Deliver as _;
use super::attributes::{Identity, Patterns, Subscription, names_of_one};
use crate::engine::destination::Names;
use crate::engine::received::Received;
use crate::engine::received::sealed::MessageSource as _;
use crate::telemetry::{Moment, Telemetry};

/// A client whose subscriptions give messages that know the context that they were created in.
///
/// It subscribes as the client that it wraps does. Cloning is cheap and gives another handle to the
/// same client.
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

    /// Sets the address and port of the server that the client connects to. Unset: spans and metrics do
    /// not name the server.
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

    /// The client itself; what is received through it directly is not traced.
    #[must_use]
    pub const fn inner(&self) -> &Client {
        &self.client
    }

    /// Subscribes, as [`Client::subscribe`] does. A subject with wildcards stands for the subjects
    /// of the messages in names of spans and on metrics.
    ///
    /// # Errors
    ///
    /// The client's own error, as it came.
    pub async fn subscribe<S: ToSubject>(
        &self,
        subject: S,
    ) -> Result<Messages<Subscriber>, SubscribeError> {
        let subject = subject.to_subject();
        let subscription = self.subscription(&subject, None);
        let messages = self.client.subscribe(subject).await?;
        Ok(Messages::new(messages, subscription))
    }

    /// Subscribes as one of a group, as [`Client::queue_subscribe`] does; else as
    /// [`subscribe`](Self::subscribe). The group is the consumer group of its messages.
    ///
    /// # Errors
    ///
    /// The client's own error, as it came.
    pub async fn queue_subscribe<S: ToSubject>(
        &self,
        subject: S,
        queue_group: String,
    ) -> Result<Messages<Subscriber>, SubscribeError> {
        let subject = subject.to_subject();
        let subscription = self.subscription(&subject, Some(&queue_group));
        let messages = self.client.queue_subscribe(subject, queue_group).await?;
        Ok(Messages::new(messages, subscription))
    }

    fn subscription(&self, subject: &str, group: Option<&str>) -> Arc<Subscription> {
        Arc::new(Subscription::new(
            &self.telemetry,
            self.client.clone(),
            &self.identity,
            Patterns::one(subject),
            group,
            &self.names,
        ))
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("telemetry", &self.telemetry)
            .finish_non_exhaustive()
    }
}

/// A stream of the client's, whose messages are [`Received`].
///
/// It gives what the client's own stream gives, errors as they came.
#[must_use = "streams do nothing unless polled"]
pub struct Messages<S>
where
    S: Stream,
    S::Item: Delivered,
{
    stream: S,
    origin: Arc<<S::Item as sealed::Deliver>::Origin>,
    /// Set while the application waits, where that is a receive operation.
    waited_since: Option<Moment>,
}

impl<S> Messages<S>
where
    S: Stream,
    S::Item: Delivered,
{
    const fn new(stream: S, origin: Arc<<S::Item as sealed::Deliver>::Origin>) -> Self {
        Self {
            stream,
            origin,
            waited_since: None,
        }
    }

    /// The client's own stream; what is received from it directly is not traced.
    pub const fn inner(&self) -> &S {
        &self.stream
    }

    /// The client's own stream, to change it.
    pub const fn inner_mut(&mut self) -> &mut S {
        &mut self.stream
    }
}

impl Messages<Subscriber> {
    /// Ends the subscription at once, as [`Subscriber::unsubscribe`] does.
    ///
    /// # Errors
    ///
    /// The client's own error, as it came.
    pub async fn unsubscribe(&mut self) -> Result<(), UnsubscribeError> {
        self.stream.unsubscribe().await
    }

    /// Ends the subscription after so many messages, as [`Subscriber::unsubscribe_after`] does.
    ///
    /// # Errors
    ///
    /// The client's own error, as it came.
    pub async fn unsubscribe_after(&mut self, messages: u64) -> Result<(), UnsubscribeError> {
        self.stream.unsubscribe_after(messages).await
    }

    /// Ends the subscription when what the server has sent is received, as [`Subscriber::drain`]
    /// does.
    ///
    /// # Errors
    ///
    /// The client's own error, as it came.
    pub async fn drain(&mut self) -> Result<(), UnsubscribeError> {
        self.stream.drain().await
    }
}

impl<S> Stream for Messages<S>
where
    S: Stream + Unpin,
    S::Item: Delivered,
{
    type Item = <S::Item as sealed::Deliver>::Received;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        this.waited_since = this.waited_since.or_else(|| S::Item::wait(&this.origin));
        let next = ready!(Pin::new(&mut this.stream).poll_next(task));
        let since = this.waited_since.take();
        Poll::Ready(next.map(|item| item.deliver(&this.origin, since)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.size_hint()
    }
}

impl<S> fmt::Debug for Messages<S>
where
    S: Stream,
    S::Item: Delivered,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages").finish_non_exhaustive()
    }
}

/// What one of the client's streams gives: a message, or a result with one. Nobody else can
/// implement it.
pub trait Delivered: sealed::Deliver {}

impl<T: sealed::Deliver> Delivered for T {}

pub(super) mod sealed {
    use std::sync::Arc;

    use crate::engine::received::{Message, Received};
    use crate::telemetry::Moment;

    #[expect(unnameable_types, reason = "nobody else is to implement or call it")]
    pub trait Deliver {
        /// What is known of where it came from.
        type Origin;
        /// What the application is given.
        type Received;

        /// The begin of a wait, where it may have a span.
        fn wait(origin: &Self::Origin) -> Option<Moment>;
        /// Gives it to the application.
        fn deliver(self, origin: &Arc<Self::Origin>, since: Option<Moment>) -> Self::Received;
    }

    /// What the application is given one by one.
    #[expect(unnameable_types, reason = "nobody else is to implement or call it")]
    pub trait Single {
        /// The client's own message.
        type Message: Message;
        /// The client's own error.
        type Error;

        fn into_result(self) -> Result<Received<Self::Message>, Self::Error>;
    }
}

impl sealed::Deliver for Message {
    type Origin = Subscription;
    type Received = Received<Self>;

    fn wait(origin: &Subscription) -> Option<Moment> {
        origin.wait()
    }

    fn deliver(self, origin: &Arc<Subscription>, since: Option<Moment>) -> Received<Self> {
        Received::deliver(self, origin, since, |_| None)
    }
}
