//! The kinds of messages, as the engine reads them.

use std::sync::Arc;
use std::time::SystemTime;

use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::message::StreamMessage;
use async_nats::{HeaderMap, Message, StatusCode, jetstream, service};
use opentelemetry::KeyValue;

use super::{EndpointInfo, Subscription, sequence, stream_name};
use crate::engine::attributes::delivery_attempt;
use crate::engine::destination::Destination;
use crate::engine::received::sealed::ConsumedMessage;
use crate::policy::Rule;
use crate::semconv::attributes::MESSAGING_MESSAGE_ID;
use crate::semconv::text::text;

#[expect(private_interfaces, reason = "nobody else can call it")]
impl ConsumedMessage for Message {
    type Source = Subscription;
    type Headers = HeaderMap;

    fn destination(&self, source: &Subscription) -> Arc<Destination> {
        source.destination(&self.subject)
    }

    fn headers(&self) -> Option<&HeaderMap> {
        self.headers.as_ref()
    }

    /// JetStream's consumers read what the server says of a wait by themselves and hand out none.
    fn is_status(&self) -> bool {
        self.status.is_some_and(|status| status != StatusCode::OK)
    }

    fn attributes(&self, _: &Subscription, _: &Rule, set: &mut dyn FnMut(KeyValue)) {
        message_id(self.headers.as_ref()).into_iter().for_each(set);
    }
}

/// A message that a consumer delivers, and delivers again until it is settled.
#[expect(private_interfaces, reason = "nobody else can call it")]
impl ConsumedMessage for jetstream::Message {
    type Source = Subscription;
    type Headers = HeaderMap;

    fn destination(&self, source: &Subscription) -> Arc<Destination> {
        source.destination(&self.subject)
    }

    fn headers(&self) -> Option<&HeaderMap> {
        self.headers.as_ref()
    }

    fn sent_at(&self) -> Option<SystemTime> {
        Some(self.info().ok()?.published.into())
    }

    fn is_redelivered(&self) -> bool {
        self.info().is_ok_and(|info| info.delivered > 1)
    }

    fn number(&self) -> Option<KeyValue> {
        sequence(self.info().ok()?.stream_sequence)
    }

    fn attributes(&self, _: &Subscription, rule: &Rule, set: &mut dyn FnMut(KeyValue)) {
        message_id(self.headers.as_ref())
            .into_iter()
            .for_each(&mut *set);
        if let Ok(info) = self.info() {
            set(stream_name(info.stream));
            delivery_attempt(rule, info.delivered)
                .into_iter()
                .for_each(set);
        }
    }
}

/// A request to a micro-service.
#[expect(private_interfaces, reason = "nobody else can call it")]
impl ConsumedMessage for service::Request {
    type Source = EndpointInfo;
    type Headers = HeaderMap;

    fn destination(&self, source: &EndpointInfo) -> Arc<Destination> {
        self.message.destination(&source.subscription)
    }

    fn headers(&self) -> Option<&HeaderMap> {
        self.message.headers.as_ref()
    }

    fn is_status(&self) -> bool {
        self.message.is_status()
    }

    fn attributes(&self, source: &EndpointInfo, rule: &Rule, set: &mut dyn FnMut(KeyValue)) {
        self.message.attributes(&source.subscription, rule, set);
    }
}

/// A message that was read out of a stream by itself.
#[expect(private_interfaces, reason = "nobody else can call it")]
impl ConsumedMessage for StreamMessage {
    type Source = Subscription;
    type Headers = HeaderMap;

    fn destination(&self, source: &Subscription) -> Arc<Destination> {
        source.destination(&self.subject)
    }

    fn headers(&self) -> Option<&HeaderMap> {
        Some(&self.headers)
    }

    fn sent_at(&self) -> Option<SystemTime> {
        Some(self.time.into())
    }

    fn is_stored(&self) -> bool {
        true
    }

    fn number(&self) -> Option<KeyValue> {
        sequence(self.sequence)
    }

    fn attributes(&self, source: &Subscription, _: &Rule, set: &mut dyn FnMut(KeyValue)) {
        let id = message_id(Some(&self.headers));
        let stream = source.stream().map(stream_name);
        id.into_iter().chain(stream).for_each(set);
    }
}

/// The id by which a stream knows a message that it has already.
pub(crate) fn message_id(headers: Option<&HeaderMap>) -> Option<KeyValue> {
    let id = headers?.get(NATS_MESSAGE_ID)?.as_str();
    (!id.is_empty()).then(|| KeyValue::new(MESSAGING_MESSAGE_ID, text(id)))
}
