//! What is recorded of a message that a stand-in for a consumer delivers.

use opentelemetry::KeyValue;
use opentelemetry::trace::SpanContext;
use opentelemetry_sdk::trace::SpanData;
use otel_messaging::Telemetry;
use otel_messaging::policy::{Policy, Rule};
use otel_messaging::testing::Recorder;

/// Telemetry that records as much of receiving as there is.
pub fn telemetry(recorder: &Recorder) -> Telemetry {
    let rule = Rule::of("*").receive_spans(true).time_in_queue(true);
    recorder.telemetry().policy(Policy::new().rule(rule))
}

/// Asserts that it is what is recorded of a message from a broker, which knows these attributes beside.
pub fn assert_alike(real: &Recorder, stand_in: &Recorder, of_broker: &[&str]) {
    let spans = real.spans();
    assert!(!spans.is_empty(), "the real one has spans");
    let all = |spans: &[SpanData]| -> Vec<String> {
        let described = spans.iter().map(|span| described(span, spans, of_broker));
        described.collect()
    };
    assert_eq!(all(&spans), all(&stand_in.spans()));

    assert_eq!(real.metrics(), stand_in.metrics());
    let consumed = "messaging.client.consumed.messages";
    assert_eq!(real.counter_total(consumed), 1);
    assert_eq!(real.counter(consumed), stand_in.counter(consumed));
    for name in real.metrics() {
        if real.unit(&name).as_deref() == Some("s") {
            assert_eq!(counts(real, &name), counts(stand_in, &name), "{name}");
        }
    }
}

/// All of a span that is not its own.
fn described(span: &SpanData, others: &[SpanData], of_broker: &[&str]) -> String {
    let parent = span.parent_span_id;
    let known = others
        .iter()
        .find(|other| other.span_context.span_id() == parent);
    let parent = known.map_or_else(|| parent.to_string(), |known| known.name.to_string());
    let known = span.attributes.iter();
    let known = known.filter(|one| !of_broker.contains(&one.key.as_str()));
    let mut attributes: Vec<&KeyValue> = known.collect();
    attributes.sort_by(|a, b| a.key.cmp(&b.key));
    let links: Vec<&SpanContext> = span.links.iter().map(|link| &link.span_context).collect();
    format!(
        "{} {:?} {:?} in {parent} {links:?} {attributes:?}",
        span.name, span.span_kind, span.status
    )
}

/// Sets of attributes of a histogram, each with the number of its values.
fn counts(recorder: &Recorder, name: &str) -> Vec<(Vec<KeyValue>, u64)> {
    let histograms = recorder.histogram(name).into_iter();
    histograms
        .map(|histogram| (histogram.attributes, histogram.count))
        .collect()
}
