//! Context in the headers of an AMQP message.
//!
//! Headers are a table: each name stands once, though `traceparent` and `Traceparent` can stand side
//! by side, and a value has one of many types. By the practice of all languages the name is the
//! field's, in lower case, and the value a long string; W3C's own draft for AMQP was for version 1.0
//! and is discontinued.

#[cfg(feature = "__internal")]
pub mod internal;
mod size;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, FrameSize, LongString, ShortString};
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;

use crate::engine::carriers::{extract_alone, inject_with};
use crate::engine::propagation::{Headers, HeadersMut};

/// Writes `context` into `headers` with any propagator, for messages that are published without a
/// span of ours.
///
/// What the headers already say about context is replaced, whatever the case of its names; all other
/// headers stay as they are, of whatever type. Where there is no context to write, nothing changes.
/// Nothing is left out for its size: headers that do not fit into one frame of the connection make
/// the broker close it, and baggage can be 8192 bytes.
///
/// ```
/// use lapin::BasicProperties;
/// use lapin::types::FieldTable;
/// use opentelemetry::Context;
/// use otel_messaging::{amqp, w3c};
///
/// let headers = amqp::inject(&w3c::Propagator::new(), &Context::current(), FieldTable::default());
/// let properties = BasicProperties::default().with_headers(headers);
/// ```
#[must_use]
pub fn inject(
    propagator: &dyn TextMapPropagator,
    context: &Context,
    headers: FieldTable,
) -> FieldTable {
    let mut headers = MessageHeaders(Some(Cow::Owned(headers)));
    inject_with(propagator, context, &mut headers);
    headers.0.unwrap_or_default().into_owned()
}

/// Reads what a message carries onto an empty context, with any propagator.
///
/// Headers that cannot be read count as absent; then the context is empty.
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
