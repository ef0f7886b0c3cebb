//! What wrapped clients do with the headers of a message, as functions: see `src/internal.rs`.

use async_nats::HeaderMap;
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;

use super::{MessageHeaders, RENAMED};
use crate::engine::propagation::{CarriedHeaders, Diagnosis, Fault};
use crate::telemetry::Telemetry;
use crate::w3c::TRACEPARENT;

/// What a message that has these headers is sent with.
#[must_use]
pub fn inject(telemetry: &Telemetry, context: &Context, mut headers: HeaderMap) -> HeaderMap {
    write(telemetry, context, MessageHeaders::new(&mut headers));
    headers
}

/// What a received message carries.
#[must_use]
pub fn extract(telemetry: &Telemetry, headers: &HeaderMap) -> Context {
    let extracted = telemetry.extract(&Context::new(), Some(headers), |_| true);
    extracted.context
}

/// What a received message says, and what is remarkable about its headers.
#[must_use]
pub fn diagnose(
    telemetry: &Telemetry,
    headers: Option<&HeaderMap>,
    formats: &[(&'static str, &dyn TextMapPropagator)],
) -> Diagnosis {
    let mut diagnosis = Diagnosis::of(telemetry, headers, formats);
    let mut all = headers.into_iter().flat_map(HeaderMap::iter);
    if all.any(|(name, _)| RENAMED.eq_ignore_ascii_case(name.as_ref())) {
        diagnosis.add_about(Fault::Renamed, TRACEPARENT.as_bytes());
    }
    diagnosis
}

/// What becomes of headers that are sent on.
pub fn forward(telemetry: &Telemetry, context: &Context, headers: &mut HeaderMap) {
    let headers = MessageHeaders::new(headers);
    telemetry.extract(&Context::new(), Some(&headers), |_| true);
    write(telemetry, context, headers);
}

fn write(telemetry: &Telemetry, context: &Context, mut headers: MessageHeaders<'_>) {
    let room = |headers: &MessageHeaders<'_>| headers.room(usize::MAX, 0);
    telemetry.inject(context, &mut headers, CarriedHeaders::REPLACED, room);
    headers.finish();
}
