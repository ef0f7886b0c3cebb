//! Parts of what is done for a message, each as a function: the benchmarks in `benches/` measure them
//! alone, and the command in `src/bin/` tells what they find.
//!
//! Nothing here is for users. The feature `__internal` brings it, here and in the module `internal` of
//! each client, and any release may change it. What can be done through the public API is not here.

use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{Link, SpanContext, TraceState};

use crate::engine::client::Client;
use crate::engine::destination::{Destination, Name};
use crate::engine::operation::Operation;
use crate::engine::parent::ParentAndLinks;
use crate::engine::propagation::Headers;
pub use crate::engine::propagation::{Diagnosis, Fault, Finding};
use crate::engine::span::StartedOperation;
use crate::semconv::operation_type::OperationType;
use crate::telemetry::Telemetry;
use crate::w3c::traceparent::TraceParent;

/// The text of a `traceparent`.
#[must_use]
pub fn write_traceparent(span: &SpanContext) -> [u8; 55] {
    TraceParent {
        trace_id: span.trace_id(),
        parent_id: span.span_id(),
        flags: span.trace_flags(),
    }
    .write()
}

/// What the text of a `traceparent` says, if it is one.
#[must_use]
pub fn parse_traceparent(value: &[u8]) -> Option<SpanContext> {
    let parsed = TraceParent::parse(value)?;
    Some(SpanContext::new(
        parsed.trace_id,
        parsed.parent_id,
        parsed.flags,
        true,
        TraceState::NONE,
    ))
}

/// What headers say that are of no client: names and values, in their order.
#[must_use]
pub fn diagnose(
    telemetry: &Telemetry,
    headers: &[(Vec<u8>, Option<Vec<u8>>)],
    formats: &[(&'static str, &dyn TextMapPropagator)],
) -> Diagnosis {
    let mut diagnosis = Diagnosis::of(telemetry, Some(&Listed(headers)), formats);
    for (name, _) in headers.iter().filter(|(_, value)| value.is_none()) {
        diagnosis.add_about(Fault::NotText, name);
    }
    diagnosis
}

struct Listed<'a>(&'a [(Vec<u8>, Option<Vec<u8>>)]);

impl Headers for Listed<'_> {
    fn for_each<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], &'a [u8])) {
        for (name, value) in self.0 {
            if let Some(value) = value {
                visit(name, value);
            }
        }
    }
}

/// A wrapped client, which sends to one destination and receives from it.
#[derive(Debug)]
pub struct Wrapped {
    client: Arc<Client>,
    destination: &'static str,
}

impl Wrapped {
    /// A client of this messaging system, with its id and its consumer group.
    #[must_use]
    pub fn new(
        telemetry: &Telemetry,
        system: &'static str,
        id: &'static str,
        consumer_group: &'static str,
        destination: &'static str,
    ) -> Self {
        let mut client = Client::new(telemetry, system);
        client.id = Some(id.into());
        client.consumer_group = Some(consumer_group.into());
        Self {
            client: Arc::new(client),
            destination,
        }
    }

    /// What holds for the destination, as each message asks for it.
    #[must_use]
    pub fn look_up(&self) -> impl Sized + use<> {
        self.destination()
    }

    /// What the first message asks for.
    #[must_use]
    pub fn first_look_up(&self) -> impl Sized + use<> {
        self.client.telemetry.rules().rule_for(self.destination)
    }

    /// The metrics of a message that was sent.
    pub fn sent(&self, from: SystemTime, to: SystemTime) {
        let destination = self.destination();
        let operation = self.operation(OperationType::Send, "send", &destination);
        let elapsed = to.duration_since(from).unwrap_or_default();
        self.client.telemetry.measure(|instruments| {
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
        let telemetry = &self.client.telemetry;
        telemetry.measure(|instruments| instruments.consumed(&received, 1));
        telemetry.measure(|instruments| instruments.ended(&processed, elapsed, None));
    }

    /// The processing of a batch whose messages have these links.
    pub fn processed_together(&self, links: Vec<Link>) {
        let destination = self.destination();
        let operation = Operation {
            batch: Some(links.len()),
            ..self.operation(OperationType::Process, "process", &destination)
        };
        let parent_and_links = ParentAndLinks::inside(Context::new(), links);
        drop(StartedOperation::start(
            &operation,
            parent_and_links,
            |_| {},
        ));
    }

    fn destination(&self) -> Arc<Destination> {
        self.client.destination(Name::lasting(self.destination))
    }

    fn operation<'a>(
        &'a self,
        operation_type: OperationType,
        operation_name: &'static str,
        destination: &'a Arc<Destination>,
    ) -> Operation<'a> {
        Operation {
            client: &self.client,
            operation_type,
            operation_name,
            destination: Some(destination),
            partition: Some(0),
            batch: None,
            baggage: None,
        }
    }
}
