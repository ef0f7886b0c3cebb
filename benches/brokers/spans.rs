//! Spans and metrics as one makes them without a library for it: by hand, or with OpenTelemetry's own
//! propagators. They have the names, kinds, links and attributes of ours.

use std::time::Instant;

use benches::stock;
use opentelemetry::metrics::{Counter, Histogram, MeterProvider as _};
use opentelemetry::propagation::TextMapCompositePropagator;
use opentelemetry::trace::{
    Link, SpanBuilder, SpanContext, SpanKind, TraceContextExt as _, Tracer as _,
    TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SdkTracer;

use crate::ways::{Providers, Way, Who};

/// How context gets into headers and out of them.
pub(crate) enum Codec {
    /// `traceparent` alone, and all that is the same for all messages written down before.
    ByHand,
    /// Also: everything about the destination made anew for each message.
    Stock(TextMapCompositePropagator),
}

/// What makes the spans of a way.
pub(crate) struct Spans {
    pub(crate) codec: Codec,
    tracer: SdkTracer,
    metrics: Option<Metrics>,
}

/// What is the same for all messages of an operation.
pub(crate) struct Operation {
    verb: &'static str,
    name: &'static str,
    kind: SpanKind,
    destination: &'static str,
    attributes: Vec<KeyValue>,
    /// Attributes whose value is the destination.
    of_destination: &'static [&'static str],
    measured: Vec<KeyValue>,
    /// Messages are counted with these: what is sent, and what was delivered to be processed.
    counted: Option<Vec<KeyValue>>,
    is_process: bool,
}

/// What is known of the client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) system: &'static str,
    pub(crate) host: &'static str,
    pub(crate) port: u16,
    pub(crate) client_id: &'static str,
    pub(crate) group: Option<&'static str>,
    pub(crate) destination: &'static str,
    /// Attributes whose value is the destination, beside its name.
    pub(crate) of_destination: &'static [&'static str],
    /// The verb for having messages delivered.
    pub(crate) receive: &'static str,
    /// Of each span, beside what all systems have.
    pub(crate) constant: &'static [(&'static str, &'static str)],
}

/// An operation that is going on.
pub(crate) struct Started {
    pub(crate) context: Context,
    /// Where the message that is processed came from.
    origin: Option<SpanContext>,
    since: Option<Instant>,
}

impl Known {
    /// An operation with this verb; of its type there are attributes and metrics.
    pub(crate) fn operation(
        &self,
        verb: &'static str,
        operation_type: &'static str,
        kind: SpanKind,
    ) -> Operation {
        let is_incoming = operation_type != "send";
        let group = self.group.filter(|_| is_incoming);
        let group = group.map(|group| KeyValue::new("messaging.consumer.group.name", group));
        let measured = |verb| {
            let mut measured = vec![
                KeyValue::new("messaging.system.name", self.system),
                KeyValue::new("messaging.operation.name", verb),
                KeyValue::new("messaging.destination.name", self.destination),
                KeyValue::new("server.address", self.host),
                KeyValue::new("server.port", i64::from(self.port)),
            ];
            measured.extend(group.clone());
            measured
        };
        let mut attributes = measured(verb);
        attributes.remove(2);
        attributes.push(KeyValue::new("messaging.operation.type", operation_type));
        attributes.push(KeyValue::new("messaging.client.id", self.client_id));
        let constant = self.constant.iter();
        attributes.extend(constant.map(|(key, value)| KeyValue::new(*key, *value)));
        let is_process = operation_type == "process";
        let counted = match operation_type {
            "process" => Some(measured(self.receive)),
            "send" => Some(measured(verb)),
            _ => None,
        };
        let mut of_operation = measured(verb);
        if !is_process {
            of_operation.push(KeyValue::new("messaging.operation.type", operation_type));
        }
        Operation {
            verb,
            name: format!("{verb} {}", self.destination).leak(),
            kind,
            destination: self.destination,
            attributes,
            of_destination: self.of_destination,
            measured: of_operation,
            counted,
            is_process,
        }
    }
}

impl Spans {
    /// For a way that has none of ours.
    pub(crate) fn of(way: Way, providers: &Providers) -> Self {
        let codec = match way.who {
            Who::Stock => Codec::Stock(stock::trace_and_baggage()),
            _ => Codec::ByHand,
        };
        let meter = providers.meters.as_ref();
        Self {
            codec,
            tracer: providers.tracers.tracer("by hand"),
            metrics: meter.map(Metrics::new),
        }
    }

