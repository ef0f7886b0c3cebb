//! What wrapped clients do with the headers of a message, as functions: see `src/internal.rs`.

use async_nats::HeaderMap;
use opentelemetry::Context;

use super::MessageHeaders;
use crate::engine::propagation::CarriedHeaders;
use crate::telemetry::Telemetry;

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
