//! What is resolved late, and what the environment says.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use opentelemetry::global;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::context::without_span;
use opentelemetry::Context;
use opentelemetry::trace::SpanBuilder;

use super::*;
use crate::semconv::exception::Exception;
use crate::semconv::operation_type::OperationType;

/// Counts events.
#[derive(Clone, Default)]
struct Count(Arc<AtomicUsize>);

impl Subscriber for Count {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("otel_messaging")
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Set in the process of its own that a test runs itself in.
const IS_CHILD: &str = "OTEL_MESSAGING_TEST_ALONE";

/// Runs a test of this crate in a process of its own, with this in its environment.
pub(crate) fn alone(test: &str, environment: &[(&str, &str)]) {
    let itself = env::current_exe().expect("the test's own program");
    let output = Command::new(itself)
        .args(["--exact", test])
        .env(IS_CHILD, "yes")
        .envs(environment.iter().copied())
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{environment:?}: {told}"
    );
}

/// The environment is for a process as a whole.
#[test]
fn the_environment_limits_links_as_it_does_for_the_sdk() {
    const LIMIT: &str = "OTEL_SPAN_LINK_COUNT_LIMIT";
    if env::var_os(IS_CHILD).is_some() {
        let sdk = opentelemetry_sdk::trace::Config::default().span_limits;
        let ours = Telemetry::new().max_links;
        assert_eq!(u32::try_from(ours), Ok(sdk.max_links_per_span));
        assert_eq!(Telemetry::new().max_links(3).max_links, 3);
        return;
    }
    for limit in [
        "7",
        "0",
        "300",
        "4294967295",
        "4294967296",
        "-1",
        "many",
        "",
    ] {
        let test = "telemetry::tests::the_environment_limits_links_as_it_does_for_the_sdk";
        alone(test, &[(LIMIT, limit)]);
    }
}

/// What has been told is remembered for a process as a whole.
#[test]
fn a_panic_of_telemetry_code_is_told_once_for_each_component() {
    if env::var_os(IS_CHILD).is_none() {
        return alone(
            "telemetry::tests::a_panic_of_telemetry_code_is_told_once_for_each_component",
            &[],
        );
    }
    let reports = Count::default();
    let telemetry = Telemetry::new();
    let panics = || -> Option<()> { std::panic::resume_unwind(Box::new("in telemetry code")) };

    tracing::subscriber::with_default(reports.clone(), || {
        for component in [Component::Propagator, Component::Classifier] {
            for _ in 0..3 {
                assert_eq!(telemetry.caught(component, panics), None);
            }
        }
    });

    assert_eq!(reports.0.load(Ordering::Relaxed), 2);
}

#[test]
fn a_missing_provider_is_reported_once_and_used_as_soon_as_it_is_there() {
    let reports = Count::default();
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .build();
    let telemetry = Telemetry::new();
    let start = |name| {
        let started = telemetry.start(SpanBuilder::from_name(name), &Context::new(), |_| {});
        started.context.span().end();
    };

    tracing::subscriber::with_default(reports.clone(), || {
        start("before");
        start("still before");
        global::set_tracer_provider(provider);
        start("after");
    });

    let names: Vec<_> = exporter
        .get_finished_spans()
        .unwrap_or_default()
        .into_iter()
        .map(|span| {
            (
                span.name,
                span.instrumentation_scope.schema_url().map(str::to_owned),
            )
        })
        .collect();
    assert_eq!(names, [("after".into(), Some(SCHEMA_URL.to_owned()))]);
    assert_eq!(reports.0.load(Ordering::Relaxed), 1);
}

#[test]
fn a_global_meter_provider_is_used_as_soon_as_it_is_there() {
    let exporter = InMemoryMetricExporter::default();
    let provider = SdkMeterProvider::builder()
        .with_periodic_exporter(exporter.clone())
        .build();
    let telemetry = Telemetry::new();
    let count = || {
        let component = KeyValue::new(COMPONENT, "test");
        telemetry.measure(|instruments| instruments.panicked(component));
    };

    count();
    global::set_meter_provider(provider.clone());
    count();
    count();

    provider.force_flush().expect("an export");
    let exported = exporter.get_finished_metrics().expect("the metrics");
    let counted = exported
        .iter()
        .flat_map(|all| all.scope_metrics())
        .flat_map(|scope| scope.metrics())
        .filter(|metric| metric.name() == "otel_messaging.telemetry.panics")
        .filter_map(|metric| match metric.data() {
            AggregatedMetrics::U64(MetricData::Sum(sum)) => {
                let mut points = sum.data_points();
                let own = KeyValue::new(COMPONENT, "test");
                points.find(|point| point.attributes().any(|one| *one == own))
            }
            _ => None,
        })
        .map(|point| point.value());
    assert_eq!(counted.collect::<Vec<_>>(), [2]);
}

#[test]
fn exceptions_are_logged_in_the_same_scope_as_spans() {
    let logs = opentelemetry_sdk::logs::InMemoryLogExporter::default();
    let provider = opentelemetry_sdk::logs::SdkLoggerProvider::builder()
        .with_simple_exporter(logs.clone())
        .build();
    let telemetry = Telemetry::new().logger_provider(provider);
    let exception = Exception {
        name: None,
        message: "no stock".to_owned(),
        stacktrace: Some("0: main".to_owned()),
    };

    let operation_type = OperationType::Process;
    assert!(telemetry.logs_exceptions(operation_type));
    telemetry.log_exception(
        operation_type,
        &without_span(&Context::new()),
        SystemTime::UNIX_EPOCH,
        &exception,
    );

    let logs = logs.get_emitted_logs().expect("no panic");
    let [log] = &logs[..] else {
        unreachable!("one record: {logs:?}");
    };
    assert!(log.record.trace_context().is_none(), "{log:?}");
    assert_eq!(log.instrumentation, scope());
    assert_eq!(log.record.timestamp(), Some(SystemTime::UNIX_EPOCH));
    assert_eq!(log.record.trace_context(), None);
    let attributes = log.record.attributes_iter();
    let attributes: Vec<_> = attributes
        .map(|(key, value)| (key.as_str(), value.clone()))
        .collect();
    assert_eq!(
        attributes,
        [
            ("exception.message", "no stock".into()),
            ("exception.stacktrace", "0: main".into()),
        ]
    );
}