    /// Starts a span below what is current, for a message that is sent or settled.
    pub(crate) fn start<const OWN: usize>(
        &self,
        operation: &Operation,
        own: [KeyValue; OWN],
    ) -> Started {
        self.start_below(operation, Context::current(), Vec::new(), own)
    }

    /// Starts the span of processing a message that carries this context.
    pub(crate) fn process<const OWN: usize>(
        &self,
        operation: &Operation,
        received: Context,
        own: [KeyValue; OWN],
    ) -> Started {
        if let (Some(metrics), Some(counted)) = (&self.metrics, &operation.counted) {
            self.measured(operation, counted, |attributes| {
                metrics.consumed.add(1, attributes);
            });
        }
        let origin = received.span().span_context().clone();
        let links = vec![Link::with_context(origin.clone())];
        Started {
            origin: Some(origin),
            ..self.start_below(operation, received, links, own)
        }
    }

    /// Starts the span of settling a message that was processed in this one.
    pub(crate) fn settle<const OWN: usize>(
        &self,
        operation: &Operation,
        processed: &Started,
        own: [KeyValue; OWN],
    ) -> Started {
        let links = processed.origin.iter().cloned().map(Link::with_context);
        self.start_below(operation, processed.context.clone(), links.collect(), own)
    }

    fn start_below<const OWN: usize>(
        &self,
        operation: &Operation,
        parent: Context,
        links: Vec<Link>,
        own: [KeyValue; OWN],
    ) -> Started {
        let since = self.metrics.is_some().then(Instant::now);
        let destination = operation.destination;
        let mut attributes =
            Vec::with_capacity(operation.attributes.len() + operation.of_destination.len() + OWN);
        attributes.extend_from_slice(&operation.attributes);
        let builder = match self.codec {
            Codec::ByHand => {
                let all = operation.of_destination.iter();
                attributes.extend(all.map(|key| KeyValue::new(*key, destination)));
                SpanBuilder::from_name(operation.name)
            }
            Codec::Stock(_) => {
                let all = operation.of_destination.iter();
                attributes.extend(all.map(|key| KeyValue::new(*key, destination.to_owned())));
                SpanBuilder::from_name(format!("{} {destination}", operation.verb))
            }
        };
        attributes.extend(own);
        let builder = builder
            .with_kind(operation.kind.clone())
            .with_links(links)
            .with_attributes(attributes);
        let span = self.tracer.build_with_context(builder, &parent);
        Started {
            context: parent.with_span(span),
            origin: None,
            since,
        }
    }

    /// Ends a span with what is known by now.
    pub(crate) fn end<const OWN: usize>(
        &self,
        operation: &Operation,
        started: &Started,
        own: impl FnOnce() -> [KeyValue; OWN],
    ) {
        let span = started.context.span();
        if OWN > 0 && span.is_recording() {
            span.set_attributes(own());
        }
        span.end();
        if let (Some(metrics), Some(since)) = (&self.metrics, started.since) {
            let elapsed = since.elapsed().as_secs_f64();
            self.measured(operation, &operation.measured, |attributes| {
                if operation.is_process {
                    metrics.process_duration.record(elapsed, attributes);
                } else {
                    metrics.operation_duration.record(elapsed, attributes);
                }
            });
            if let (false, Some(counted)) = (operation.is_process, &operation.counted) {
                self.measured(operation, counted, |attributes| {
                    metrics.sent.add(1, attributes);
                });
            }
        }
    }

    /// Records with these attributes, made anew where nothing is known before.
    fn measured(
        &self,
        operation: &Operation,
        attributes: &[KeyValue],
        record: impl FnOnce(&[KeyValue]),
    ) {
        match self.codec {
            Codec::ByHand => record(attributes),
            Codec::Stock(_) => {
                let mut attributes = attributes.to_vec();
                if let Some(name) = attributes.get_mut(2) {
                    name.value = operation.destination.to_owned().into();
                }
                record(&attributes);
            }
        }
    }
}

struct Metrics {
    sent: Counter<u64>,
    consumed: Counter<u64>,
    operation_duration: Histogram<f64>,
    process_duration: Histogram<f64>,
}

impl Metrics {
    fn new(provider: &opentelemetry_sdk::metrics::SdkMeterProvider) -> Self {
        let meter = provider.meter("by hand");
        let duration = |name| meter.f64_histogram(name).with_boundaries(BOUNDS.to_vec());
        Self {
            sent: meter.u64_counter("messaging.client.sent.messages").build(),
            consumed: meter
                .u64_counter("messaging.client.consumed.messages")
                .build(),
            operation_duration: duration("messaging.client.operation.duration").build(),
            process_duration: duration("messaging.process.duration").build(),
        }
    }
}

/// Those that the conventions advise.
const BOUNDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
