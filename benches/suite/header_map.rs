//! Other ways than ours into and out of the headers of a NATS message.

use async_nats::HeaderMap;
use async_nats::header::{HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt as _;

use crate::by_hand;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Headers that are not about context.
pub fn others(count: usize) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for number in 0..count {
        headers.insert(format!("x-header-{number}"), "some value");
    }
    headers
}

/// `traceparent` alone, under a name that needs no look at its letters.
pub fn inject_by_hand(context: &Context, mut headers: HeaderMap) -> HeaderMap {
    let span = context.span();
    let span = span.span_context();
    if span.is_valid() {
        let text = by_hand::write(span);
        let value = str::from_utf8(&text).ok().map(str::parse::<HeaderValue>);
        if let Some(Ok(value)) = value {
            headers.insert(TRACEPARENT, value);
        }
    }
    headers
}

pub fn extract_by_hand(headers: &HeaderMap) -> Context {
    let value = headers.get(TRACEPARENT);
    match value.and_then(|value| by_hand::parse(value.as_ref())) {
        Some(span) => Context::new().with_remote_span_context(span),
        None => Context::new(),
    }
}

pub fn inject(
    propagator: &dyn TextMapPropagator,
    context: &Context,
    headers: HeaderMap,
) -> HeaderMap {
    let mut writer = Writer(headers);
    propagator.inject_context(context, &mut writer);
    writer.0
}

pub fn extract(propagator: &dyn TextMapPropagator, headers: &HeaderMap) -> Context {
    propagator.extract_with_context(&Context::new(), &Reader(headers))
}

struct Writer(HeaderMap);

impl Injector for Writer {
    fn set(&mut self, key: &str, value: String) {
        self.0.insert(key, value);
    }
}

struct Reader<'a>(&'a HeaderMap);

impl Extractor for Reader<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(HeaderValue::as_str)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_ref()).collect()
    }
}
