//! The dashboard's queries, asked of a Prometheus that has what services send.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use integration::{kafka, nats, unique};
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{SdkTracerProvider, Span, SpanData, SpanProcessor};
use otel_messaging::Telemetry;
use otel_messaging::nats::Producer;
use otel_messaging::policy::{Policy, Rule};
use rdkafka::producer::FutureRecord;
use serde_json::Value;
use tokio::task::block_in_place;
use tokio::time::sleep;

use crate::{PATIENCE, given, prometheus};

pub(crate) fn dashboard() -> Value {
    let read = include_str!("grafana/dashboards/messaging.json");
    serde_json::from_str(read).expect("JSON")
}

/// The queries, each with the title of its panel.
fn queries() -> Vec<(String, String)> {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut queries = Vec::new();
    for panel in panels {
        let title = panel["title"].as_str().expect("a title");
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().expect("a query");
            // As Grafana replaces them: all services, and four times the interval of scraping.
            let query = query
                .replace("$service", ".*")
                .replace("$__rate_interval", "20s");
            assert!(!query.contains('$'), "{title}: {query}");
            queries.push((title.to_owned(), query));
        }
    }
    queries
}

/// A service that has what a dashboard shows: messages that are sent, fail, wait, and come without a context.
struct Service {
    name: String,
    telemetry: Telemetry,
    tracers: SdkTracerProvider,
    meters: SdkMeterProvider,
}

impl Service {
    fn start(name: &str) -> Self {
        let endpoint = |path| format!("{}/v1/{path}", given("OTEL_EXPORTER_OTLP_ENDPOINT"));
        let resource = Resource::builder()
            .with_service_name(name.to_owned())
            .build();
        let spans = SpanExporter::builder()
            .with_http()
            .with_endpoint(endpoint("traces"));
        let tracers = SdkTracerProvider::builder()
            .with_resource(resource.clone())
            .with_span_processor(PanicsOnce::default())
            .with_batch_exporter(spans.build().expect("an exporter"))
            .build();
        let metrics = MetricExporter::builder()
            .with_http()
            .with_endpoint(endpoint("metrics"));
        let reader = PeriodicReader::builder(metrics.build().expect("an exporter"));
        let meters = SdkMeterProvider::builder()
            .with_resource(resource)
            .with_reader(reader.with_interval(Duration::from_secs(1)).build())
            .build();
        let policy = Policy::new().rule(Rule::of("*").time_in_queue(true).lag(true));
        let telemetry = Telemetry::new()
            .tracer_provider(tracers.clone())
            .meter_provider(meters.clone())
            .policy(policy);
        Self {
            name: name.to_owned(),
            telemetry,
            tracers,
            meters,
        }
    }

    fn flush(&self) {
        block_in_place(|| {
            self.tracers.force_flush().expect("spans are exported");
            self.meters.force_flush().expect("metrics are exported");
        });
    }
}

/// Panics at its first span: what catches that counts it.
#[derive(Debug, Default)]
struct PanicsOnce(AtomicBool);

impl SpanProcessor for PanicsOnce {
    fn on_start(&self, _: &mut Span, _: &Context) {
        let again = self.0.swap(true, Ordering::Relaxed);
        assert!(
            again,
            "a span processor panics, for the panel that shows it"
        );
    }

    fn on_end(&self, _: SpanData) {}

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_query_of_the_dashboard_finds_what_services_send() {
    let queries = queries();
    assert!(queries.len() > 10, "{queries:?}");
    let shop = Service::start(&unique("shop"));
    let billing = Service::start(&unique("billing"));
    let topic = kafka::topic("orders").await;
    let (producer, consumer) = (
        kafka::producer(&shop.telemetry),
        kafka::consumer(&billing.telemetry, &topic),
    );
    let asking = Producer::wrap(&shop.telemetry, nats::client().await);
    let started = Instant::now();

    // Rates need messages over some time, and the Collector decides on a trace after ten seconds.
    loop {
        send(&producer, &topic).await;
        let nobody = asking.request(unique("stock"), "how many?".into()).await;
        assert!(nobody.is_err(), "nobody answers");
        for outcome in [Ok(()), Err("out of stock"), Ok(())] {
            let order = kafka::next(&consumer).await;
            let handled = order.process(async |_| outcome).await;
            assert_eq!(handled, outcome);
        }
        shop.flush();
        billing.flush();

        let silent = silent(&queries);
        if silent.is_empty() {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "no series:\n{silent:#?}");
        sleep(Duration::from_secs(1)).await;
    }

    let mine = format!(
        "sum by (job) (messaging_client_sent_messages_total{{job=\"{}\"}})",
        shop.name
    );
    assert_eq!(
        prometheus::query(&mine).len(),
        1,
        "`job` is the name of the service"
    );
}

/// One as usual, one without a context, and one from the future.
async fn send(producer: &otel_messaging::kafka::Producer, topic: &str) {
    let order = || FutureRecord::to(topic).key("7").payload("two books");
    let soon = SystemTime::now() + Duration::from_secs(1800);
    let soon = soon.duration_since(UNIX_EPOCH).expect("a clock after 1970");
    let soon = i64::try_from(soon.as_millis()).expect("a time");
    let bare = Context::new().with_telemetry_suppressed();
    producer.send(order(), PATIENCE).await.expect("it is sent");
    let sent = producer.send(order(), PATIENCE).with_context(bare).await;
    sent.expect("it is sent");
    let sent = producer.send(order().timestamp(soon), PATIENCE).await;
    sent.expect("it is sent");
}

/// The queries that find nothing, or no number.
fn silent(queries: &[(String, String)]) -> Vec<&(String, String)> {
    let is_silent = |(_, query): &&(String, String)| {
        let found = prometheus::query(query);
        !found.iter().any(|series| series.value.is_finite())
    };
    queries.iter().filter(is_silent).collect()
}
