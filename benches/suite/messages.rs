//! Clients whose look-ups, metrics and spans are measured apart from their messages.

use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;
use otel_messaging::Telemetry;
use otel_messaging::internal::Wrapped;
use otel_messaging::policy::{Policy, Record, Rule};

use crate::sample::{CLIENT_ID, GROUP, TOPIC};

/// A client of this provider, with the default policy.
pub fn traced(provider: SdkTracerProvider) -> Wrapped {
    wrapped(&Telemetry::new().tracer_provider(provider))
}

/// A client with a policy of so many rules, and metrics that nobody takes.
pub fn with_rules(rules: usize) -> Wrapped {
    let others = (0..rules).map(|number| Rule::of(&format!("partner-{number}.*")));
    let policy = others.fold(Policy::new(), |policy, rule| {
        policy.rule(rule.record(Record::Off))
    });
    let telemetry = Telemetry::new()
        .policy(policy)
        .meter_provider(meter_provider());
    wrapped(&telemetry)
}

fn wrapped(telemetry: &Telemetry) -> Wrapped {
    Wrapped::new(telemetry, "kafka", CLIENT_ID, GROUP, TOPIC)
}

pub fn meter_provider() -> SdkMeterProvider {
    SdkMeterProvider::builder()
        .with_periodic_exporter(InMemoryMetricExporter::default())
        .build()
}
