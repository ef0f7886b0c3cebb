//! The least that carries a trace: `traceparent` alone, digit by digit, in the header of that name.
#![expect(unsafe_code, reason = "rdkafka has no safe form of a look-up by name")]

use std::ffi::c_void;
use std::{ptr, slice};

use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use rdkafka::bindings;
use rdkafka::message::{BorrowedHeaders, Header, OwnedHeaders};

pub fn write(span: &SpanContext) -> [u8; 55] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = *b"00-................................-................-00";
    let trace_id = span.trace_id().to_bytes();
    let span_id = span.span_id().to_bytes();
    let flags = [span.trace_flags().to_u8() & 1];
    let fields: [(usize, &[u8]); 3] = [(3, &trace_id), (36, &span_id), (53, &flags)];
    for (start, bytes) in fields {
        for (digits, byte) in text[start..].chunks_exact_mut(2).zip(bytes) {
            digits[0] = DIGITS[usize::from(byte >> 4)];
            digits[1] = DIGITS[usize::from(byte & 15)];
        }
    }
    text
}

pub fn parse(text: &[u8]) -> Option<SpanContext> {
    let text: &[u8; 55] = text.try_into().ok()?;
    let dashes = [text[2], text[35], text[52]];
    if &text[..2] != b"00" || dashes != *b"---" {
        return None;
    }
    let flags: [u8; 1] = bytes(&text[53..])?;
    let span = SpanContext::new(
        TraceId::from_bytes(bytes(&text[3..35])?),
        SpanId::from_bytes(bytes(&text[36..52])?),
        TraceFlags::new(flags[0] & 1),
        true,
        TraceState::NONE,
    );
    span.is_valid().then_some(span)
}

fn bytes<const SIZE: usize>(digits: &[u8]) -> Option<[u8; SIZE]> {
    const VALUES: [u8; 256] = {
        let mut values = [0xff; 256];
        let mut value = 0;
        while value < 16 {
            values[b"0123456789abcdef"[value] as usize] = value as u8;
            value += 1;
        }
        values
    };
    let mut bytes = [0; SIZE];
    let mut all = 0;
    for (byte, digits) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = [0, 1].map(|digit| VALUES[usize::from(digits[digit])]);
        all |= high | low;
        *byte = high << 4 | low;
    }
    (all < 16).then_some(bytes)
}

pub fn inject(context: &Context, headers: OwnedHeaders) -> OwnedHeaders {
    let span = context.span();
    let span = span.span_context();
    if !span.is_valid() {
        return headers;
    }
    headers.insert(Header {
        key: "traceparent",
        value: Some(&write(span)),
    })
}

pub fn extract(headers: &BorrowedHeaders) -> Context {
    let native = ptr::from_ref(headers).cast::<bindings::rd_kafka_headers_t>();
    let mut value: *const c_void = ptr::null();
    let mut size = 0;
    // SAFETY: the list is borrowed, the name ends with a NUL, the out pointers are to live locals.
    let status = unsafe {
        bindings::rd_kafka_header_get_last(native, c"traceparent".as_ptr(), &mut value, &mut size)
    };
    if status != bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || value.is_null() {
        return Context::new();
    }
    // SAFETY: the value has `size` bytes, which stay unchanged while the list is borrowed.
    let value = unsafe { slice::from_raw_parts(value.cast::<u8>(), size) };
    match parse(value) {
        Some(span) => Context::new().with_remote_span_context(span),
        None => Context::new(),
    }
}
