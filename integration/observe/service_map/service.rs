//! A service of the map.

use async_nats::Client;
use integration::nats::client;
use opentelemetry::Context;
use opentelemetry::trace::{SpanKind, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use otel_messaging::Telemetry;
use otel_messaging::nats::{Consumer, Producer};
use otel_messaging::policy::{Incoming, Policy, Rule};
use tokio::task::block_in_place;

use crate::given;

/// A connection, and spans of its own, which go to the Collector, and to a Jaeger that keeps all of them.
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) client: Client,
    pub(crate) producer: Producer,
    pub(crate) consumer: Consumer,
    provider: SdkTracerProvider,
}

impl Service {
    pub(crate) async fn start(name: &str) -> Self {
        let resource = Resource::builder().with_service_name(name.to_owned());
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.build())
            .with_batch_exporter(exporter("OTEL_EXPORTER_OTLP_ENDPOINT"))
            .with_batch_exporter(exporter("UNSAMPLED_JAEGER_OTLP_URL"))
            .build();
        let policy = Policy::new()
            .rule(Rule::of("linked*").incoming(Incoming::LinkOnly))
            .rule(Rule::of("bare-batches*").create_spans(false))
            .rule(Rule::of("fanned*").fan_back(1000));
        let telemetry = Telemetry::new().tracer_provider(provider.clone());
        let telemetry = telemetry.policy(policy);
        let client = client().await;
        Self {
            name: name.to_owned(),
            producer: Producer::wrap(&telemetry, client.clone()),
            consumer: Consumer::wrap(&telemetry, client.clone()),
            client,
            provider,
        }
    }

    /// A request of this service: the context of its span, which ends with the context.
    pub(crate) fn request(&self) -> Context {
        let tracer = self.provider.tracer("map");
        let span = tracer.span_builder("POST /orders");
        let span = span.with_kind(SpanKind::Server).start(&tracer);
        Context::new().with_span(span)
    }

    pub(crate) fn flush(&self) {
        block_in_place(|| self.provider.force_flush()).expect("all is exported");
    }
}

fn exporter(variable: &str) -> SpanExporter {
    let endpoint = format!("{}/v1/traces", given(variable));
    let exporter = SpanExporter::builder().with_http().with_endpoint(endpoint);
    exporter.build().expect("an exporter")
}
