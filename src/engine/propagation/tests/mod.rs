//! The rules for names, duplicates and size, on headers of no broker in particular.

mod extractor;
mod fallback;
pub(in crate::engine) mod list;
mod problems;
mod tracestate;

use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::propagation::TextMapCompositePropagator;
use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};

use self::list::{List, list};
use super::*;

const FIRST: &str = "00-11111111111111111111111111111111-1111111111111111-01";
const SECOND: &str = "00-22222222222222222222222222222222-2222222222222222-01";
const THIRD: &str = "00-33333333333333333333333333333333-3333333333333333-01";

fn all(_: &str) -> bool {
    true
}

/// What headers say, which is also what they name to who asks for that alone.
fn extract(telemetry: &Telemetry, headers: Option<&impl Headers>) -> Extracted {
    let extracted = telemetry.extract(&Context::new(), headers, all);
    assert_eq!(telemetry.named(headers, all), extracted.named);
    extracted
}

const REPLACED: Injected = Injected {
    has_written: true,
    is_replacement: true,
    left_out: None,
};

fn span_of(number: u64) -> (TraceId, SpanId) {
    let digits = number * 0x1111_1111_1111_1111;
    let trace = u128::from(digits) << 64 | u128::from(digits);
    (TraceId::from(trace), SpanId::from(digits))
}

fn ids(context: Option<&SpanContext>) -> Option<(TraceId, SpanId)> {
    context.map(|context| (context.trace_id(), context.span_id()))
}

/// A context with all three fields.
fn full_context() -> Context {
    let headers = list(&[
        ("traceparent", FIRST),
        ("tracestate", "vendor=1"),
        ("baggage", "tenant=blue"),
    ]);
    Telemetry::new()
        .extract(&Context::new(), Some(&headers), all)
        .context
}

#[test]
fn the_exact_name_comes_first_and_the_last_value_that_parses_counts() {
    type Row<'a> = (&'a [(&'a str, &'a str)], Option<u64>, Option<u64>);
    let rows: [Row<'_>; 9] = [
        (&[("traceparent", FIRST)], Some(1), None),
        (&[("TraceParent", FIRST)], Some(1), None),
        (
            &[("traceparent", FIRST), ("traceparent", FIRST)],
            Some(1),
            None,
        ),
        (
            &[("traceparent", FIRST), ("traceparent", SECOND)],
            Some(2),
            Some(1),
        ),
        (
            &[("traceparent", FIRST), ("traceparent", "broken")],
            Some(1),
            None,
        ),
        (
            &[("TRACEPARENT", SECOND), ("traceparent", FIRST)],
            Some(1),
            Some(2),
        ),
        (
            &[
                ("traceparent", FIRST),
                ("traceparent", SECOND),
                ("traceparent", THIRD),
                ("traceparent", THIRD),
            ],
            Some(3),
            Some(2),
        ),
        (&[("traceparent", "broken")], None, None),
        (&[("trace-parent", FIRST)], None, None),
    ];

    for (headers, creation, conflicting) in rows {
        let extracted = extract(&Telemetry::new(), Some(&list(headers)));

        let context = extracted.context.span().span_context().clone();
        assert_eq!(
            ids(extracted.named.creation.as_ref()),
            creation.map(span_of),
            "{headers:?}"
        );
        assert_eq!(
            ids(extracted.named.conflicting.as_deref()),
            conflicting.map(span_of),
            "{headers:?}"
        );
        assert_eq!(extracted.named.creation.is_some(), context.is_valid());
    }
}

#[test]
fn of_conflicting_contexts_all_of_the_last_counts_and_else_all_are_one_list() {
    let one_list = list(&[
        ("traceparent", FIRST),
        ("tracestate", "a=1"),
        ("tracestate", "b=2"),
        ("baggage", "a=1"),
        ("baggage", "b=2"),
    ]);
    let conflicting = list(&[
        ("traceparent", FIRST),
        ("tracestate", "a=1"),
        ("baggage", "a=1"),
        ("traceparent", SECOND),
        ("tracestate", "b=2"),
        ("baggage", "b=2"),
    ]);

    for (headers, expected) in [(one_list, "a=1,b=2"), (conflicting, "b=2")] {
        let extracted = extract(&Telemetry::new(), Some(&headers));
        let written = w3c::Outgoing::from_context(&extracted.context);
        assert_eq!(written.tracestate.as_deref(), Some(expected));
        assert_eq!(written.baggage.as_deref(), Some(expected));
    }
}

#[test]
fn a_message_without_context_has_none_whatever_is_current() {
    let _current = full_context().attach();
    let stock = Telemetry::new().propagator(TraceContextPropagator::new());

    for telemetry in [
        Telemetry::new(),
        Telemetry::new().global_propagator(),
        stock,
    ] {
        for headers in [None, Some(list(&[("key", "value")]))] {
            let extracted = extract(&telemetry, headers.as_ref());
            assert_eq!(extracted.named.creation, None, "{telemetry:?}");
        }
    }
}

#[test]
fn stale_headers_are_replaced_in_every_case_and_others_stay_in_order() {
    let mut headers = list(&[
        ("a", "1"),
        ("TraceParent", SECOND),
        ("traceparent", THIRD),
        ("Tracestate", "stale=1"),
        ("BAGGAGE", "stale=1"),
        ("b", "2"),
    ]);

    let injected = Telemetry::new().inject(
        &full_context(),
        &mut headers,
        CarriedHeaders::REPLACED,
        |_| usize::MAX,
    );

    assert_eq!(injected, REPLACED);
    assert_eq!(
        headers,
        list(&[
            ("a", "1"),
            ("b", "2"),
            ("traceparent", FIRST),
            ("tracestate", "vendor=1"),
            ("baggage", "tenant=blue"),
        ])
    );
}

