use std::collections::HashMap;

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};

use super::super::propagator::{Incoming, Outgoing, Propagator};
use super::super::traceparent::TraceParent;
use super::{Headers, SAMPLED, UNSAMPLED};

fn with_span(flags: u8, state: TraceState) -> Context {
    let span_context = SpanContext::new(
        TraceId::from(1),
        SpanId::from(2),
        TraceFlags::new(flags),
        false,
        state,
    );
    Context::new().with_remote_span_context(span_context)
}

#[test]
fn all_three_headers_come_out_as_they_went_in() {
    let headers = Headers::new([
        (
            "traceparent",
            "00-12345678901234567890123456789012-1234567890123456-03",
        ),
        ("tracestate", "foo@@bar=1,baz=2"),
        ("baggage", "a=1;p=%2C,b=%C3%A9"),
    ]);

    let context = headers.extract();

    assert!(context.span().span_context().is_remote());
    assert_eq!(Headers::inject(&context), headers);
}

#[test]
fn the_fields_are_the_three_headers() {
    let fields: Vec<_> = Propagator::new().fields().map(str::to_owned).collect();

    assert_eq!(fields, ["traceparent", "tracestate", "baggage"]);
}

#[test]
fn an_empty_context_sets_nothing() {
    assert_eq!(Headers::inject(&Context::new()), Headers::default());
}

#[test]
fn an_invalid_span_context_sends_baggage_alone() {
    let context = Headers::new([("tracestate", "foo=1"), ("baggage", "a=1")]).extract();

    assert!(!context.has_active_span());
    assert_eq!(
        Headers::inject(&context),
        Headers::new([("baggage", "a=1")])
    );
}

#[test]
fn nothing_usable_leaves_the_base_as_it_is() {
    let base = Headers::new([
        ("traceparent", SAMPLED),
        ("tracestate", "foo@@bar=1"),
        ("baggage", "a=1"),
    ]);

    for headers in [
        Headers::default(),
        Headers::new([
            ("traceparent", "00-"),
            ("tracestate", "x=1"),
            ("baggage", "?"),
        ]),
    ] {
        let context = Propagator::new().extract_with_context(&base.extract(), &headers);

        assert_eq!(Headers::inject(&context), base);
    }
}

#[test]
fn received_baggage_replaces_the_one_of_the_base() {
    let base = Headers::new([("traceparent", SAMPLED), ("baggage", "a=1,b=2")]).extract();

    let context =
        Propagator::new().extract_with_context(&base, &Headers::new([("baggage", "c=3")]));

    assert_eq!(context.baggage().len(), 1);
    assert_eq!(context.span().span_context(), base.span().span_context());
}

#[test]
fn equal_traceparents_count_once_and_malformed_ones_not_at_all() {
    let headers = Headers::new([
        ("traceparent", "00-nonsense"),
        ("traceparent", SAMPLED),
        ("traceparent", SAMPLED),
    ]);

    assert!(headers.extract().span().span_context().is_sampled());
}

#[test]
fn traceparents_that_differ_in_the_flags_alone_are_different() {
    let headers = Headers::new([("traceparent", SAMPLED), ("traceparent", UNSAMPLED)]);

    assert!(!headers.extract().has_active_span());
}

#[test]
fn the_lower_case_name_comes_first_and_any_case_is_read_in_order() {
    let both = Headers::new([("Baggage", "a=1"), ("baggage", "b=2")]);
    assert_eq!(
        Headers::inject(&both.extract()),
        Headers::new([("baggage", "b=2")])
    );

    let mixed = Headers::new([
        ("traceparent", SAMPLED),
        ("TraceState", "a=1"),
        ("TRACESTATE", "b=2"),
        ("TraceState", "c=3"),
    ]);
    let sent = Headers::inject(&mixed.extract());
    assert_eq!(sent.get("tracestate"), Some("a=1,c=3,b=2"));
}

#[test]
fn a_plain_map_is_a_carrier() {
    let headers = HashMap::from([("traceparent".to_owned(), SAMPLED.to_owned())]);

    let mut sent = HashMap::new();
    Propagator::new().inject_context(&Propagator::new().extract(&headers), &mut sent);

    assert_eq!(sent, headers);
}

#[test]
fn unknown_flags_of_a_span_are_not_sent() {
    for flags in 0..=u8::MAX {
        let sent = Headers::inject(&with_span(flags, TraceState::NONE));

        let expected = format!("00-{:032x}-{:016x}-{:02x}", 1, 2, flags & 3);
        assert_eq!(sent, Headers::new([("traceparent", expected.as_str())]));
    }
}

#[test]
fn a_list_that_the_api_allows_and_the_grammar_forbids_is_not_sent() {
    for (key, value) in [
        ("foo", ""),
        ("foo", "1 "),
        ("foo", "1\r\nx: y"),
        ("foo", "\u{e9}"),
        ("foo", "\t"),
        ("", "1"),
    ] {
        let state = TraceState::from_key_value([("ok", "1"), (key, value)]).unwrap();

        let sent = Headers::inject(&with_span(1, state));

        assert_eq!(sent.keys(), ["traceparent"], "{key:?} {value:?}");
    }
}

#[test]
fn bytes_that_are_no_text_count_as_absent_and_as_malformed() {
    let incoming = Incoming {
        traceparent: TraceParent::parse(SAMPLED.as_bytes()),
        tracestate: vec![b"foo=1", b"bar=\xff"],
        baggage: vec![b"a=\xff", b"b=2"],
    };

    let read = incoming.onto(&Context::new(), |_| true);

    let sent = Outgoing::from_context(&read.context);
    assert_eq!(sent.traceparent.unwrap(), SAMPLED.as_bytes());
    assert_eq!(sent.tracestate.as_deref(), Some("foo=1"));
    assert_eq!(sent.baggage.as_deref(), Some("b=2"));
    assert_eq!(read.malformed, Some("tracestate"));
}
