//! How many spans were recorded, and how many of these the batch processor has dropped.
//!
//! The SDK counts what it drops, but tells it in its log alone. So what goes into the batch processor is counted, and
//! what comes out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};
use serde::{Deserialize, Serialize};

/// Numbers of spans.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Counts {
    /// That have ended. What a sampler drops is not recorded.
    pub(crate) recorded: u64,
    /// Those of them that are to be exported.
    pub(crate) sampled: u64,
    /// Those of them that the exporter has got from the batch processor.
    pub(crate) handed_over: u64,
    /// Those of them that it has exported.
    pub(crate) exported: u64,
}

impl Counts {
    /// What the batch processor has dropped, once it was shut down: its queue was full, or there was no time left.
    pub(crate) const fn dropped(&self) -> u64 {
        self.sampled.saturating_sub(self.handed_over)
    }

    pub(crate) const fn add(&mut self, other: Self) {
        self.recorded += other.recorded;
        self.sampled += other.sampled;
        self.handed_over += other.handed_over;
        self.exported += other.exported;
    }
}

/// Counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counter(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    recorded: AtomicU64,
    sampled: AtomicU64,
    handed_over: AtomicU64,
    exported: AtomicU64,
}

impl Counter {
    pub(crate) fn counts(&self) -> Counts {
        let Counters {
            recorded,
            sampled,
            handed_over,
            exported,
        } = &*self.0;
        Counts {
            recorded: recorded.load(Ordering::Relaxed),
            sampled: sampled.load(Ordering::Relaxed),
            handed_over: handed_over.load(Ordering::Relaxed),
            exported: exported.load(Ordering::Relaxed),
        }
    }

    /// An exporter, whose spans are counted.
    pub(crate) fn around<E>(&self, exporter: E) -> Counted<E> {
        Counted {
            exporter,
            counter: self.clone(),
        }
    }
}

/// Is told of each span that the batch processor beside it is told of.
impl SpanProcessor for Counter {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.recorded.fetch_add(1, Ordering::Relaxed);
        if span.span_context.is_sampled() {
            self.0.sampled.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// An exporter, and the spans that it is given.
#[derive(Debug)]
pub(crate) struct Counted<E> {
    exporter: E,
    counter: Counter,
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let Counter(counters) = &self.counter;
        counters.handed_over.fetch_add(spans, Ordering::Relaxed);
        let exported = self.exporter.export(batch).await;
        if exported.is_ok() {
            counters.exported.fetch_add(spans, Ordering::Relaxed);
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
