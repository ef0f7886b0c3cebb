//! Headers of rdkafka's messages.
#![expect(
    unsafe_code,
    reason = "rdkafka writes no header name that is not UTF-8, and panics when it reads one"
)]

use std::ffi::{CStr, CString, c_char, c_void};
use std::{ptr, slice};

use opentelemetry::Context;
use otel_messaging::{kafka, w3c::Propagator};
use rdkafka::bindings;
use rdkafka::message::{OwnedHeaders, OwnedMessage, Timestamp};

use super::{Carrier, TELEMETRY};
use crate::input::{Form, Header};
use crate::reference::Order;

pub struct Kafka;

impl Carrier for Kafka {
    type Headers = OwnedHeaders;
    type Value = Option<Vec<u8>>;

    const ORDER: Order = Order::AsSent;

    fn of(headers: &[Header]) -> OwnedHeaders {
        let mut list = OwnedHeaders::new_with_capacity(headers.len());
        for header in headers {
            // The client ends a name with its first NUL.
            if let Ok(name) = CString::new(&*header.name) {
                append(&mut list, &name, value(header));
            }
        }
        list
    }

    fn list(headers: &OwnedHeaders) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        (0..).map_while(|index| header(headers, index)).collect()
    }

    fn text(value: &Option<Vec<u8>>) -> Option<&[u8]> {
        value.as_deref()
    }

    fn written(text: String) -> Option<Vec<u8>> {
        Some(text.into_bytes())
    }

    fn inject(context: &Context, headers: OwnedHeaders) -> OwnedHeaders {
        let mut headers = Some(headers);
        kafka::inject(&Propagator::new(), context, &mut headers);
        headers.unwrap_or_default()
    }

    fn sent(context: &Context, headers: OwnedHeaders) -> OwnedHeaders {
        let given = Self::list(&headers);
        let restored = kafka::internal::forward(&TELEMETRY, context, Some(headers.clone()));
        let restored = restored.as_ref().map(Self::list);
        assert_eq!(
            restored.unwrap_or_default(),
            given,
            "of a record that was refused"
        );
        kafka::internal::inject(&TELEMETRY, context, Some(headers)).unwrap_or_default()
    }

    fn extract(headers: &OwnedHeaders) -> Context {
        let message = OwnedMessage::new(
            None,
            None,
            "orders".to_owned(),
            Timestamp::NotAvailable,
            0,
            0,
            Some(headers.clone()),
        );
        kafka::extract(&Propagator::new(), &message)
    }

    fn received(headers: &OwnedHeaders) -> Context {
        kafka::internal::extract(&TELEMETRY, headers.as_borrowed())
    }
}

fn value(header: &Header) -> Option<&[u8]> {
    match header.form {
        Form::Null => None,
        _ => Some(&header.value),
    }
}

fn native(headers: &OwnedHeaders) -> *const bindings::rd_kafka_headers_t {
    ptr::from_ref(headers.as_borrowed()).cast()
}

fn append(headers: &mut OwnedHeaders, name: &CStr, value: Option<&[u8]>) {
    let (value, size) = value.map_or((ptr::null(), 0), |value| {
        (value.as_ptr().cast::<c_void>(), value.len())
    });
    // SAFETY: the pointer is librdkafka's own list, borrowed mutably here. Name and value are as long
    // as is said, and are copied before the call returns.
    let status = unsafe {
        let native = native(headers).cast_mut();
        bindings::rd_kafka_header_add(native, name.as_ptr(), -1, value, size.cast_signed())
    };
    assert_eq!(
        status,
        bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
    );
}

fn header(headers: &OwnedHeaders, index: usize) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let mut name: *const c_char = ptr::null();
    let mut value: *const c_void = ptr::null();
    let mut size = 0;
    // SAFETY: the pointer is librdkafka's own list, alive as long as `headers`. The out pointers are
    // to live locals; an index past the end is an error that leaves them alone.
    let status = unsafe {
        bindings::rd_kafka_header_get_all(native(headers), index, &mut name, &mut value, &mut size)
    };
    if status != bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        return None;
    }
    // SAFETY: librdkafka ends every name with a NUL, and a value that is not null has `size` bytes.
    // Both stay as they are while the list is borrowed.
    unsafe {
        let value =
            (!value.is_null()).then(|| slice::from_raw_parts(value.cast::<u8>(), size).to_vec());
        Some((CStr::from_ptr(name).to_bytes().to_vec(), value))
    }
}
