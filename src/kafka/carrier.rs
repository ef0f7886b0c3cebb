//! Context in the headers of a Kafka record.
//!
//! Headers are an ordered list whose names may repeat and whose values may be null. By the practice
//! of all languages the name is the field's, in lower case, and the value its text; there is no W3C
//! binding for Kafka.

use std::ffi::CStr;

use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;
use rdkafka::Message;
use rdkafka::message::{
    BorrowedHeaders, BorrowedMessage, Header, Headers as _, OwnedHeaders, OwnedMessage,
};

use super::native;
use crate::propagation::{Headers, HeadersMut, extract_alone, inject_with};

/// A Kafka message whose headers can be read as the broker delivered them.
pub trait MessageHeaders: Message {
    /// The headers; `None` if the message has none.
    fn borrowed_headers(&self) -> Option<&BorrowedHeaders>;
}

impl MessageHeaders for BorrowedMessage<'_> {
    fn borrowed_headers(&self) -> Option<&BorrowedHeaders> {
        self.headers()
    }
}

impl MessageHeaders for OwnedMessage {
    fn borrowed_headers(&self) -> Option<&BorrowedHeaders> {
        self.headers().map(OwnedHeaders::as_borrowed)
    }
}

/// Writes `context` into `headers` with any propagator, for records that are sent without a span of
/// ours.
///
/// What the headers already say about context is replaced, whatever the case of its names; all
/// other headers stay as they are. Where there is no context to write, nothing changes.
///
/// ```
/// use opentelemetry::Context;
/// use otel_messaging::{kafka, w3c};
/// use rdkafka::message::OwnedHeaders;
/// use rdkafka::producer::FutureRecord;
///
/// let headers = kafka::inject(&w3c::Propagator::new(), &Context::current(), OwnedHeaders::new());
/// let record: FutureRecord<'_, str, str> = FutureRecord::to("orders").headers(headers);
/// ```
#[must_use]
pub fn inject(
    propagator: &dyn TextMapPropagator,
    context: &Context,
    headers: OwnedHeaders,
) -> OwnedHeaders {
    let mut headers = RecordHeaders(Some(headers));
    inject_with(propagator, context, &mut headers);
    headers.0.unwrap_or_default()
}

/// Reads what `message` carries onto an empty context, with any propagator.
///
/// Of several traceparents the last one that parses counts. Headers that cannot be read count as
/// absent; then the context is empty.
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
pub(super) struct RecordHeaders(pub(super) Option<OwnedHeaders>);

impl RecordHeaders {
    pub(super) fn borrowed(&self) -> Option<&BorrowedHeaders> {
        self.0.as_ref().map(OwnedHeaders::as_borrowed)
    }

    /// Bytes that headers may still take before librdkafka refuses the record.
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

impl Headers for RecordHeaders {
    fn for_each<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], &'a [u8])) {
        if let Some(headers) = self.borrowed() {
            headers.for_each(visit);
        }
    }
}

impl HeadersMut for RecordHeaders {
    fn remove(&mut self, names: &[&str]) -> bool {
        let Some(headers) = &mut self.0 else {
            return false;
        };
        let before = headers.count();
        let is_one = |name: &[u8]| {
            names
                .iter()
                .any(|one| one.as_bytes().eq_ignore_ascii_case(name))
        };
        let next = |headers: &OwnedHeaders| {
            native::headers(headers.as_borrowed())
                .map(|header| header.name)
                .find(|name| is_one(name.to_bytes()))
                .map(CStr::to_owned)
        };
        while let Some(name) = next(headers) {
            native::remove_header(headers, &name);
        }
        let left = headers.count();
        if left == 0 {
            self.0 = None;
        }
        left < before
    }

    fn append(&mut self, name: &str, value: &[u8]) {
        let headers = self.0.take().unwrap_or_default();
        self.0 = Some(headers.insert(Header {
            key: name,
            value: Some(value),
        }));
    }

    fn cost(name: &str, value: &[u8]) -> usize {
        header_size(name.len(), value.len())
    }
}

/// What librdkafka reckons for a record beside its key, payload and headers
/// (`RD_KAFKAP_MESSAGE_V2_MAX_OVERHEAD`).
const RECORD_OVERHEAD: usize = 36;

/// Size of one header in a record batch: two lengths as varints, name and value.
fn header_size(name: usize, value: usize) -> usize {
    varint_size(name) + name + varint_size(value) + value
}

/// Bytes of a length as a zigzag varint, seven bits a byte.
fn varint_size(length: usize) -> usize {
    let zigzag_bits = (usize::BITS - length.leading_zeros() + 1) as usize;
    zigzag_bits.div_ceil(7)
}
