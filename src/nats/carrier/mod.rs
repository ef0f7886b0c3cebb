//! Context in the headers of a NATS message.
//!
//! Names are case-sensitive and can have several values. The client keeps the order of the values
//! of a name, but not that of different names. There is no W3C binding for NATS; most languages use
//! the lower-case name of the field, Go capitalizes it.

#[cfg(feature = "__internal")]
pub mod internal;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use async_nats::HeaderMap;
use async_nats::header::{HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;
use serde::Deserialize as _;
use serde::de::IntoDeserializer as _;
use serde::de::value::StringDeserializer;

use crate::engine::carriers::{extract_alone, inject_with};
use crate::engine::propagation::{Headers, HeadersMut};
use crate::w3c::{BAGGAGE, TRACEPARENT, TRACESTATE};

/// Writes `context` into `headers` with any propagator, for messages that are sent without a span
/// of this crate.
///
/// A context that is already in the headers is replaced, whatever the case of the names; all other
/// headers are unchanged. If there is no context to write, nothing changes. A value that a NATS
/// header cannot have, such as one with a line end, is left out.
///
/// ```
/// use async_nats::HeaderMap;
/// use opentelemetry::Context;
/// use otel_messaging::{nats, w3c};
///
/// # async fn example(client: async_nats::Client) -> Result<(), async_nats::PublishError> {
/// let mut headers = HeaderMap::new();
/// nats::inject(&w3c::Propagator::new(), &Context::current(), &mut headers);
/// client.publish_with_headers("orders", headers, "two books".into()).await
/// # }
/// ```
pub fn inject(propagator: &dyn TextMapPropagator, context: &Context, headers: &mut HeaderMap) {
    let mut carrier = MessageHeaders::new(headers);
    inject_with(propagator, context, &mut carrier);
    carrier.finish();
}

/// Reads the context of a message's headers with any propagator, onto an empty context.
///
/// Of several traceparents, the last valid one is used. Headers that cannot be read are ignored.
/// Without a valid one, the context is empty. The context of a stored message is that of its
/// writer.
///
/// ```
/// use opentelemetry::trace::TraceContextExt;
/// use otel_messaging::{nats, w3c};
///
/// fn trace_id(message: &async_nats::Message) -> String {
///     let context = nats::extract(&w3c::Propagator::new(), message.headers.as_ref());
///     context.span().span_context().trace_id().to_string()
/// }
/// ```
#[must_use]
pub fn extract<'a>(
    propagator: &dyn TextMapPropagator,
    headers: impl Into<Option<&'a HeaderMap>>,
) -> Context {
    match headers.into() {
        Some(headers) => extract_alone(propagator, headers),
        None => Context::new(),
    }
}

impl Headers for HeaderMap {
    const IS_ORDERED: bool = false;

    fn for_each<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], &'a [u8])) {
        show(self.iter(), visit);
    }
}

/// Shows headers, those that could be a context's in another spelling last.
fn show<'a>(
    headers: impl Iterator<Item = (&'a HeaderName, &'a Vec<HeaderValue>)>,
    visit: &mut dyn FnMut(&'a [u8], &'a [u8]),
) {
    let mut other_case = Vec::new();
    let mut has_traceparent = false;
    for (name, values) in headers {
        let name: &[u8] = name.as_ref();
        let field = field(name);
        has_traceparent |= field == Some(TRACEPARENT.as_bytes());
        if field.is_some_and(|field| field != name || field == RENAMED) {
            other_case.push((name, values));
        } else {
            values.iter().for_each(|value| visit(name, value.as_ref()));
        }
    }
    // The map has no order: of several spellings the same one shall come last each time. A name has
    // no more of them than its letters allow, so that sorting them costs no more with more headers.
    other_case.sort_unstable_by_key(|(name, _)| *name);
    for (name, values) in other_case {
        let stands_in = !has_traceparent && field(name) == Some(RENAMED);
        let name = if stands_in {
            TRACEPARENT.as_bytes()
        } else {
            name
        };
        values.iter().for_each(|value| visit(name, value.as_ref()));
    }
}

/// The field of a context that a header of this name may be, in whatever case.
fn field(name: &[u8]) -> Option<&'static [u8]> {
    FIELDS
        .into_iter()
        .find(|field| field.eq_ignore_ascii_case(name))
}

/// Headers of a message to be sent.
#[derive(Debug)]
pub(super) struct MessageHeaders<'a> {
    headers: &'a mut HeaderMap,
    /// Names that are still in the map and should not be: the client cannot take one out, but a new
    /// value under the same name replaces the old ones.
    removed: HashSet<HeaderName>,
}

