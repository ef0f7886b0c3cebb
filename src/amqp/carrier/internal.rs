//! What wrapped clients do with the headers of a message, as functions: see `src/internal.rs`.

use lapin::BasicProperties;
use lapin::types::{FieldTable, FrameSize};
use opentelemetry::Context;

use super::MessageHeaders;
use crate::engine::propagation::CarriedHeaders;
use crate::telemetry::Telemetry;

/// The headers that take the place of those that the properties have, if any do.
#[must_use]
pub fn inject(
    telemetry: &Telemetry,
    context: &Context,
    properties: &BasicProperties,
) -> Option<FieldTable> {
    write(
        telemetry,
        context,
        properties,
        MessageHeaders::new(properties),
    )
}

/// What a received message carries.
#[must_use]
pub fn extract(telemetry: &Telemetry, properties: &BasicProperties) -> Context {
    let headers = properties.headers().as_ref();
    let extracted = telemetry.extract(&Context::new(), headers, |_| true);
    extracted.context
}

/// What becomes of headers that are sent on.
#[must_use]
pub fn forward(
    telemetry: &Telemetry,
    context: &Context,
    properties: &BasicProperties,
) -> Option<FieldTable> {
    let headers = MessageHeaders::new(properties);
    telemetry.extract(&Context::new(), Some(&headers), |_| true);
    write(telemetry, context, properties, headers)
}

fn write(
    telemetry: &Telemetry,
    context: &Context,
    properties: &BasicProperties,
    mut headers: MessageHeaders<'_>,
) -> Option<FieldTable> {
    let room = |headers: &MessageHeaders<'_>| headers.room(FrameSize::MAX, properties);
    telemetry.inject(context, &mut headers, CarriedHeaders::REPLACED, room);
    headers.changed()
}