#[test]
fn with_nothing_to_write_the_headers_pass_through() {
    let stock = Telemetry::new().propagator(TraceContextPropagator::new());

    for telemetry in [
        Telemetry::new(),
        Telemetry::new().global_propagator(),
        stock,
    ] {
        let mut headers = list(&[("traceparent", FIRST), ("baggage", "tenant=blue")]);
        let injected = telemetry.inject(
            &Context::new(),
            &mut headers,
            CarriedHeaders::REPLACED,
            |_| usize::MAX,
        );
        assert_eq!(injected, Injected::default());
        assert_eq!(
            headers,
            list(&[("traceparent", FIRST), ("baggage", "tenant=blue")])
        );
    }
}

#[test]
fn baggage_alone_is_written_beside_a_context_that_passes_through() {
    let mut headers = list(&[("traceparent", FIRST), ("Baggage", "stale=1")]);
    let baggage = Context::new().with_baggage(
        [("tenant", "blue")].map(|(key, value)| opentelemetry::KeyValue::new(key, value)),
    );

    Telemetry::new().inject(&baggage, &mut headers, CarriedHeaders::REPLACED, |_| {
        usize::MAX
    });

    assert_eq!(
        headers,
        list(&[("traceparent", FIRST), ("baggage", "tenant=blue")])
    );
}

#[test]
fn what_does_not_fit_is_left_out_baggage_first_then_tracestate_then_all() {
    let context = full_context();
    let traceparent = "traceparent".len() + FIRST.len();
    let tracestate = traceparent + "tracestate".len() + "vendor=1".len();
    let baggage = tracestate + "baggage".len() + "tenant=blue".len();
    let rows = [
        (baggage, 3, None),
        (baggage - 1, 2, Some(Problem::BaggageLeftOut)),
        (tracestate, 2, Some(Problem::BaggageLeftOut)),
        (tracestate - 1, 1, Some(Problem::TracestateLeftOut)),
        (traceparent, 1, Some(Problem::TracestateLeftOut)),
        (traceparent - 1, 0, Some(Problem::ContextLeftOut)),
    ];

    for (room, written, expected) in rows {
        let mut headers = list(&[]);
        let injected =
            Telemetry::new().inject(&context, &mut headers, CarriedHeaders::REPLACED, |_| room);
        assert_eq!(
            (headers.0.len(), injected.left_out),
            (written, expected),
            "{room} bytes"
        );
    }
}

#[test]
fn what_does_not_fit_leaves_on_the_message_what_it_would_have_replaced() {
    let context = full_context();
    let carried = [("baggage", "a=1"), ("traceparent", SECOND)];
    let stock = TextMapCompositePropagator::new(vec![
        Box::new(BaggagePropagator::new()),
        Box::new(TraceContextPropagator::new()),
    ]);
    for telemetry in [Telemetry::new(), Telemetry::new().propagator(stock)] {
        let mut headers = list(&carried);
        let injected = telemetry.inject(&context, &mut headers, CarriedHeaders::REPLACED, |_| 0);
        // The new traceparent takes the room of the old one, and the rest has none.
        assert_eq!(headers, list(&[("baggage", "a=1"), ("traceparent", FIRST)]));
        assert_eq!(injected.left_out, Some(Problem::TracestateLeftOut));

        let mut headers = list(&carried[..1]);
        let injected = telemetry.inject(&context, &mut headers, CarriedHeaders::REPLACED, |_| 0);
        assert_eq!(headers, list(&carried[..1]));
        assert_eq!(injected.left_out, Some(Problem::ContextLeftOut));
        assert!(!injected.has_written && !injected.is_replacement);
    }
}

#[test]
fn another_propagator_writes_its_fields_and_no_empty_ones() {
    let stock = Telemetry::new().propagator(TraceContextPropagator::new());
    let context = Telemetry::new()
        .extract(&Context::new(), Some(&list(&[("traceparent", FIRST)])), all)
        .context;
    let mut headers = list(&[
        ("TRACESTATE", "stale=1"),
        ("traceparent", SECOND),
        ("a", "1"),
    ]);

    let injected = stock.inject(&context, &mut headers, CarriedHeaders::REPLACED, |_| {
        usize::MAX
    });

    assert_eq!(injected, REPLACED);
    assert_eq!(headers, list(&[("a", "1"), ("traceparent", FIRST)]));
    headers.remove(&FIELDS);
    assert_eq!(headers, list(&[("a", "1")]));
}

#[test]
fn only_accepted_baggage_is_let_in_and_that_of_the_base_stays() {
    let members = |context: &Context| w3c::Outgoing::from_context(context).baggage;
    let headers = list(&[
        ("traceparent", FIRST),
        ("baggage", "tenant=blue,card=4711;p"),
    ]);
    let base = Context::new().with_baggage([opentelemetry::KeyValue::new("base", "1")]);
    let stock = Telemetry::new().propagator(w3c::Propagator::new());

    for telemetry in [Telemetry::new(), stock] {
        let accepted = |accepts: fn(&str) -> bool| {
            let extracted = telemetry.extract(&base, Some(&headers), accepts);
            members(&extracted.context)
        };
        assert_eq!(accepted(all).as_deref(), Some("card=4711;p,tenant=blue"));
        assert_eq!(
            accepted(|name| name == "tenant").as_deref(),
            Some("tenant=blue")
        );
        assert_eq!(accepted(|_| false).as_deref(), Some("base=1"));
    }
}
