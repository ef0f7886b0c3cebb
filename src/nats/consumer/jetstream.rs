//! Receiving by JetStream consumers.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::pull::{self, BatchError, MessagesError};
use async_nats::jetstream::consumer::{
    Config, Consumer as Client, Info, IntoConsumerConfig, StreamError, push,
};
use futures_core::Stream;

use super::pull::{BatchBuilder, FetchBuilder, StreamBuilder};
use super::sealed::Deliver;
use super::{Messages, unless_failed};
use crate::engine::received::Received;
use crate::engine::received::sealed::MessageSource as _;
use crate::nats::attributes::{ConsumerInfo, Identity, Patterns};
use crate::telemetry::{Moment, Telemetry};

/// A JetStream consumer whose messages know their creation context. The module
/// [`nats`](crate::nats) has an example of a batch.
///
/// It has the methods, results and waits of the consumer that it wraps. A filter with wildcards
/// replaces the subjects of the messages in span names and on metrics; without a filter, the name
/// of the stream does. The durable name is the consumer group. Cloning is cheap enough for a clone
/// in each task.
///
/// ```no_run
/// use async_nats::jetstream::AckKind;
/// use async_nats::jetstream::consumer::pull::Config;
/// use futures::TryStreamExt as _;
/// use otel_messaging::{Telemetry, nats};
///
/// # async fn handle(_: &[u8]) -> anyhow::Result<()> { Ok(()) }
/// # async fn run(stream: &async_nats::jetstream::stream::Stream) -> Result<(), async_nats::Error> {
/// let worker = stream.get_consumer::<Config>("worker").await?;
/// let worker = nats::jetstream::Consumer::wrap(&Telemetry::new(), worker);
/// let mut orders = worker.messages().await?;
/// while let Some(order) = orders.try_next().await? {
///     match order.process(async |order| handle(&order.payload).await).await {
///         Ok(()) => order.ack().await?,
///         // Once more; the loop of the module has a limit, and goes on after an error of the client.
///         Err(_) => order.ack_with(AckKind::Nak(None)).await?,
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Consumer<T: IntoConsumerConfig = pull::Config> {
    client: Client<T>,
    info: Arc<ConsumerInfo>,
}

impl<T: IntoConsumerConfig> Consumer<T> {
    /// Wraps a consumer. Its filter, group and stream are read from it.
    #[must_use]
    pub fn wrap(telemetry: &Telemetry, client: Client<T>) -> Self {
        Self::identified(telemetry, client, Identity::default())
    }

    fn identified(telemetry: &Telemetry, client: Client<T>, identity: Identity) -> Self {
        let Info {
            config,
            stream_name,
            ..
        } = client.cached_info();
        Self {
            info: Arc::new(known(telemetry, identity, stream_name, config)),
            client,
        }
    }

    /// Sets the address and port of the server that the client connects to. Unset: spans and
    /// metrics do not have them.
    #[must_use]
    pub fn server(self, address: &str, port: u16) -> Self {
        let identity = self.info.identity.clone().server(address, port);
        Self::identified(&self.info.client.telemetry, self.client, identity)
    }

    /// Sets the client's id. Unset: spans have none.
    #[must_use]
    pub fn client_id(self, id: &str) -> Self {
        let identity = self.info.identity.clone().client_id(id);
        Self::identified(&self.info.client.telemetry, self.client, identity)
    }

    /// The consumer itself, for its state. What is received through it directly is not traced.
    #[must_use]
    pub const fn inner(&self) -> &Client<T> {
        &self.client
    }

    /// The messages of a stream that the consumer itself has made, for streams with options that
    /// only [`inner`](Self::inner) has.
    pub fn messages_of<S, E>(&self, stream: S) -> Messages<S>
    where
        S: Stream<Item = Result<Message, E>>,
        E: fmt::Display + 'static,
    {
        Messages::new(stream, Arc::clone(&self.info))
    }
}

impl Consumer<pull::Config> {
    /// All messages as a stream, as the method of that name of `PullConsumer` has them.
    ///
    /// # Errors
    ///
    /// The error of that method.
    pub async fn messages(&self) -> Result<Messages<pull::Stream>, StreamError> {
        Ok(self.messages_of(self.client.messages().await?))
    }

