//! What is looked up and measured for each message, as functions.

use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::Context;
use opentelemetry::trace::Link;
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;

use crate::engine::client::Client;
use crate::engine::destination::{Destination, Name};
use crate::engine::operation::Operation;
use crate::engine::parent::ParentAndLinks;
use crate::engine::span::StartedOperation;
use crate::policy::{Policy, Record, Rule};
use crate::sample::{CLIENT_ID, GROUP, TOPIC};
use crate::semconv::operation_type::OperationType;
use crate::telemetry::Telemetry;

/// A client with a policy of so many rules, and metrics that nobody takes.
pub struct Wrapped(Arc<Client>);

impl Wrapped {
    /// A client of this provider, with the default policy.
    pub fn traced(provider: SdkTracerProvider) -> Self {
        Self::of(&Telemetry::new().tracer_provider(provider))
    }

    pub fn with_rules(rules: usize) -> Self {
        let others = (0..rules).map(|number| Rule::of(&format!("partner-{number}.*")));
        let policy = others.fold(Policy::new(), |policy, rule| {
            policy.rule(rule.record(Record::Off))
        });
        let telemetry = Telemetry::new()
            .policy(policy)
            .meter_provider(meter_provider());
        Self::of(&telemetry)
    }

    fn of(telemetry: &Telemetry) -> Self {
        let mut client = Client::new(telemetry, "kafka");
        client.id = Some(CLIENT_ID.into());
        client.consumer_group = Some(GROUP.into());
        Self(Arc::new(client))
    }

    /// What holds for the topic, as each message asks for it.
    pub fn look_up(&self) -> impl Sized + use<> {
        self.destination()
    }

    /// What the first message asks for.
    pub fn first_look_up(&self) -> impl Sized + use<> {
        self.0.telemetry.rules().rule_for(TOPIC)
    }

    /// The metrics of a record that was sent.
    pub fn sent(&self, from: SystemTime, to: SystemTime) {
        let destination = self.destination();
        let operation = self.operation(OperationType::Send, "send", &destination);
        let elapsed = to.duration_since(from).unwrap_or_default();
        self.0.telemetry.measure(|instruments| {
            instruments.sent(&operation, None);
            instruments.ended(&operation, elapsed, None);
        });
    }

    /// The metrics of a message that was received and processed.
    pub fn processed(&self, from: SystemTime, to: SystemTime) {
        let destination = self.destination();
        let received = self.operation(OperationType::Receive, "poll", &destination);
        let processed = self.operation(OperationType::Process, "process", &destination);
        let elapsed = to.duration_since(from).unwrap_or_default();
        self.0
            .telemetry
            .measure(|instruments| instruments.consumed(&received, 1));
        self.0
            .telemetry
            .measure(|instruments| instruments.ended(&processed, elapsed, None));
    }

    /// The processing of a batch whose messages have these links.
    pub fn processed_together(&self, links: Vec<Link>) {
        let destination = self.destination();
        let messages = links.len();
        let operation = Operation {
            batch: Some(messages),
            ..self.operation(OperationType::Process, "process", &destination)
        };
        let parent = Context::new();
        let parent_and_links = ParentAndLinks {
            parent,
            links,
            beside: None,
        };
        drop(StartedOperation::start(&operation, parent_and_links));
    }

    fn destination(&self) -> Arc<Destination> {
        self.0.destination(Name::lasting(TOPIC))
    }

    fn operation<'a>(
        &'a self,
        operation_type: OperationType,
        operation_name: &'static str,
        destination: &'a Arc<Destination>,
    ) -> Operation<'a> {
        Operation {
            client: &self.0,
            operation_type,
            operation_name,
            destination: Some(destination),
            partition: Some(0),
            batch: None,
        }
    }
}

pub fn meter_provider() -> SdkMeterProvider {
    SdkMeterProvider::builder()
        .with_periodic_exporter(InMemoryMetricExporter::default())
        .build()
}
