//! Context in the headers of an AMQP message.
//!
//! The headers are a table. Each name is there once, though `traceparent` and `Traceparent` can
//! both be, and values have one of many types. All languages use the lower-case name of the field
//! and a long string. W3C's draft for AMQP was for version 1.0 and is discontinued.

#[cfg(feature = "__internal")]
pub mod internal;
mod size;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::mem;

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, FrameSize, LongString, ShortString};
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;

use crate::engine::carriers::{extract_alone, inject_with};
use crate::engine::propagation::{Headers, HeadersMut};

/// Writes `context` into the headers of `properties` with any propagator, for messages that are
/// published without a span of this crate.
///
/// A context that is already in the headers is replaced, whatever the case of the names; all other
/// headers are unchanged, of any type. If there is no context to write, nothing changes.
///
/// The size of the headers is not limited: baggage can have 8192 bytes, and the broker closes the
/// connection if the headers do not fit into one of its frames.
///
/// ```
/// use lapin::BasicProperties;
/// use opentelemetry::Context;
/// use otel_messaging::{amqp, w3c};
///
/// let mut properties = BasicProperties::default().with_message_id("order-7".into());
/// amqp::inject(&w3c::Propagator::new(), &Context::current(), &mut properties);
/// ```
pub fn inject(
    propagator: &dyn TextMapPropagator,
    context: &Context,
    properties: &mut BasicProperties,
) {
    let mut headers = MessageHeaders::new(properties);
    inject_with(propagator, context, &mut headers);
    if let Some(headers) = headers.changed() {
        *properties = mem::take(properties).with_headers(headers);
    }
}

/// Reads the context of a message with any propagator, onto an empty context.
///
/// Headers that cannot be read are ignored. Without a valid one, the context is empty.
///
/// ```
/// use lapin::message::Delivery;
/// use opentelemetry::trace::TraceContextExt;
/// use otel_messaging::{amqp, w3c};
///
/// fn trace_id(delivery: &Delivery) -> String {
///     let context = amqp::extract(&w3c::Propagator::new(), &delivery.properties);
///     context.span().span_context().trace_id().to_string()
/// }
/// ```
#[must_use]
pub fn extract(propagator: &dyn TextMapPropagator, properties: &BasicProperties) -> Context {
    match properties.headers() {
        Some(headers) => extract_alone(propagator, headers),
        None => Context::new(),
    }
}

impl Headers for FieldTable {
    const IS_ORDERED: bool = false;

    fn for_each<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], &'a [u8])) {
        for (name, value) in self {
            if let Some(text) = text(value) {
                visit(name.as_str().as_bytes(), text);
            }
        }
    }
}

/// The text of a header. Clients that have bytes for text send a byte array; so does RabbitMQ for a
/// long string that has been through a stream.
fn text(value: &AMQPValue) -> Option<&[u8]> {
    match value {
        AMQPValue::LongString(text) => Some(text.as_bytes()),
        AMQPValue::ByteArray(bytes) => Some(bytes.as_slice()),
        AMQPValue::ShortString(text) => Some(text.as_str().as_bytes()),
        _ => None,
    }
}

/// Headers of a message to be sent; a message may have none yet.
///
/// The client lends the headers of its properties and takes others in their place, but never gives
/// them out, so that they are copied before a change.
#[derive(Debug)]
pub(super) struct MessageHeaders<'a>(Option<Cow<'a, FieldTable>>);

impl<'a> MessageHeaders<'a> {
    pub(super) fn new(properties: &'a BasicProperties) -> Self {
        Self(properties.headers().as_ref().map(Cow::Borrowed))
    }

    /// The headers, where they are others than the properties have.
    pub(super) fn changed(self) -> Option<FieldTable> {
        match self.0 {
            Some(Cow::Owned(headers)) => Some(headers),
            _ => None,
        }
    }

    /// Bytes that headers may still take before the frame that holds all properties is too large
    /// for the connection; the broker would close it.
    pub(super) fn room(&self, frame_max: FrameSize, properties: &BasicProperties) -> usize {
        let headers = self.0.as_deref().map_or(size::EMPTY_TABLE, size::table);
        usize::try_from(frame_max)
            .unwrap_or(usize::MAX)
            .saturating_sub(size::HEADER_FRAME)
            .saturating_sub(size::properties_without_headers(properties))
            .saturating_sub(headers)
    }
}

impl Headers for MessageHeaders<'_> {
    const IS_ORDERED: bool = false;

    fn for_each<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], &'a [u8])) {
        if let Some(headers) = &self.0 {
            headers.for_each(visit);
        }
    }
}

impl HeadersMut for MessageHeaders<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn remove(&mut self, names: &[&str]) -> bool {
        let Some(headers) = &self.0 else {
            return false;
        };
        let is_one = |name: &ShortString| {
            names
                .iter()
                .any(|one| one.eq_ignore_ascii_case(name.as_str()))
        };
        if !headers.inner().keys().any(is_one) {
            return false;
        }
        // The client's table has no way to take a header out. Built from a list in one go, it looks
        // for no header's place.
        let mut kept = Vec::with_capacity(headers.inner().len());
        let all = headers.inner().iter();
        kept.extend(
            all.filter(|(name, _)| !is_one(name))
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        self.0 = Some(Cow::Owned(FieldTable::from(BTreeMap::from_iter(kept))));
        true
    }

    fn append(&mut self, name: &str, value: &[u8]) {
        // The client's own conversion panics for a name that is too long for the protocol.
        if let Ok(name) = ShortString::try_new(name) {
            self.0
                .get_or_insert_default()
                .to_mut()
                .insert(name, AMQPValue::LongString(LongString::from(value)));
        }
    }

    fn cost(name: &str, value: &[u8]) -> usize {
        size::field(name.len(), value.len())
    }
}