impl<'a> MessageHeaders<'a> {
    pub(super) fn new(headers: &'a mut HeaderMap) -> Self {
        Self {
            headers,
            removed: HashSet::new(),
        }
    }

    /// The client's own headers, those that are to be taken out among them.
    pub(super) const fn map(&self) -> &HeaderMap {
        self.headers
    }

    /// What is there and was not removed.
    fn kept(&self) -> impl Iterator<Item = (&HeaderName, &Vec<HeaderValue>)> {
        let all = self.headers.iter();
        all.filter(|(name, _)| !self.removed.contains(*name))
    }

    /// Takes out what was removed and not written again.
    pub(super) fn finish(self) {
        if self.removed.is_empty() {
            return;
        }
        let mut kept = HeaderMap::new();
        for (name, values) in self.kept() {
            for value in values {
                kept.append(name.clone(), value.clone());
            }
        }
        *self.headers = kept;
    }

    /// Bytes that headers may still take before the server or a stream refuses the message.
    pub(super) fn room(&self, max_payload: usize, payload: usize) -> usize {
        let headers: usize = self
            .kept()
            .flat_map(|(name, values)| values.iter().map(move |value| (name, value)))
            .map(|(name, value)| Self::cost(name.as_ref(), value.as_ref()))
            .sum();
        let headers = BLOCK.saturating_add(headers);
        let in_message = max_payload.saturating_sub(payload).saturating_sub(headers);
        // What no stream takes as it is can still be meant for subscribers alone.
        let in_stream = MAX_STREAM_HEADERS.checked_sub(headers);
        in_stream.map_or(in_message, |in_stream| in_stream.min(in_message))
    }
}

impl Headers for MessageHeaders<'_> {
    const IS_ORDERED: bool = false;

    fn for_each<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], &'a [u8])) {
        show(self.kept(), visit);
    }
}

impl HeadersMut for MessageHeaders<'_> {
    fn is_empty(&self) -> bool {
        self.map().is_empty()
    }

    fn remove(&mut self, names: &[&str]) -> bool {
        let renamed = names.contains(&TRACEPARENT);
        let is_one = |name: &[u8]| {
            let mut names = names.iter().map(|one| one.as_bytes());
            names.any(|one| one.eq_ignore_ascii_case(name))
                || renamed && RENAMED.eq_ignore_ascii_case(name)
        };
        let before = self.removed.len();
        let names = self.headers.iter().map(|(name, _)| name);
        let found = names.filter(|name| is_one((*name).as_ref())).cloned();
        self.removed.extend(found);
        self.removed.len() > before
    }

    /// Adds a header whose name is not there any more.
    fn append(&mut self, name: &str, value: &[u8]) {
        if let (Some(name), Some(value)) = (header_name(name), header_value(value)) {
            self.removed.remove(&name);
            self.headers.insert(name, value);
        }
    }

    fn cost(name: &str, value: &[u8]) -> usize {
        name.len() + value.len() + ": \r\n".len()
    }
}

/// The name without an allocation where it is one of our own; `None` where NATS cannot carry it.
fn header_name(name: &str) -> Option<HeaderName> {
    match name {
        TRACEPARENT => Some(const { HeaderName::from_static(TRACEPARENT) }),
        TRACESTATE => Some(const { HeaderName::from_static(TRACESTATE) }),
        BAGGAGE => Some(const { HeaderName::from_static(BAGGAGE) }),
        "" => None,
        other => other.parse().ok(),
    }
}

/// The value; `None` where NATS cannot carry it.
///
/// Parsed, it would be looked at character by character, which takes longer than all else here. Only
/// line ends matter, and a value that has none can be taken over as it is.
fn header_value(value: &[u8]) -> Option<HeaderValue> {
    let has_line_end = value
        .iter()
        .fold(false, |found, byte| found | matches!(byte, b'\r' | b'\n'));
    if has_line_end {
        return None;
    }
    let text = str::from_utf8(value).ok()?.to_owned();
    let text: StringDeserializer<serde::de::value::Error> = text.into_deserializer();
    HeaderValue::deserialize(text).ok()
}

/// The names by which a context comes.
const FIELDS: [&[u8]; 4] = [
    TRACEPARENT.as_bytes(),
    TRACESTATE.as_bytes(),
    BAGGAGE.as_bytes(),
    RENAMED,
];

/// What servers before 2.14 make of a `traceparent` that they have taken as their own.
const RENAMED: &[u8] = b"Xraceparent";

/// What a block of headers takes beside them, where there are any.
const BLOCK: usize = "NATS/1.0\r\n\r\n".len();

/// Largest block of headers that a JetStream stream takes.
const MAX_STREAM_HEADERS: usize = u16::MAX as usize;
