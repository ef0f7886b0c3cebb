//! Headers of any bytes, as other clients send them.

use std::ffi::{CStr, c_char, c_void};
use std::ptr;

use otel_messaging::kafka;
use rdkafka::bindings;
use rdkafka::message::OwnedHeaders;

use crate::Header;

/// Headers of any bytes, names that are not UTF-8 included, as other clients can send them.
#[expect(unsafe_code, reason = "rdkafka only takes names that are UTF-8")]
pub fn raw_headers(headers: &[Header]) -> Option<OwnedHeaders> {
    if headers.is_empty() {
        return None;
    }
    let list = OwnedHeaders::new();
    let native = ptr::from_ref(list.as_borrowed())
        .cast::<bindings::rd_kafka_headers_t>()
        .cast_mut();
    for (name, value) in headers {
        let (bytes, size) = value.as_ref().map_or((ptr::null(), 0), |value| {
            (value.as_ptr().cast::<c_void>(), value.len())
        });
        // SAFETY: the list is ours alone; names and values are copied before the call returns.
        unsafe {
            bindings::rd_kafka_header_add(
                native,
                name.as_ptr().cast::<c_char>(),
                isize::try_from(name.len()).expect("a short name"),
                bytes,
                isize::try_from(size).expect("a value that fits"),
            );
        }
    }
    Some(list)
}

/// The headers of a message as they are on the wire.
#[expect(unsafe_code, reason = "rdkafka panics on names that are not UTF-8")]
pub fn wire_headers(message: &impl kafka::MessageHeaders) -> Vec<Header> {
    let Some(headers) = message.borrowed_headers() else {
        return Vec::new();
    };
    let native = ptr::from_ref(headers).cast::<bindings::rd_kafka_headers_t>();
    let mut found = Vec::new();
    loop {
        let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the list is borrowed from the message, and the out pointers are to live locals.
        // What they are set to is copied while the list is unchanged.
        unsafe {
            let status = bindings::rd_kafka_header_get_all(
                native,
                found.len(),
                &mut name,
                &mut value,
                &mut size,
            );
            if status != bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return found;
            }
            let name = CStr::from_ptr(name).to_bytes().to_vec();
            let value = (!value.is_null())
                .then(|| std::slice::from_raw_parts(value.cast::<u8>(), size).to_vec());
            found.push((name, value));
        }
    }
}
