//! What is wrong with a context, and what of it is lost.

use opentelemetry::KeyValue;

use super::*;
use crate::propagators::Jaeger;

#[test]
fn what_is_wrong_with_a_received_context_is_told_apart() {
    const MALFORMED: [Problem; 3] = [
        Problem::Malformed(TRACEPARENT),
        Problem::Malformed(TRACESTATE),
        Problem::Malformed(BAGGAGE),
    ];
    let [traceparent, tracestate, baggage] = MALFORMED;
    let too_many: Vec<_> = (0..65).map(|number| format!("m{number}=1")).collect();
    let too_many = too_many.join(",");
    let too_many = too_many.as_str();
    type Row<'a> = (&'a [(&'a str, &'a str)], &'a [Problem]);
    let rows: [Row<'_>; 15] = [
        (&[("traceparent", FIRST), ("baggage", "a=1,,b=2")], &[]),
        (&[("traceparent", FIRST), ("tracestate", " ")], &[]),
        (&[("key", "value")], &[Problem::Missing]),
        (&[("baggage", "a=1")], &[Problem::Missing]),
        (&[("traceparent", "")], &[traceparent]),
        (&[("TRACEPARENT", "00-1-1-01")], &[traceparent]),
        (&[("traceparent", "00-1-1-01"), ("traceparent", FIRST)], &[]),
        (
            &[("traceparent", FIRST), ("tracestate", "=")],
            &[tracestate],
        ),
        (&[("traceparent", FIRST), ("baggage", "a=1,b")], &[baggage]),
        (
            &[("traceparent", FIRST), ("Traceparent", SECOND)],
            &[Problem::Conflicting],
        ),
        (
            &[
                ("traceparent", FIRST),
                ("traceparent", SECOND),
                ("baggage", "b"),
            ],
            &[Problem::Conflicting, baggage],
        ),
        (&[("traceparent", FIRST), ("baggage", too_many)], &[baggage]),
        (&[("baggage", "b")], &[baggage, Problem::Missing]),
        (&[("tracestate", "=")], &[Problem::Missing]),
        (&[("traceparent", "no"), ("baggage", "b")], &[traceparent]),
    ];

    for (headers, expected) in rows {
        let extracted = extract(&Telemetry::new(), Some(&list(headers)));
        assert_eq!(
            extracted.named.problems().collect::<Vec<_>>(),
            expected,
            "{headers:?}"
        );
    }
    let stock = Telemetry::new().propagator(TraceContextPropagator::new());
    let broken = list(&[("traceparent", "broken")]);
    let extracted = extract(&stock, Some(&broken));
    assert_eq!(
        extracted.named.problems().collect::<Vec<_>>(),
        [traceparent]
    );
}

#[test]
fn baggage_that_is_too_much_for_a_header_is_told() {
    let context = |spaces: usize| {
        let long = KeyValue::new("long", " ".repeat(spaces));
        full_context().with_baggage([KeyValue::new("tenant", "blue"), long])
    };
    let own = [
        Telemetry::new(),
        Telemetry::new().fallback_propagator(Jaeger::new()),
    ];
    for telemetry in own {
        for (spaces, carried, room, left_out) in [
            (2_000, Carried::Replaced, usize::MAX, None),
            (
                3_000,
                Carried::Replaced,
                usize::MAX,
                Some(Problem::BaggageLeftOut),
            ),
            (
                3_000,
                Carried::Removed,
                usize::MAX,
                Some(Problem::BaggageLeftOut),
            ),
            (3_000, Carried::Replaced, 0, Some(Problem::ContextLeftOut)),
            (3_000, Carried::Kept, usize::MAX, None),
        ] {
            let mut headers = list(&[]);
            let carried = CarriedHeaders {
                baggage: carried,
                ..CarriedHeaders::REPLACED
            };
            let injected = telemetry.inject(&context(spaces), &mut headers, carried, |_| room);
            assert_eq!(injected.left_out, left_out, "{spaces} {carried:?} {room}");
        }
    }
}

#[test]
fn what_is_over_the_limit_of_a_header_leaves_the_rest_of_baggage_in_it() {
    let long = KeyValue::new("long", " ".repeat(3_000));
    let context = Context::new().with_baggage([KeyValue::new("tenant", "blue"), long]);
    let mut headers = list(&[("baggage", "stale=1")]);

    let injected =
        Telemetry::new().inject(&context, &mut headers, CarriedHeaders::REPLACED, |_| {
            usize::MAX
        });

    let left_out = Some(Problem::BaggageLeftOut);
    assert_eq!(
        injected,
        Injected {
            left_out,
            ..REPLACED
        }
    );
    assert_eq!(headers, list(&[("baggage", "tenant=blue")]));
}
