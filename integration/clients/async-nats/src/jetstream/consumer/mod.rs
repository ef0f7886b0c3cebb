//! Consumers.

pub use bare::jetstream::consumer::*;

use std::ops::{Deref, DerefMut};

use otel_messaging::nats;

use super::message::Messages;
use crate::TELEMETRY;

/// A consumer whose messages are the wrapper's.
#[derive(Clone, Debug)]
pub struct Consumer<C: IntoConsumerConfig> {
    wrapped: nats::jetstream::Consumer<C>,
    bare: bare::jetstream::consumer::Consumer<C>,
}

/// As the client's.
pub type PullConsumer = Consumer<pull::Config>;
/// As the client's.
pub type PushConsumer = Consumer<push::Config>;
/// As the client's.
pub type OrderedPullConsumer = Consumer<pull::OrderedConfig>;
/// As the client's.
pub type OrderedPushConsumer = Consumer<push::OrderedConfig>;

impl<C: IntoConsumerConfig + Clone> Consumer<C> {
    pub(super) fn of(bare: bare::jetstream::consumer::Consumer<C>) -> Self {
        Self {
            wrapped: nats::jetstream::Consumer::wrap(&TELEMETRY, bare.clone()),
            bare,
        }
    }
}

impl PullConsumer {
    /// The wrapper's.
    ///
    /// # Errors
    ///
    /// The client's.
    pub async fn messages(&self) -> Result<pull::Stream, StreamError> {
        self.wrapped.messages().await.map(Messages)
    }

    /// The wrapper's.
    #[must_use]
    pub fn stream(&self) -> pull::StreamBuilder<'_> {
        pull::StreamBuilder::of(self, self.wrapped.stream(), self.bare.stream())
    }

    /// The wrapper's.
    #[must_use]
    pub fn fetch(&self) -> pull::FetchBuilder<'_> {
        pull::FetchBuilder::of(self, self.wrapped.fetch(), self.bare.fetch())
    }

    /// The wrapper's.
    #[must_use]
    pub fn batch(&self) -> pull::BatchBuilder<'_> {
        pull::BatchBuilder::of(self, self.wrapped.batch(), self.bare.batch())
    }

    /// The wrapper's.
    ///
    /// # Errors
    ///
    /// The client's.
    pub fn sequence(&self, most: usize) -> Result<pull::Sequence, pull::BatchError> {
        self.wrapped.sequence(most).map(pull::Sequence)
    }
}

impl OrderedPullConsumer {
    /// The wrapper's.
    ///
    /// # Errors
    ///
    /// The client's.
    pub async fn messages(self) -> Result<pull::Ordered, StreamError> {
        self.wrapped.messages().await.map(Messages)
    }
}

impl PushConsumer {
    /// The wrapper's.
    ///
    /// # Errors
    ///
    /// The client's.
    pub async fn messages(&self) -> Result<push::Messages, StreamError> {
        self.wrapped.messages().await.map(Messages)
    }
}

impl OrderedPushConsumer {
    /// The wrapper's.
    ///
    /// # Errors
    ///
    /// The client's.
    pub async fn messages(self) -> Result<push::Ordered, StreamError> {
        self.wrapped.messages().await.map(Messages)
    }
}

/// Whatever else a consumer has.
impl<C: IntoConsumerConfig> Deref for Consumer<C> {
    type Target = bare::jetstream::consumer::Consumer<C>;

    fn deref(&self) -> &Self::Target {
        &self.bare
    }
}

impl<C: IntoConsumerConfig> DerefMut for Consumer<C> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.bare
    }
}

/// Consumers that push.
pub mod push {
    pub use bare::jetstream::consumer::push::*;

    /// As the client's.
    pub type Messages =
        crate::jetstream::message::Messages<bare::jetstream::consumer::push::Messages>;
    /// As the client's.
    pub type Ordered =
        crate::jetstream::message::Messages<bare::jetstream::consumer::push::Ordered>;
}

/// Consumers that pull.
pub mod pull;
