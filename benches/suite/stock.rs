//! OpenTelemetry's own propagators, with the carriers that one writes for them: no map in between.

use opentelemetry::Context;
use opentelemetry::propagation::{
    Extractor, Injector, TextMapCompositePropagator, TextMapPropagator,
};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use rdkafka::message::{BorrowedHeaders, Header, Headers as _, OwnedHeaders};

pub fn trace() -> TraceContextPropagator {
    TraceContextPropagator::new()
}

/// What the crate's own propagator carries too.
pub fn trace_and_baggage() -> TextMapCompositePropagator {
    TextMapCompositePropagator::new(vec![Box::new(trace()), Box::new(BaggagePropagator::new())])
}

pub fn inject(
    propagator: &dyn TextMapPropagator,
    context: &Context,
    headers: OwnedHeaders,
) -> OwnedHeaders {
    let mut writer = Writer(Some(headers));
    propagator.inject_context(context, &mut writer);
    writer.0.unwrap_or_default()
}

pub fn extract(propagator: &dyn TextMapPropagator, headers: &BorrowedHeaders) -> Context {
    propagator.extract_with_context(&Context::new(), &Reader(headers))
}

struct Writer(Option<OwnedHeaders>);

impl Injector for Writer {
    fn set(&mut self, key: &str, value: String) {
        let headers = self.0.take().unwrap_or_default();
        self.0 = Some(headers.insert(Header {
            key,
            value: Some(&value),
        }));
    }
}

struct Reader<'a>(&'a BorrowedHeaders);

impl Extractor for Reader<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let header = self.0.iter().find(|header| header.key == key)?;
        str::from_utf8(header.value?).ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|header| header.key).collect()
    }
}

/// A message that is nothing but its context headers, to measure the codecs alone.
#[derive(Debug, Default)]
pub struct Fields(pub Vec<(&'static str, String)>);

impl Extractor for Fields {
    fn get(&self, key: &str) -> Option<&str> {
        let field = self.0.iter().find(|(name, _)| *name == key)?;
        Some(&field.1)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| *name).collect()
    }
}

/// Takes what is written and forgets it, to measure the codecs alone.
#[derive(Debug)]
pub struct Nowhere;

impl Injector for Nowhere {
    fn set(&mut self, key: &str, value: String) {
        std::hint::black_box((key, value));
    }
}

impl Injector for Fields {
    fn set(&mut self, key: &str, value: String) {
        let names = ["traceparent", "tracestate", "baggage"];
        let name = names.into_iter().find(|name| *name == key);
        self.0.extend(name.map(|name| (name, value)));
    }
}
