//! What wrapped clients do with the headers of a message, as functions: see `src/internal.rs`.

use std::time::SystemTime;

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, FrameSize};
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;

use super::{MessageHeaders, text};
use crate::amqp::attributes;
use crate::engine::propagation::{CarriedHeaders, Diagnosis, Fault};
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

/// What a received message says, and what is remarkable about its headers.
#[must_use]
pub fn diagnose(
    telemetry: &Telemetry,
    properties: &BasicProperties,
    formats: &[(&'static str, &dyn TextMapPropagator)],
) -> Diagnosis {
    let headers = properties.headers().as_ref();
    let mut diagnosis = Diagnosis::of(telemetry, headers, formats);
    for (name, value) in headers.into_iter().flatten() {
        let fault = match value {
            AMQPValue::ByteArray(_) => Fault::ByteArray,
            _ if text(value).is_none() => Fault::NotText,
            _ => continue,
        };
        diagnosis.add_about(fault, name.as_str().as_bytes());
    }
    diagnosis
}

/// When a message was sent, as far as its producer or the broker tells.
#[must_use]
pub fn sent_at(properties: &BasicProperties) -> Option<SystemTime> {
    attributes::sent_at::sent_at(properties)
}

/// How often a message was delivered by queues that it died in, as far as the broker tells.
#[must_use]
pub fn deliveries_elsewhere(properties: &BasicProperties) -> i64 {
    let headers = properties.headers().as_ref();
    headers.map_or(0, attributes::attempt::deaths_after_delivery)
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
