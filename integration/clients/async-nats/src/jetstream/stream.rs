//! Streams.

pub use bare::jetstream::stream::*;

use std::ops::{Deref, DerefMut};

use bare::jetstream::consumer::{FromConsumer, IntoConsumerConfig};

use super::consumer::Consumer;

/// A stream whose consumers are ours.
#[derive(Clone, Debug)]
pub struct Stream<I = Info>(pub(super) bare::jetstream::stream::Stream<I>);

impl<I> Stream<I> {
    /// As the client's.
    ///
    /// # Errors
    ///
    /// The client's.
    pub async fn create_consumer<C: IntoConsumerConfig + FromConsumer + Clone>(
        &self,
        config: C,
    ) -> Result<Consumer<C>, ConsumerError> {
        self.0.create_consumer(config).await.map(Consumer::of)
    }

    /// As the client's.
    ///
    /// # Errors
    ///
    /// The client's.
    pub async fn update_consumer<C: IntoConsumerConfig + FromConsumer + Clone>(
        &self,
        config: C,
    ) -> Result<Consumer<C>, ConsumerUpdateError> {
        self.0.update_consumer(config).await.map(Consumer::of)
    }

    /// As the client's.
    ///
    /// # Errors
    ///
    /// The client's.
    pub async fn create_consumer_strict<C: IntoConsumerConfig + FromConsumer + Clone>(
        &self,
        config: C,
    ) -> Result<Consumer<C>, ConsumerCreateStrictError> {
        self.0
            .create_consumer_strict(config)
            .await
            .map(Consumer::of)
    }

    /// As the client's.
    ///
    /// # Errors
    ///
    /// The client's.
    pub async fn get_consumer<C: IntoConsumerConfig + FromConsumer + Clone>(
        &self,
        name: &str,
    ) -> Result<Consumer<C>, bare::Error> {
        self.0.get_consumer(name).await.map(Consumer::of)
    }

    /// As the client's.
    ///
    /// # Errors
    ///
    /// The client's.
    pub async fn get_or_create_consumer<C: IntoConsumerConfig + FromConsumer + Clone>(
        &self,
        name: &str,
        config: C,
    ) -> Result<Consumer<C>, ConsumerError> {
        let consumer = self.0.get_or_create_consumer(name, config);
        consumer.await.map(Consumer::of)
    }
}

/// Whatever else a stream has.
impl<I> Deref for Stream<I> {
    type Target = bare::jetstream::stream::Stream<I>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<I> DerefMut for Stream<I> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}
