//! Context and the headers of an AMQP message, by OpenTelemetry's propagators and by hand.

use lapin::types::{AMQPValue, FieldTable, LongString};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt as _;

use crate::by_hand::{parse, write};

/// Headers that are not about context.
pub fn other_headers(count: usize) -> FieldTable {
    let mut headers = FieldTable::default();
    for number in 0..count {
        let name = format!("x-header-{number}");
        headers.insert(name.into(), AMQPValue::LongString("some value".into()));
    }
    headers
}

pub fn inject(
    propagator: &dyn TextMapPropagator,
    context: &Context,
    headers: FieldTable,
) -> FieldTable {
    let mut writer = Writer(headers);
    propagator.inject_context(context, &mut writer);
    writer.0
}

pub fn extract(propagator: &dyn TextMapPropagator, headers: &FieldTable) -> Context {
    propagator.extract_with_context(&Context::new(), &Reader(headers))
}

struct Writer(FieldTable);

impl Injector for Writer {
    fn set(&mut self, key: &str, value: String) {
        self.0
            .insert(key.into(), AMQPValue::LongString(value.into()));
    }
}

struct Reader<'a>(&'a FieldTable);

impl Extractor for Reader<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let value = self.0.inner().get(key)?.as_long_string()?;
        str::from_utf8(value.as_bytes()).ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.inner().keys().map(|name| name.as_str()).collect()
    }
}

pub fn inject_by_hand(context: &Context, mut headers: FieldTable) -> FieldTable {
    let span = context.span();
    let span = span.span_context();
    if span.is_valid() {
        let text = LongString::from(write(span));
        headers.insert("traceparent".into(), AMQPValue::LongString(text));
    }
    headers
}

pub fn extract_by_hand(headers: &FieldTable) -> Context {
    let text = headers.inner().get("traceparent");
    let text = text.and_then(AMQPValue::as_long_string);
    match text.and_then(|text| parse(text.as_bytes())) {
        Some(span) => Context::new().with_remote_span_context(span),
        None => Context::new(),
    }
}
