//! The ways that take turns, and the telemetry that each has for itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{SdkMeterProvider, Temporality};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData, SpanExporter,
};
use otel_messaging::Telemetry;

/// Whose way it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// The client, with messages that have no headers.
    Client,
    /// The client, with the header that the others write: what they are compared with.
    ClientWithHeader,
    /// The same spans with all that can be known before written down, and no look at anything else.
    ByHand,
    Ours,
    /// The same spans with OpenTelemetry's propagators, as one writes them who knows no destination.
    Stock,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) who: Who,
    pub(crate) is_sampled: bool,
    pub(crate) has_metrics: bool,
}

impl Way {
    /// All ways. Those without telemetry are for themselves.
    pub(crate) fn all() -> Vec<Self> {
        let plain = |who| Self {
            who,
            is_sampled: false,
            has_metrics: false,
        };
        let mut all = vec![plain(Who::Client), plain(Who::ClientWithHeader)];
        for who in [Who::ByHand, Who::Ours, Who::Stock] {
            for is_sampled in [false, true] {
                all.extend([false, true].map(|has_metrics| Self {
                    who,
                    is_sampled,
                    has_metrics,
                }));
            }
        }
        all
    }

    pub(crate) const fn name(self) -> &'static str {
        match self.who {
            Who::Client => "client alone",
            Who::ClientWithHeader => "client with header",
            Who::ByHand => "by hand",
            Who::Ours => "ours",
            Who::Stock => "stock",
        }
    }
}

/// What a way records with.
#[derive(Debug)]
pub(crate) struct Providers {
    pub(crate) tracers: SdkTracerProvider,
    pub(crate) meters: Option<SdkMeterProvider>,
    exported: Arc<AtomicU64>,
}

impl Providers {
    /// A batch processor with so long a queue that it drops nothing, and an exporter that throws
    /// everything away.
    pub(crate) fn of(way: Way) -> Self {
        let exported = Arc::new(AtomicU64::new(0));
        let exporter = Nowhere(Arc::clone(&exported));
        let queue = BatchConfigBuilder::default().with_max_queue_size(QUEUE);
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(queue.build());
        let root = if way.is_sampled {
            Sampler::AlwaysOn
        } else {
            Sampler::AlwaysOff
        };
        let tracers = SdkTracerProvider::builder()
            .with_span_processor(processor.build())
            .with_sampler(Sampler::ParentBased(Box::new(root)));
        let meters = way.has_metrics.then(|| {
            let meters = SdkMeterProvider::builder().with_periodic_exporter(Nobody);
            meters.build()
        });
        Self {
            tracers: tracers.build(),
            meters,
            exported,
        }
    }

    pub(crate) fn telemetry(&self) -> Telemetry {
        let telemetry = Telemetry::new().tracer_provider(self.tracers.clone());
        match &self.meters {
            Some(meters) => telemetry.meter_provider(meters.clone()),
            None => telemetry,
        }
    }

    /// Waits until all spans are exported, and says how many that were since the last time.
    pub(crate) fn flush(&self) -> Result<u64> {
        self.tracers.force_flush()?;
        Ok(self.exported.swap(0, Ordering::Relaxed))
    }
}

/// More spans than a turn has.
const QUEUE: usize = 1 << 18;

/// Throws spans away, and counts them.
#[derive(Debug)]
struct Nowhere(Arc<AtomicU64>);

impl SpanExporter for Nowhere {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.fetch_add(batch.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

/// Throws metrics away.
struct Nobody;

impl PushMetricExporter for Nobody {
    async fn export(&self, _: &ResourceMetrics) -> OTelSdkResult {
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}
