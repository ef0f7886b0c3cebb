//! The traits of a JetStream context, for code that is generic over them.

use std::time::Duration;

use async_nats::client::traits as core;
use async_nats::client::{
    PublishError as CorePublishError, RequestError as CoreRequestError, SubscribeError,
};
use async_nats::jetstream::context::traits::{
    ClientProvider, Publisher, RequestSender, Requester, TimeoutProvider,
};
use async_nats::jetstream::context::{PublishAckFuture, PublishError, RequestError};
use async_nats::jetstream::message::{OutboundMessage, PublishMessage};
use async_nats::{Client, Message, Request, ToSubject, message};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::jetstream::Producer;
use super::{PUBLISH, REQUEST, answered, end};
use crate::engine::ambient::current;
use crate::nats::attributes::of_publish;

/// The spans of this trait's methods end when the client has taken the message, because the trait
/// returns the client's own acknowledgement.
///
/// The spans of the methods of [`Producer`] itself end with the acknowledgement. Those are called
/// if both are in scope.
impl Publisher for Producer {
    fn publish<S: ToSubject>(
        &self,
        subject: S,
        payload: Bytes,
    ) -> impl Future<Output = Result<PublishAckFuture, PublishError>> {
        let message = PublishMessage::build().payload(payload);
        self.publish_message(message.outbound_message(subject))
    }

    fn publish_message(
        &self,
        message: OutboundMessage,
    ) -> impl Future<Output = Result<PublishAckFuture, PublishError>> {
        let called = current();
        async move {
            let (ack, _ends) = self.hand_over(called, message).await?;
            Ok(ack)
        }
    }
}

/// Calls of JetStream's own API, which have no spans.
impl Requester for Producer {
    fn request<S, T, V>(
        &self,
        subject: S,
        payload: &T,
    ) -> impl Future<Output = Result<V, RequestError>>
    where
        S: ToSubject,
        T: ?Sized + Serialize,
        V: DeserializeOwned,
    {
        self.client.request(subject, payload)
    }
}

/// Calls of JetStream's own API, which have no spans.
impl RequestSender for Producer {
    fn send_request<S: ToSubject>(
        &self,
        subject: S,
        request: Request,
    ) -> impl Future<Output = Result<(), CorePublishError>> {
        self.client.send_request(subject, request)
    }
}

/// What is sent through this client directly is not traced.
impl ClientProvider for Producer {
    fn client(&self) -> Client {
        self.client.client()
    }
}

impl TimeoutProvider for Producer {
    fn timeout(&self) -> Duration {
        TimeoutProvider::timeout(&self.client)
    }
}

/// Publishes as [`nats::Producer`](crate::nats::Producer), without acknowledgement.
impl core::Publisher for Producer {
    fn publish_with_reply<S: ToSubject, R: ToSubject>(
        &self,
        subject: S,
        reply: R,
        payload: Bytes,
    ) -> impl Future<Output = Result<(), CorePublishError>> {
        self.core.publish_with_reply(subject, reply, payload)
    }

    fn publish_message(
        &self,
        message: message::OutboundMessage,
    ) -> impl Future<Output = Result<(), CorePublishError>> {
        core::Publisher::publish_message(&self.core, message)
    }
}

/// Requests as [`nats::Producer`](crate::nats::Producer), with the timeout of the context if it has
/// one.
impl core::Requester for Producer {
    fn send_request<S: ToSubject>(
        &self,
        subject: S,
        mut request: Request,
    ) -> impl Future<Output = Result<Message, CoreRequestError>> {
        let called = current();
        async move {
            let subject = subject.to_subject();
            let payload = request.payload.as_ref().map_or(0, Bytes::len);
            let headers = request.headers.get_or_insert_default();
            let sending = self.core.start(REQUEST, called, &subject, headers, payload);
            let request = core::Requester::send_request(&self.client, subject, request);
            answered(sending, request).await
        }
    }
}

impl core::Publisher for super::Producer {
    fn publish_with_reply<S, R>(
        &self,
        subject: S,
        reply: R,
        payload: Bytes,
    ) -> impl Future<Output = Result<(), CorePublishError>>
    where
        S: ToSubject,
        R: ToSubject,
    {
        self.publish_with_reply(subject, reply, payload)
    }

    fn publish_message(
        &self,
        mut message: message::OutboundMessage,
    ) -> impl Future<Output = Result<(), CorePublishError>> {
        let called = current();
        async move {
            let headers = message.headers.get_or_insert_default();
            let payload = message.payload.len();
            let sending = self.start(PUBLISH, called, &message.subject, headers, payload);
            end(
                sending,
                self.client.publish_message(message).await,
                of_publish,
            )
        }
    }
}

impl core::Requester for super::Producer {
    fn send_request<S: ToSubject>(
        &self,
        subject: S,
        request: Request,
    ) -> impl Future<Output = Result<Message, CoreRequestError>> {
        self.send_request(subject, request)
    }
}

/// Messages of these subscriptions are not traced; those of [`Consumer`](crate::nats::Consumer)
/// are.
impl core::Subscriber for super::Producer {
    fn subscribe<S: ToSubject>(
        &self,
        subject: S,
    ) -> impl Future<Output = Result<async_nats::Subscriber, SubscribeError>> {
        self.client.subscribe(subject)
    }
}

impl core::TimeoutProvider for super::Producer {
    fn timeout(&self) -> Option<Duration> {
        self.client.timeout()
    }
}
