#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where its own set-up is wrong"
)]

mod baggage;
mod harness_traceparent;
mod harness_tracestate;
mod propagator;
mod properties;
mod sdk;
mod traceparent;

use std::sync::LazyLock;

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt, Tracer, TracerProvider};
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};

use super::propagator::Propagator;

const TRACE: &str = "12345678901234567890123456789012";
const PARENT: &str = "1234567890123456";
const UNSAMPLED: &str = "00-12345678901234567890123456789012-1234567890123456-00";
const SAMPLED: &str = "00-12345678901234567890123456789012-1234567890123456-01";

/// Headers that may repeat, with names as they were written.
#[derive(Debug, Default, PartialEq)]
struct Headers(Vec<(String, String)>);

impl Headers {
    fn new<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self(headers.into_iter().map(owned).collect())
    }

    fn extract(&self) -> Context {
        Propagator::new().extract_with_context(&Context::new(), self)
    }

    fn inject(context: &Context) -> Self {
        let mut headers = Self::default();
        Propagator::new().inject_context(context, &mut headers);
        headers
    }
}

impl Extractor for Headers {
    fn get(&self, key: &str) -> Option<&str> {
        self.get_all(key)?.first().copied()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let named = self.0.iter().filter(|(name, _)| name == key);
        let values: Vec<_> = named.map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then_some(values)
    }
}

impl Injector for Headers {
    fn set(&mut self, key: &str, value: String) {
        assert!(!value.is_empty(), "{key} is set to nothing");
        assert!(self.get(key).is_none(), "{key} is set twice");
        self.0.push((key.to_owned(), value));
    }
}

/// What a service sends on after it received `headers`: one span in between, as in the harness.
fn hop<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Headers {
    static TRACER: LazyLock<SdkTracer> = LazyLock::new(|| tracer(default_sampler()));
    Headers::inject(&child(&TRACER, &Headers::new(headers).extract()))
}

fn child(tracer: &SdkTracer, parent: &Context) -> Context {
    parent.with_span(tracer.start_with_context("child", parent))
}

fn tracer(sampler: Sampler) -> SdkTracer {
    let provider = SdkTracerProvider::builder().with_sampler(sampler).build();
    provider.tracer("w3c")
}

fn default_sampler() -> Sampler {
    Sampler::ParentBased(Box::new(Sampler::AlwaysOn))
}

fn trace_id(headers: &Headers) -> &str {
    &headers.get("traceparent").unwrap()[3..35]
}