    /// All messages as a stream with settings, as the method of that name of `PullConsumer` has
    /// them.
    pub fn stream(&self) -> StreamBuilder<'_> {
        StreamBuilder::new(self.client.stream(), &self.info)
    }

    /// The messages that are available, without a wait for more, as the method of that name of
    /// `PullConsumer` has them.
    pub fn fetch(&self) -> FetchBuilder<'_> {
        FetchBuilder::new(self.client.fetch(), &self.info)
    }

    /// A number of messages, with a wait for them, as the method of that name of `PullConsumer` has
    /// them.
    pub fn batch(&self) -> BatchBuilder<'_> {
        BatchBuilder::new(self.client.batch(), &self.info)
    }

    /// A stream of batches, as the method of that name of `PullConsumer` has them.
    ///
    /// # Errors
    ///
    /// The error of that method.
    pub fn sequence(&self, batch: usize) -> Result<Sequence, BatchError> {
        Ok(Sequence {
            batches: self.client.sequence(batch)?,
            info: Arc::clone(&self.info),
            waited_since: None,
        })
    }
}

impl Consumer<pull::OrderedConfig> {
    /// All messages in the order of the stream, as the method of that name of an ordered
    /// `PullConsumer` has them.
    ///
    /// # Errors
    ///
    /// The error of that method.
    pub async fn messages(self) -> Result<Messages<pull::Ordered>, StreamError> {
        let stream = self.client.messages().await?;
        Ok(Messages::new(stream, self.info))
    }
}

impl Consumer<push::Config> {
    /// All messages that the server sends, as the method of that name of `PushConsumer` has them.
    ///
    /// # Errors
    ///
    /// The error of that method.
    pub async fn messages(&self) -> Result<Messages<push::Messages>, StreamError> {
        Ok(self.messages_of(self.client.messages().await?))
    }
}

impl Consumer<push::OrderedConfig> {
    /// All messages in the order of the stream, as the method of that name of an ordered
    /// `PushConsumer` has them.
    ///
    /// # Errors
    ///
    /// The error of that method.
    pub async fn messages(self) -> Result<Messages<push::Ordered>, StreamError> {
        let stream = self.client.messages().await?;
        Ok(Messages::new(stream, self.info))
    }
}

impl<T: IntoConsumerConfig + Clone> Clone for Consumer<T> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            info: Arc::clone(&self.info),
        }
    }
}

impl<T: IntoConsumerConfig> fmt::Debug for Consumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.info.shown("Consumer", f).finish_non_exhaustive()
    }
}

/// A stream of batches, from [`Consumer::sequence`]. The messages of a batch are [`Received`] when
/// the batch is read.
///
/// # Cancel safety
///
/// As for the client's own stream: dropping a wait loses no batch.
#[must_use = "streams do nothing unless polled"]
pub struct Sequence {
    batches: pull::Sequence,
    info: Arc<ConsumerInfo>,
    /// Set while a batch is asked for, which may fail.
    waited_since: Option<Moment>,
}

impl Stream for Sequence {
    type Item = Result<Messages<pull::Batch>, MessagesError>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.waited_since = self.waited_since.or_else(|| self.info.wait());
        let next = ready!(Pin::new(&mut self.batches).poll_next(task));
        let since = self.waited_since.take();
        Poll::Ready(next.map(|batch| {
            let batch = unless_failed(batch, &*self.info, since)?;
            Ok(Messages::new(batch, Arc::clone(&self.info)))
        }))
    }
}

impl fmt::Debug for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.info.shown("Sequence", f).finish_non_exhaustive()
    }
}

impl<E: fmt::Display + 'static> Deliver for Result<Message, E> {
    type Source = ConsumerInfo;
    type Message = Message;
    type Error = E;
    type Received = Result<Received<Message>, E>;

    fn deliver(
        self,
        source: &Arc<ConsumerInfo>,
        since: Option<Moment>,
    ) -> Result<Received<Message>, E> {
        let message = self?;
        let subscription = source.subscription(&message);
        let received = Received::deliver(message, subscription, since, |message| {
            Some(message.info().ok()?.pending)
        });
        Ok(received)
    }

    fn give(delivered: Self::Received) -> Self::Received {
        delivered
    }
}

/// What is known of a consumer of a stream.
pub(super) fn known(
    telemetry: &Telemetry,
    identity: Identity,
    stream: &str,
    config: &Config,
) -> ConsumerInfo {
    let patterns = Patterns::of_consumer(filters(config), stream);
    ConsumerInfo::new(telemetry, identity, patterns, group(config))
}

/// The durable name, or of the consumers that the server sends to the group that they share.
fn group(config: &Config) -> Option<String> {
    let durable = config.durable_name.as_ref();
    durable.or(config.deliver_group.as_ref()).cloned()
}

fn filters(config: &Config) -> Vec<String> {
    let one = Some(&config.filter_subject).filter(|filter| !filter.is_empty());
    one.into_iter()
        .chain(&config.filter_subjects)
        .cloned()
        .collect()
}
