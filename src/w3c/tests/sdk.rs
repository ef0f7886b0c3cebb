//! What has to outlive the SDK: its spans carry neither the random flag of a dropped trace nor a
//! list that the API's type cannot hold.

use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceId, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{
    Sampler, SamplingDecision, SamplingResult, SdkTracerProvider, ShouldSample,
};

use super::super::propagator::{BesideSpan, Propagator};
use super::{Headers, TRACE, child, default_sampler, tracer};

const UNHOLDABLE: &str = "foo@@bar=1,baz=2";

fn headers(flags: &str, tracestate: &str) -> Headers {
    let traceparent = format!("00-{TRACE}-1234567890123456-{flags}");
    let mut headers = Headers::new([("traceparent", traceparent.as_str())]);
    if !tracestate.is_empty() {
        headers
            .0
            .push(("tracestate".to_owned(), tracestate.to_owned()));
    }
    headers
}

fn flags(sent: &Headers) -> &str {
    &sent.get("traceparent").unwrap()[53..]
}

#[test]
fn the_random_flag_stays_as_it_was_received() {
    for (received, sampled, dropped) in [
        ("00", "01", "00"),
        ("01", "01", "00"),
        ("02", "03", "02"),
        ("03", "03", "02"),
    ] {
        for tracestate in ["", "foo=1", UNHOLDABLE] {
            let context = headers(received, tracestate).extract();

            let on = Headers::inject(&child(&tracer(Sampler::AlwaysOn), &context));
            let off = Headers::inject(&child(&tracer(Sampler::AlwaysOff), &context));

            assert_eq!(
                [flags(&on), flags(&off)],
                [sampled, dropped],
                "{received} {tracestate}"
            );
        }
    }
}

#[test]
fn an_unholdable_list_outlives_children_and_grandchildren() {
    for sampler in [Sampler::AlwaysOn, Sampler::AlwaysOff] {
        let tracer = tracer(sampler);
        let context = headers("01", UNHOLDABLE).extract();
        assert_eq!(
            context.span().span_context().trace_state().header(),
            "baz=2"
        );

        let sent = Headers::inject(&child(&tracer, &child(&tracer, &context)));

        assert_eq!(sent.get("tracestate"), Some(UNHOLDABLE));
    }
}

#[test]
fn a_list_without_one_holdable_member_is_kept_too() {
    let context = headers("01", "foo@@bar=1").extract();

    let sent = Headers::inject(&child(&tracer(default_sampler()), &context));

    assert_eq!(sent.get("tracestate"), Some("foo@@bar=1"));
}

/// Puts its own member in front, as samplers that work by consistent probability do.
#[derive(Clone, Debug)]
struct Marking;

impl ShouldSample for Marking {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        _: TraceId,
        _: &str,
        _: &SpanKind,
        _: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        let span = parent.unwrap().span();
        SamplingResult {
            decision: SamplingDecision::RecordAndSample,
            attributes: Vec::new(),
            trace_state: span
                .span_context()
                .trace_state()
                .insert("ot", "th:8")
                .unwrap(),
        }
    }
}

#[test]
fn a_list_that_a_sampler_changed_is_the_one_to_send() {
    let provider = SdkTracerProvider::builder().with_sampler(Marking).build();
    let context = headers("01", UNHOLDABLE).extract();

    let sent = Headers::inject(&child(&provider.tracer("w3c"), &context));

    assert_eq!(sent.get("tracestate"), Some("ot=th:8,baz=2"));
}

#[test]
fn nothing_of_one_trace_gets_into_another() {
    let first = headers("03", UNHOLDABLE).extract();
    let other = "00-99999999999999999999999999999999-1234567890123456-01";

    let next = Headers::new([("traceparent", other)]);
    let context = Propagator::new().extract_with_context(&first, &next);
    assert_eq!(Headers::inject(&context), next);

    let root = tracer(default_sampler()).start_with_context("root", &Context::new());
    let sent = Headers::inject(&first.with_span(root));
    assert_eq!(flags(&sent), "01");
    assert_eq!(sent.get("tracestate"), None);
}

#[test]
fn a_later_message_of_the_same_trace_replaces_what_an_earlier_one_left() {
    let first = headers("03", "foo@@bar=1").extract();
    let second = headers("01", "");

    let context = Propagator::new().extract_with_context(&first, &second);

    assert_eq!(Headers::inject(&context), second);
}

#[test]
fn only_messages_that_need_it_leave_a_value_beside_the_span() {
    for (flags, tracestate, needs) in [
        ("01", "", false),
        ("01", "foo=1,bar@baz=2", false),
        ("01", "foo=", false),
        ("03", "", true),
        ("01", UNHOLDABLE, true),
    ] {
        let context = headers(flags, tracestate).extract();

        assert_eq!(
            context.get::<BesideSpan>().is_some(),
            needs,
            "{flags} {tracestate}"
        );
    }
}
