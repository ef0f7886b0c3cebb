//! What wrapped clients do with the headers of a record, as functions: see `src/internal.rs`.

use std::ffi::CStr;

use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;
use rdkafka::message::{BorrowedHeaders, OwnedHeaders};

use super::super::native::{self, RawHeader};
use super::RecordHeaders;
use crate::engine::propagation::{CarriedHeaders, Diagnosis, Fault};
use crate::telemetry::Telemetry;

/// What a record that has these headers is sent with.
#[must_use]
pub fn inject(
    telemetry: &Telemetry,
    context: &Context,
    headers: Option<OwnedHeaders>,
) -> Option<OwnedHeaders> {
    let mut headers = RecordHeaders::new(headers);
    write(telemetry, context, &mut headers);
    headers.into_parts().0
}

/// What a received record carries.
#[must_use]
pub fn extract(telemetry: &Telemetry, headers: &BorrowedHeaders) -> Context {
    let extracted = telemetry.extract(&Context::new(), Some(headers), |_| true);
    extracted.context
}

/// What comes back of headers that are sent on, and refused.
#[must_use]
pub fn forward(
    telemetry: &Telemetry,
    context: &Context,
    headers: Option<OwnedHeaders>,
) -> Option<OwnedHeaders> {
    let mut headers = RecordHeaders::new(headers);
    telemetry.extract(&Context::new(), Some(&headers), |_| true);
    write(telemetry, context, &mut headers);
    let (sent, given) = headers.into_parts();
    given.restored(sent)
}

/// What a received record says, and what is remarkable about its headers.
#[must_use]
pub fn diagnose(
    telemetry: &Telemetry,
    headers: Option<&BorrowedHeaders>,
    formats: &[(&'static str, &dyn TextMapPropagator)],
) -> Diagnosis {
    let mut diagnosis = Diagnosis::of(telemetry, headers, formats);
    let all = headers.into_iter().flat_map(native::headers);
    for null in all.filter(|header| header.value.is_none()) {
        diagnosis.add_about(Fault::NotText, null.name.to_bytes());
    }
    diagnosis
}

/// The headers of a record, whatever bytes they hold.
pub fn raw_headers(headers: &BorrowedHeaders) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    native::headers(headers).map(|header| (header.name.to_bytes(), header.value))
}

/// A list of headers of any bytes.
#[must_use]
pub fn headers<'a>(headers: impl Iterator<Item = (&'a CStr, Option<&'a [u8]>)>) -> OwnedHeaders {
    let mut list = OwnedHeaders::new();
    for (name, value) in headers {
        native::append(&mut list, &RawHeader { name, value });
    }
    list
}

fn write(telemetry: &Telemetry, context: &Context, headers: &mut RecordHeaders) {
    let room = |headers: &RecordHeaders| headers.room(usize::MAX, None, None);
    telemetry.inject(context, headers, CarriedHeaders::REPLACED, room);
}
