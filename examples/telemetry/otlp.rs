//! Exporters over OTLP/HTTP.

use std::time::Duration;

use anyhow::Result;
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::metrics::MeterProviderBuilder;
use opentelemetry_sdk::trace::TracerProviderBuilder;

use super::endpoint;

/// How long an export may take: a program shall not wait for a collector for longer when it ends.
const TIMEOUT: Duration = Duration::from_secs(2);

pub(super) fn traces(provider: TracerProviderBuilder) -> Result<TracerProviderBuilder> {
    if endpoint("TRACES").is_none() {
        return Ok(provider);
    }
    let exporter = SpanExporter::builder().with_http().with_timeout(TIMEOUT);
    Ok(provider.with_batch_exporter(exporter.build()?))
}

pub(super) fn metrics(provider: MeterProviderBuilder) -> Result<MeterProviderBuilder> {
    if endpoint("METRICS").is_none() {
        return Ok(provider);
    }
    let exporter = MetricExporter::builder().with_http().with_timeout(TIMEOUT);
    Ok(provider.with_periodic_exporter(exporter.build()?))
}
