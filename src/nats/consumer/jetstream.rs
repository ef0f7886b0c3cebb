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

use super::Messages;
use super::pull::{BatchBuilder, FetchBuilder, StreamBuilder};
use super::sealed::Deliver;
use crate::engine::received::Received;
use crate::nats::attributes::{ConsumerInfo, Identity, Patterns};
use crate::telemetry::{Moment, Telemetry};

/// A JetStream consumer whose messages know the context that they were created in.
///
/// It receives as the consumer that it wraps does. Its filter stands for the subjects of its
/// messages in names of spans and on metrics where it has wildcards; where it has no filter, its
/// stream does. Its durable name is the consumer group. Cloning is cheap enough for each task to
/// have its own.
pub struct Consumer<T: IntoConsumerConfig = pull::Config> {
    client: Client<T>,
    info: Arc<ConsumerInfo>,
}

impl<T: IntoConsumerConfig> Consumer<T> {
    /// Wraps a consumer. What it asks for is read from it.
    #[must_use]
    pub fn wrap(telemetry: &Telemetry, client: Client<T>) -> Self {
        Self::identified(telemetry, client, Identity::default())
    }

    fn identified(telemetry: &Telemetry, client: Client<T>, identity: Identity) -> Self {
        let info = client.cached_info();
        let patterns = Patterns::of_consumer(filters(&info.config), &info.stream_name);
        let info = ConsumerInfo::new(telemetry, identity, patterns, group(info));
        Self {
            info: Arc::new(info),
            client,
        }
    }

    /// Sets the address and port of the server that the client connects to. Unset: spans and metrics do
    /// not name the server.
    #[must_use]
    pub fn server(self, address: &str, port: u16) -> Self {
        let identity = self.info.identity.clone().server(address, port);
        Self::identified(&self.info.telemetry, self.client, identity)
    }

    /// Sets the client's id. Unset: spans have none.
    #[must_use]
    pub fn client_id(self, id: &str) -> Self {
        let identity = self.info.identity.clone().client_id(id);
        Self::identified(&self.info.telemetry, self.client, identity)
    }

    /// The consumer itself, to ask for its state; what is received by it directly is not traced.
    #[must_use]
    pub const fn inner(&self) -> &Client<T> {
        &self.client
    }

    /// Gives the messages of a stream that the consumer itself has made, as ours would be.
    ///
    /// For streams that are made with options that only [`inner`](Self::inner) has.
    pub fn messages_of<S, E>(&self, stream: S) -> Messages<S>
    where
        S: Stream<Item = Result<Message, E>>,
    {
        Messages::new(stream, Arc::clone(&self.info))
    }
}

impl Consumer<pull::Config> {
    /// All messages as a stream, as the consumer's own method has them.
    ///
    /// # Errors
    ///
    /// The client's own error, as it came.
    pub async fn messages(&self) -> Result<Messages<pull::Stream>, StreamError> {
        Ok(self.messages_of(self.client.messages().await?))
    }

    /// All messages as a stream that is set up first, as the consumer's own method has it.
    pub fn stream(&self) -> StreamBuilder<'_> {
        StreamBuilder::new(self.client.stream(), &self.info)
    }

    /// Some messages, those that there are, as the consumer's own method has them.
    pub fn fetch(&self) -> FetchBuilder<'_> {
        FetchBuilder::new(self.client.fetch(), &self.info)
    }

    /// Some messages, waited for, as the consumer's own method has them.
    pub fn batch(&self) -> BatchBuilder<'_> {
        BatchBuilder::new(self.client.batch(), &self.info)
    }

    /// Batch after batch, as the consumer's own method has them.
    ///
    /// # Errors
    ///
    /// The client's own error, as it came.
    pub fn sequence(&self, batch: usize) -> Result<Sequence, BatchError> {
        Ok(Sequence {
            batches: self.client.sequence(batch)?,
            info: Arc::clone(&self.info),
        })
    }
}

impl Consumer<pull::OrderedConfig> {
    /// All messages in the order of the stream, as the consumer's own method has them.
    ///
    /// # Errors
    ///
    /// The client's own error, as it came.
    pub async fn messages(self) -> Result<Messages<pull::Ordered>, StreamError> {
        let stream = self.client.messages().await?;
        Ok(Messages::new(stream, self.info))
    }
}

impl Consumer<push::Config> {
    /// All messages that the server sends, as the consumer's own method has them.
    ///
    /// # Errors
    ///
    /// The client's own error, as it came.
    pub async fn messages(&self) -> Result<Messages<push::Messages>, StreamError> {
        Ok(self.messages_of(self.client.messages().await?))
    }
}

impl Consumer<push::OrderedConfig> {
    /// All messages in the order of the stream, as the consumer's own method has them.
    ///
    /// # Errors
    ///
    /// The client's own error, as it came.
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
        f.debug_struct("Consumer")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

/// The client's stream of batches, whose messages are [`Received`] when a batch is read.
#[must_use = "streams do nothing unless polled"]
pub struct Sequence {
    batches: pull::Sequence,
    info: Arc<ConsumerInfo>,
}

impl Stream for Sequence {
    type Item = Result<Messages<pull::Batch>, MessagesError>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(Pin::new(&mut self.batches).poll_next(task));
        Poll::Ready(next.map(|batch| Ok(Messages::new(batch?, Arc::clone(&self.info)))))
    }
}

impl fmt::Debug for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sequence")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

impl<E> Deliver for Result<Message, E> {
    type Origin = ConsumerInfo;
    type Message = Message;
    type Error = E;
    type Received = Result<Received<Message>, E>;

    fn wait(origin: &ConsumerInfo) -> Option<Moment> {
        origin.wait()
    }

    fn deliver(
        self,
        origin: &Arc<ConsumerInfo>,
        since: Option<Moment>,
    ) -> Result<Received<Message>, E> {
        let message = self?;
        let subscription = origin.subscription(&message);
        let received = Received::deliver(message, subscription, since, |message| {
            Some(message.info().ok()?.pending)
        });
        Ok(received)
    }

    fn give(delivered: Self::Received) -> Self::Received {
        delivered
    }
}

/// The durable name, or of the consumers that the server sends to the group that they share.
fn group(info: &Info) -> Option<String> {
    let durable = info.config.durable_name.as_ref();
    durable.or(info.config.deliver_group.as_ref()).cloned()
}

fn filters(config: &Config) -> Vec<String> {
    let one = Some(&config.filter_subject).filter(|filter| !filter.is_empty());
    one.into_iter()
        .chain(&config.filter_subjects)
        .cloned()
        .collect()
}
