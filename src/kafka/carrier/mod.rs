//! Context in the headers of a Kafka record.
//!
//! The headers are an ordered list. Names can repeat, and values can be null. There is no W3C
//! binding for Kafka; all languages use the lower-case name of the field and a text value.

#[cfg(feature = "__internal")]
pub mod internal;
#[cfg(test)]
mod tests;

use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;
use rdkafka::Message;
use rdkafka::message::{
    BorrowedHeaders, BorrowedMessage, Header, Headers as _, OwnedHeaders, OwnedMessage,
};

use super::native::{self, RawHeader};
use crate::engine::carriers::{extract_alone, inject_with};
use crate::engine::propagation::{Headers, HeadersMut};
use crate::policy::Rule;

/// A Kafka message whose headers [`extract`] can read: a `BorrowedMessage`, an `OwnedMessage`, or
/// one of them as [`Received`](crate::Received). The trait is sealed.
pub trait MessageHeaders: Message + sealed::Sealed {
    /// The headers. `None` if the message has none.
    fn borrowed_headers(&self) -> Option<&BorrowedHeaders>;
}

pub(super) mod sealed {
    #[allow(unnameable_types, reason = "nobody else is to implement it")]
    pub trait Sealed {}
}

impl sealed::Sealed for BorrowedMessage<'_> {}

impl MessageHeaders for BorrowedMessage<'_> {
    fn borrowed_headers(&self) -> Option<&BorrowedHeaders> {
        self.headers()
    }
}

impl sealed::Sealed for OwnedMessage {}

impl MessageHeaders for OwnedMessage {
    fn borrowed_headers(&self) -> Option<&BorrowedHeaders> {
        self.headers().map(OwnedHeaders::as_borrowed)
    }
}

/// Writes `context` into the headers of a record with any propagator, for records that are sent without a span of
/// this crate.
///
/// A context that is already in the headers is replaced, whatever the case of the names; all other
/// headers are unchanged. If there is no context to write, nothing changes.
///
/// ```
/// use opentelemetry::Context;
/// use otel_messaging::{kafka, w3c};
/// use rdkafka::producer::FutureRecord;
///
/// let mut record = FutureRecord::to("orders").key("42").payload("two books");
/// kafka::inject(&w3c::Propagator::new(), &Context::current(), &mut record.headers);
/// ```
pub fn inject(
    propagator: &dyn TextMapPropagator,
    context: &Context,
    headers: &mut Option<OwnedHeaders>,
) {
    let mut carrier = RecordHeaders::new(headers.take());
    inject_with(propagator, context, &mut carrier);
    *headers = carrier.list;
}

/// Reads the context of `message` with any propagator, onto an empty context.
///
/// Of several traceparents, the last valid one is used. Headers that cannot be read are ignored.
/// Without a valid one, the context is empty.
///
/// ```
/// use opentelemetry::trace::TraceContextExt;
/// use otel_messaging::{kafka, w3c};
/// use rdkafka::message::BorrowedMessage;
///
/// fn trace_id(message: &BorrowedMessage<'_>) -> String {
///     let context = kafka::extract(&w3c::Propagator::new(), message);
///     context.span().span_context().trace_id().to_string()
/// }
/// ```
#[must_use]
pub fn extract<M: MessageHeaders>(propagator: &dyn TextMapPropagator, message: &M) -> Context {
    match message.borrowed_headers() {
        Some(headers) => extract_alone(propagator, headers),
        None => Context::new(),
    }
}

impl Headers for BorrowedHeaders {
    fn for_each<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], &'a [u8])) {
        for header in native::headers(self) {
            if let Some(value) = header.value {
                visit(header.name.to_bytes(), value);
            }
        }
    }
}

/// Headers of a record to be sent; a record may have none yet.
#[derive(Debug)]
pub(super) struct RecordHeaders {
    list: Option<OwnedHeaders>,
    given: Given,
}

/// The headers that a record was given, so that it can come back with them.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// How many there were; `None` where the record had no list.
    count: Option<usize>,
    /// Their own list, where another one is sent; else they are the first ones of that.
    aside: Option<OwnedHeaders>,
    /// Headers were added to them, or to those that are left of them.
    has_more: bool,
}

impl RecordHeaders {
    pub(super) fn new(headers: Option<OwnedHeaders>) -> Self {
        Self {
            given: Given {
                count: headers.as_ref().map(OwnedHeaders::count),
                aside: None,
                has_more: false,
            },
            list: headers,
        }
    }

    /// What is to be sent, and what the record was given.
    pub(super) fn into_parts(self) -> (Option<OwnedHeaders>, Given) {
        (self.list, self.given)
    }

    fn borrowed(&self) -> Option<&BorrowedHeaders> {
        self.list.as_ref().map(OwnedHeaders::as_borrowed)
    }

