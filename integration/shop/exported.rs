//! What the shop exports.

use std::collections::{BTreeMap, BTreeSet};

use integration::otlp::Receiver;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;

/// A span, and the service that it is of.
#[derive(Clone, Debug)]
pub(crate) struct Exported {
    pub(crate) service: String,
    pub(crate) span: Span,
}

/// Where a span is in its trace: service, name, kind and the name of its parent.
pub(crate) type Place = (String, String, i32, String);

pub(crate) fn spans(receiver: &Receiver) -> Vec<Exported> {
    let mut spans = Vec::new();
    for resource in receiver.spans_of_resources() {
        let service = service(resource.resource.as_ref());
        let scopes = resource.scope_spans.into_iter();
        for span in scopes.flat_map(|scope| scope.spans) {
            let service = service.clone();
            spans.push(Exported { service, span });
        }
    }
    spans
}

/// Spans by their traces.
pub(crate) fn traces(spans: &[Exported]) -> BTreeMap<Vec<u8>, Vec<Exported>> {
    let mut traces = BTreeMap::<_, Vec<_>>::new();
    for exported in spans {
        let trace = traces.entry(exported.span.trace_id.clone()).or_default();
        trace.push(exported.clone());
    }
    traces
}

/// The places of the spans of a trace, in order of their services and names.
pub(crate) fn places(trace: &[Exported]) -> Vec<Place> {
    let ids = trace.iter();
    let ids = ids.map(|exported| (&exported.span.span_id, &exported.span.name));
    let names: BTreeMap<_, _> = ids.collect();
    let place = |Exported { service, span }: &Exported| {
        let parent = match span.parent_span_id.is_empty() {
            true => "",
            false => names.get(&span.parent_span_id).map_or("?", |name| name),
        };
        (
            service.clone(),
            span.name.clone(),
            span.kind,
            parent.to_owned(),
        )
    };
    let mut places: Vec<_> = trace.iter().map(place).collect();
    places.sort();
    places
}

pub(crate) fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let attribute = attributes.iter().find(|attribute| attribute.key == key)?;
    match attribute.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        other => Some(format!("{other:?}")),
    }
}

fn service(resource: Option<&Resource>) -> String {
    of_resource(resource, "service.name")
}

pub(crate) fn of_resource(resource: Option<&Resource>, key: &str) -> String {
    let attributes = &resource.expect("a resource").attributes;
    attribute(attributes, key).expect("an attribute of this key")
}

/// The services that metrics of this name are from.
pub(crate) fn services_with(receiver: &Receiver, metric: &str) -> BTreeSet<String> {
    let mut services = BTreeSet::new();
    for resource in receiver.metrics_of_resources() {
        let scopes = resource.scope_metrics.iter();
        let mut metrics = scopes.flat_map(|scope| &scope.metrics);
        if metrics.any(|one| one.name == metric) {
            services.insert(service(resource.resource.as_ref()));
        }
    }
    services
}

/// Log records of this text, or of this event: the traces that they are in, with the service.
pub(crate) fn traces_of_logs(receiver: &Receiver, text: &str) -> Vec<(String, Vec<u8>)> {
    let mut traces = Vec::new();
    for resource in receiver.logs_of_resources() {
        let service = service(resource.resource.as_ref());
        let scopes = resource.scope_logs.into_iter();
        for record in scopes.flat_map(|scope| scope.log_records) {
            let body = record.body.and_then(|body| body.value);
            let is_body = body == Some(Value::StringValue(text.to_owned()));
            if is_body || record.event_name == text {
                traces.push((service.clone(), record.trace_id));
            }
        }
    }
    traces
}
