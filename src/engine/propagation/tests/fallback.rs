//! Propagators that are asked where the first one finds nothing.

use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::trace::TraceFlags;
use opentelemetry_propagator_b3::{B3Encoding, Propagator as B3};

use super::*;
use crate::engine::carriers::inject_with;
use crate::engine::destination::{Destination, Name};
use crate::engine::refused::Refused;
use crate::policy::{Incoming, Policy, Rule};
use crate::propagators::{CloudEvents, Jaeger};

/// With three, in this order.
fn telemetry() -> Telemetry {
    Telemetry::new()
        .fallback_propagator(B3::with_encoding(B3Encoding::SingleAndMultiHeader))
        .fallback_propagator(Jaeger::new())
        .fallback_propagator(CloudEvents::new())
}

const B3_FIRST: (&str, &str) = ("b3", "11111111111111111111111111111111-1111111111111111-1");
const JAEGER_SECOND: (&str, &str) = (
    "uber-trace-id",
    "22222222222222222222222222222222:2222222222222222:0:1",
);
const EVENT_THIRD: (&str, &str) = ("ce_traceparent", THIRD);

#[test]
fn the_first_that_finds_a_span_gives_the_creation_context() {
    type Row<'a> = (&'a [(&'a str, &'a str)], Option<u64>, &'a [Problem]);
    let malformed = [Problem::Malformed(TRACEPARENT)];
    let rows: [Row<'_>; 7] = [
        (&[EVENT_THIRD, JAEGER_SECOND, B3_FIRST], Some(1), &[]),
        (&[EVENT_THIRD, JAEGER_SECOND, ("b3", "0")], Some(2), &[]),
        (&[EVENT_THIRD, ("Uber-Trace-Id", "0")], Some(3), &[]),
        (&[B3_FIRST, ("traceparent", SECOND)], Some(2), &[]),
        (&[B3_FIRST, ("traceparent", "no")], Some(1), &malformed),
        (
            &[("b3", "1"), ("baggage", "a=1")],
            None,
            &[Problem::Missing],
        ),
        (&[], None, &[Problem::Missing]),
    ];

    for (headers, creation, problems) in rows {
        let extracted = extract(&telemetry(), Some(&list(headers)));
        let context = extracted.context.span().span_context().clone();
        let found = ids(extracted.named.creation.as_ref());
        assert_eq!(found, creation.map(span_of), "{headers:?}");
        assert_eq!(
            context.is_valid().then_some(context),
            extracted.named.creation
        );
        assert_eq!(extracted.named.problems().collect::<Vec<_>>(), problems);
    }
}

#[test]
fn they_are_asked_behind_any_propagator() {
    let stock = telemetry().propagator(TraceContextPropagator::new());
    let w3c_behind = Telemetry::new()
        .propagator(Jaeger::new())
        .fallback_propagator(w3c::Propagator::new());
    let global = telemetry().global_propagator();
    let random = (
        "traceparent",
        "00-11111111111111111111111111111111-1111111111111111-02",
    );

    for (telemetry, header) in [(stock, B3_FIRST), (global, B3_FIRST), (w3c_behind, random)] {
        let headers = list(&[header, ("tracestate", "a@@b=1")]);
        let extracted = extract(&telemetry, Some(&headers));
        assert_eq!(ids(extracted.named.creation.as_ref()), Some(span_of(1)));
        let written = w3c::Outgoing::from_context(&extracted.context);
        if header == random {
            let traceparent = written.traceparent.map(|text| text.to_vec());
            assert_eq!(traceparent.as_deref(), Some(random.1.as_bytes()));
            assert_eq!(written.tracestate.as_deref(), Some("a@@b=1"));
        }
    }
}

#[test]
fn no_flag_of_another_format_passes_for_one_of_w3c() {
    // Nobody has decided yet: B3 says so by the bit of the random flag.
    let undecided = ("b3", "11111111111111111111111111111111-1111111111111111");
    for (header, flags) in [(undecided, 0), (B3_FIRST, 1)] {
        let extracted = extract(&telemetry(), Some(&list(&[header])));
        let creation = extracted
            .named
            .creation
            .map(|creation| creation.trace_flags());
        assert_eq!(creation.map(TraceFlags::to_u8), Some(flags));
    }
}

#[test]
fn baggage_of_the_headers_stays_and_the_base_keeps_its_own() {
    let base = Context::new().with_baggage([KeyValue::new("base", "1")]);
    let rows = [
        (list(&[B3_FIRST]), "base=1"),
        (list(&[B3_FIRST, ("baggage", "a=1,b=2")]), "a=1"),
    ];
    for (headers, expected) in rows {
        let extracted = telemetry().extract(&base, Some(&headers), |name| name == "a");
        let written = w3c::Outgoing::from_context(&extracted.context);
        assert_eq!(written.baggage.as_deref(), Some(expected));
    }
}

#[test]
fn their_headers_give_way_and_are_headers_of_context() {
    let carried = [
        ("X-B3-TraceId", "1"),
        EVENT_THIRD,
        JAEGER_SECOND,
        ("uberctx-a", "1"),
        B3_FIRST,
    ];
    let left = [
        EVENT_THIRD,
        ("uberctx-a", "1"),
        ("traceparent", FIRST),
        ("tracestate", "vendor=1"),
        ("baggage", "tenant=blue"),
    ];
    for telemetry in [telemetry(), telemetry().propagator(w3c::Propagator::new())] {
        let mut headers = list(&carried);
        let replaced = CarriedHeaders::REPLACED;
        let injected = telemetry.inject(&full_context(), &mut headers, replaced, |_| usize::MAX);
        assert_eq!(injected, REPLACED);
        assert_eq!(headers, list(&left));
        for (name, _) in carried {
            let is_own = ![EVENT_THIRD.0, "uberctx-a"].contains(&name);
            assert_eq!(telemetry.writes(name), is_own, "{name}");
        }

        let mut headers = list(&[B3_FIRST]);
        telemetry.inject(&Context::new(), &mut headers, replaced, |_| usize::MAX);
        assert_eq!(headers, list(&[B3_FIRST]), "nothing was written");
    }
}

#[test]
fn in_the_handler_of_a_stranger_the_carriers_alone_leave_none_of_their_headers() {
    let policy = Policy::new().rule(Rule::of("*").incoming(Incoming::Restart));
    let source = Arc::new(Destination::new(
        policy.rule_for("orders"),
        Name::lasting("orders"),
    ));
    let telemetry = telemetry();
    let headers = list(&[B3_FIRST, ("note", "1")]);
    let carried = extract(&telemetry, Some(&headers));
    let mut refused = Refused::nothing(&telemetry);
    refused.add(&carried.named, Incoming::Restart, &source);
    let handler = refused.put_into(Context::new());
    // As a handler of another message inside of it, that is read without them.
    let mut inner = Refused::nothing(&Telemetry::new());
    inner.add(&Named::default(), Incoming::Continue, &source);
    let inside = inner.put_into(handler.clone());

    for context in [handler, inside] {
        let mut forwarded = list(&[B3_FIRST, ("note", "1")]);
        inject_with(&w3c::Propagator::new(), &context, &mut forwarded);
        assert_eq!(forwarded, list(&[("note", "1")]));
    }
}