    /// Bytes that headers may still take before a record of this limit is too large.
    pub(super) fn room(&self, limit: usize, key: Option<&[u8]>, payload: Option<&[u8]>) -> usize {
        let headers: usize = self.borrowed().map_or(0, |headers| {
            native::headers(headers)
                .map(|header| {
                    let value = header.value.map_or(0, <[u8]>::len);
                    header_size(header.name.count_bytes(), value)
                })
                .sum()
        });
        [key, payload]
            .into_iter()
            .flatten()
            .map(<[u8]>::len)
            .fold(limit, usize::saturating_sub)
            .saturating_sub(RECORD_OVERHEAD)
            .saturating_sub(headers)
    }
}

impl Given {
    /// The headers that the record was given, where `sent` are those that it was sent with.
    pub(super) fn restored(self, sent: Option<OwnedHeaders>) -> Option<OwnedHeaders> {
        let count = self.count?;
        let given = self.aside.or(sent)?;
        if given.count() == count {
            return Some(given);
        }
        Some(copied(native::headers(given.as_borrowed()).take(count)))
    }

    /// As [`restored`](Self::restored), for a message of which the client only lends the headers.
    pub(super) fn restore(self, message: &BorrowedMessage<'_>) {
        if !self.is_what_was_sent() {
            let sent = message.headers().map(BorrowedHeaders::detach);
            native::set_headers(message, self.restored(sent));
        }
    }

    const fn is_what_was_sent(&self) -> bool {
        !self.has_more && self.aside.is_none()
    }
}

/// Bytes that a record with a context may have, by what the client and what the policy says.
///
/// A topic's limit is one for the batch that a record travels in, at least alone, and often the number that the client
/// has too, which looks at records.
pub(super) fn record_limit(message_max_bytes: usize, rule: &Rule) -> usize {
    let of_rule = rule.message_limit().unwrap_or(message_max_bytes);
    of_rule
        .min(message_max_bytes)
        .saturating_sub(BATCH_OVERHEAD)
}

/// A list of these headers, whatever bytes their names hold.
fn copied<'a>(headers: impl Iterator<Item = RawHeader<'a>>) -> OwnedHeaders {
    let mut list = OwnedHeaders::new();
    for header in headers {
        native::append(&mut list, &header);
    }
    list
}

impl Headers for RecordHeaders {
    fn for_each<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], &'a [u8])) {
        if let Some(headers) = self.borrowed() {
            headers.for_each(visit);
        }
    }
}

impl HeadersMut for RecordHeaders {
    fn is_empty(&self) -> bool {
        self.list.is_none()
    }

    fn remove(&mut self, names: &[&str]) -> bool {
        let is_one = |header: &RawHeader<'_>| {
            let name = header.name.to_bytes();
            names
                .iter()
                .any(|one| one.as_bytes().eq_ignore_ascii_case(name))
        };
        let is_there = |headers: &BorrowedHeaders| native::headers(headers).any(|one| is_one(&one));
        let Some(headers) = self.list.take_if(|headers| is_there(headers.as_borrowed())) else {
            return false;
        };
        // The list stays as it is, to come back; and librdkafka removes one name after the other,
        // each with a look at all headers.
        let mut kept = native::headers(headers.as_borrowed())
            .filter(|header| !is_one(header))
            .peekable();
        self.list = kept.peek().is_some().then(|| copied(kept));
        self.given.aside.get_or_insert(headers);
        true
    }

    fn append(&mut self, name: &str, value: &[u8]) {
        let headers = self.list.take().unwrap_or_default();
        self.list = Some(headers.insert(Header {
            key: name,
            value: Some(value),
        }));
        self.given.has_more = true;
    }

    fn cost(name: &str, value: &[u8]) -> usize {
        header_size(name.len(), value.len())
    }
}

/// What librdkafka reckons for a record beside its key, payload and headers
/// (`RD_KAFKAP_MESSAGE_V2_MAX_OVERHEAD`).
const RECORD_OVERHEAD: usize = 36;

/// What a batch of records has beside them, from its base offset to the number of records.
const BATCH_OVERHEAD: usize = 8 + 4 + 4 + 1 + 4 + 2 + 4 + 8 + 8 + 8 + 2 + 4 + 4;

/// Size of one header in a record batch: two lengths as varints, name and value.
fn header_size(name: usize, value: usize) -> usize {
    varint_size(name) + name + varint_size(value) + value
}

/// Bytes of a length as a zigzag varint, seven bits a byte.
fn varint_size(length: usize) -> usize {
    let zigzag_bits = (usize::BITS - length.leading_zeros() + 1) as usize;
    zigzag_bits.div_ceil(7)
}
