//! Clients.

pub use bare::client::*;

use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bare::subject::ToSubject;
use bare::{HeaderMap, Message};
use bytes::Bytes;
use futures::Stream;
use otel_messaging::nats;

use crate::TELEMETRY;

/// The client with the wrapped producer and the wrapped consumer.
#[derive(Clone, Debug)]
pub struct Client {
    producer: Arc<nats::Producer>,
    pub(crate) consumer: Arc<nats::Consumer>,
    bare: bare::Client,
}

impl Client {
    pub(crate) fn of(bare: bare::Client) -> Self {
        Self {
            producer: Arc::new(nats::Producer::wrap(&TELEMETRY, bare.clone())),
            consumer: Arc::new(nats::Consumer::wrap(&TELEMETRY, bare.clone())),
            bare,
        }
    }

    /// The wrapper's.
    pub fn publish<S: ToSubject>(
        &self,
        subject: S,
        payload: Bytes,
    ) -> impl Future<Output = Result<(), PublishError>> {
        self.producer.publish(subject, payload)
    }

    /// The wrapper's.
    pub fn publish_with_headers<S: ToSubject>(
        &self,
        subject: S,
        headers: HeaderMap,
        payload: Bytes,
    ) -> impl Future<Output = Result<(), PublishError>> {
        self.producer
            .publish_with_headers(subject, headers, payload)
    }

    /// The wrapper's.
    pub fn publish_with_reply<S: ToSubject, R: ToSubject>(
        &self,
        subject: S,
        reply: R,
        payload: Bytes,
    ) -> impl Future<Output = Result<(), PublishError>> {
        self.producer.publish_with_reply(subject, reply, payload)
    }

    /// The wrapper's.
    pub fn publish_with_reply_and_headers<S: ToSubject, R: ToSubject>(
        &self,
        subject: S,
        reply: R,
        headers: HeaderMap,
        payload: Bytes,
    ) -> impl Future<Output = Result<(), PublishError>> {
        self.producer
            .publish_with_reply_and_headers(subject, reply, headers, payload)
    }

    /// The wrapper's.
    pub fn request<S: ToSubject>(
        &self,
        subject: S,
        payload: Bytes,
    ) -> impl Future<Output = Result<Message, RequestError>> {
        self.producer.request(subject, payload)
    }

    /// The wrapper's.
    pub fn request_with_headers<S: ToSubject>(
        &self,
        subject: S,
        headers: HeaderMap,
        payload: Bytes,
    ) -> impl Future<Output = Result<Message, RequestError>> {
        self.producer
            .request_with_headers(subject, headers, payload)
    }

    /// The wrapper's.
    pub fn send_request<S: ToSubject>(
        &self,
        subject: S,
        request: Request,
    ) -> impl Future<Output = Result<Message, RequestError>> {
        self.producer.send_request(subject, request)
    }

    /// The wrapper's.
    ///
    /// # Errors
    ///
    /// The client's.
    pub async fn flush(&self) -> Result<(), FlushError> {
        self.producer.flush().await
    }

    /// The wrapper's.
    ///
    /// # Errors
    ///
    /// The client's.
    pub async fn subscribe<S: ToSubject>(&self, subject: S) -> Result<Subscriber, SubscribeError> {
        self.consumer.subscribe(subject).await.map(Subscriber)
    }

    /// The wrapper's.
    ///
    /// # Errors
    ///
    /// The client's.
    pub async fn queue_subscribe<S: ToSubject>(
        &self,
        subject: S,
        group: String,
    ) -> Result<Subscriber, SubscribeError> {
        let subscribing = self.consumer.queue_subscribe(subject, group);
        subscribing.await.map(Subscriber)
    }
}

/// Whatever else a client has.
impl Deref for Client {
    type Target = bare::Client;

    fn deref(&self) -> &Self::Target {
        &self.bare
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.bare
    }
}

impl traits::Publisher for Client {
    fn publish_with_reply<S: ToSubject, R: ToSubject>(
        &self,
        subject: S,
        reply: R,
        payload: Bytes,
    ) -> impl Future<Output = Result<(), PublishError>> {
        traits::Publisher::publish_with_reply(&*self.producer, subject, reply, payload)
    }

    fn publish_message(
        &self,
        message: bare::message::OutboundMessage,
    ) -> impl Future<Output = Result<(), PublishError>> {
        traits::Publisher::publish_message(&*self.producer, message)
    }
}

/// The wrapper's messages, which its items are as the client's.
#[derive(Debug)]
pub struct Subscriber(nats::Messages<bare::Subscriber>);

impl Stream for Subscriber {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Message>> {
        let next = ready!(Pin::new(&mut self.0).poll_next(task));
        Poll::Ready(next.map(otel_messaging::Received::into_inner))
    }
}

impl Deref for Subscriber {
    type Target = nats::Messages<bare::Subscriber>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Subscriber {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}
