//! Contexts.

pub use bare::jetstream::context::*;
pub use nats::jetstream::PublishAckFuture;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bare::jetstream::consumer::{FromConsumer, IntoConsumerConfig};
use bare::jetstream::message::PublishMessage;
use bare::jetstream::stream::{Config, ConsumerError};
use bare::subject::ToSubject;
use bare::{HeaderMap, Message, client};
use bytes::Bytes;
use otel_messaging::nats;

use super::consumer::Consumer;
use super::stream::Stream;
use crate::TELEMETRY;
use crate::client::Client;

/// A context that publishes with the wrapped producer.
#[derive(Clone, Debug)]
pub struct Context {
    client: Client,
    producer: Arc<nats::jetstream::Producer>,
}

impl Context {
    pub(super) fn of(client: Client, bare: bare::jetstream::Context) -> Self {
        let producer = nats::jetstream::Producer::wrap(&TELEMETRY, bare);
        Self {
            client,
            producer: Arc::new(producer),
        }
    }

    /// As the client's.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// As the client's.
    pub fn set_timeout(&mut self, limit: Duration) {
        let mut bare = (**self).clone();
        bare.set_timeout(limit);
        *self = Self::of(self.client.clone(), bare);
    }

    /// The wrapper's.
    pub fn publish<S: ToSubject>(
        &self,
        subject: S,
        payload: Bytes,
    ) -> impl Future<Output = Result<PublishAckFuture, PublishError>> {
        self.producer.publish(subject, payload)
    }

    /// The wrapper's.
    pub fn publish_with_headers<S: ToSubject>(
        &self,
        subject: S,
        headers: HeaderMap,
        payload: Bytes,
    ) -> impl Future<Output = Result<PublishAckFuture, PublishError>> {
        self.producer
            .publish_with_headers(subject, headers, payload)
    }

    /// The wrapper's.
    pub fn send_publish<S: ToSubject>(
        &self,
        subject: S,
        message: PublishMessage,
    ) -> impl Future<Output = Result<PublishAckFuture, PublishError>> {
        self.producer.send_publish(subject, message)
    }

    /// As the client's.
    ///
    /// # Errors
    ///
    /// The client's.
    pub async fn create_stream<S>(&self, config: S) -> Result<Stream, CreateStreamError>
    where
        Config: From<S>,
    {
        (**self).create_stream(config).await.map(Stream)
    }

    /// As the client's.
    ///
    /// # Errors
    ///
    /// The client's.
    pub async fn get_or_create_stream<S: Into<Config>>(
        &self,
        config: S,
    ) -> Result<Stream, CreateStreamError> {
        (**self).get_or_create_stream(config).await.map(Stream)
    }

    /// As the client's.
    ///
    /// # Errors
    ///
    /// The client's.
    pub async fn get_stream<T: AsRef<str>>(&self, name: T) -> Result<Stream, GetStreamError> {
        (**self).get_stream(name).await.map(Stream)
    }

    /// As the client's.
    ///
    /// # Errors
    ///
    /// The client's.
    pub async fn get_stream_no_info<T: AsRef<str>>(
        &self,
        name: T,
    ) -> Result<Stream<()>, GetStreamError> {
        (**self).get_stream_no_info(name).await.map(Stream)
    }

    /// As the client's.
    ///
    /// # Errors
    ///
    /// The client's.
    pub async fn get_consumer_from_stream<C, N, S>(
        &self,
        name: N,
        stream: S,
    ) -> Result<Consumer<C>, ConsumerError>
    where
        C: FromConsumer + IntoConsumerConfig + Clone,
        N: AsRef<str>,
        S: AsRef<str>,
    {
        let consumer = (**self).get_consumer_from_stream(name, stream);
        consumer.await.map(Consumer::of)
    }

    /// As the client's.
    ///
    /// # Errors
    ///
    /// The client's.
    pub async fn create_consumer_on_stream<C, S>(
        &self,
        config: C,
        stream: S,
    ) -> Result<Consumer<C>, ConsumerError>
    where
        C: FromConsumer + IntoConsumerConfig + Clone,
        S: AsRef<str>,
    {
        let consumer = (**self).create_consumer_on_stream(config, stream);
        consumer.await.map(Consumer::of)
    }
}

/// Whatever else a context has.
impl Deref for Context {
    type Target = bare::jetstream::Context;

    fn deref(&self) -> &Self::Target {
        self.producer.inner()
    }
}

impl client::traits::Requester for Context {
    fn send_request<S: ToSubject>(
        &self,
        subject: S,
        request: client::Request,
    ) -> impl Future<Output = Result<Message, client::RequestError>> {
        client::traits::Requester::send_request(&*self.producer, subject, request)
    }
}

/// The client's own, but for [`build`](Self::build).
#[expect(missing_debug_implementations, reason = "the client's has none")]
pub struct ContextBuilder<P: ToAssign = Yes>(bare::jetstream::ContextBuilder<P>);

impl ContextBuilder {
    /// As the client's.
    #[expect(clippy::new_without_default, reason = "no test calls it")]
    #[must_use]
    pub fn new() -> Self {
        Self(bare::jetstream::ContextBuilder::new())
    }

    /// As the client's.
    pub fn api_prefix<T: Into<String>>(self, prefix: T) -> ContextBuilder<No> {
        ContextBuilder(self.0.api_prefix(prefix))
    }
}

impl<P: ToAssign> ContextBuilder<P> {
    /// As the client's.
    #[must_use]
    pub fn timeout(self, limit: Duration) -> ContextBuilder {
        ContextBuilder(self.0.timeout(limit))
    }

    /// As the client's.
    #[must_use]
    pub fn max_ack_inflight(self, most: usize) -> ContextBuilder {
        ContextBuilder(self.0.max_ack_inflight(most))
    }

    /// As the client's.
    #[must_use]
    pub fn backpressure_on_inflight(self, is_on: bool) -> ContextBuilder {
        ContextBuilder(self.0.backpressure_on_inflight(is_on))
    }

    /// As the client's.
    #[must_use]
    pub fn build(self, client: Client) -> Context {
        let bare = self.0.build((*client).clone());
        Context::of(client, bare)
    }
}
