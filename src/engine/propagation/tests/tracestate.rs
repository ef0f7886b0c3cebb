//! Which tracestate belongs to the traceparent that counts.
use opentelemetry::propagation::TextMapCompositePropagator;
use opentelemetry_sdk::propagation::BaggagePropagator;

use super::*;

/// The same trace as `FIRST`, another span.
const SIBLING: &str = "00-11111111111111111111111111111111-2222222222222222-01";

/// Headers whose names have no order among each other.
#[derive(Debug)]
struct Unordered(List);

impl Headers for Unordered {
    const IS_ORDERED: bool = false;

    fn for_each<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], &'a [u8])) {
        self.0.for_each(visit);
    }
}

/// Trace id and tracestate that are read.
fn read(telemetry: &Telemetry, headers: &impl Headers) -> (TraceId, String) {
    let extracted = extract(telemetry, Some(headers));
    let span = extracted.context.span().span_context().clone();
    (span.trace_id(), span.trace_state().header())
}

/// Headers, the trace that counts, and its tracestate where names have an order and where not.
type Row<'a> = (&'a [(&'a str, &'a str)], u64, &'a str, &'a str);

const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";

#[test]
fn a_tracestate_goes_to_no_trace_but_the_one_that_it_came_with() {
    let rows: [Row<'_>; 18] = [
        // An agent appends both, the list in two headers.
        (
            &[
                (PARENT, FIRST),
                (STATE, "a=1"),
                (PARENT, SECOND),
                (STATE, "b=2"),
                (STATE, "c=3"),
            ],
            2,
            "b=2,c=3",
            "",
        ),
        // An agent writes both, and a service behind it appends a traceparent alone.
        (
            &[(PARENT, FIRST), (STATE, "a=1"), (PARENT, SECOND)],
            2,
            "",
            "",
        ),
        (
            &[
                (PARENT, FIRST),
                (STATE, "a=1"),
                (PARENT, SECOND),
                (STATE, "b=2"),
            ],
            2,
            "b=2",
            "b=2",
        ),
        (
            &[
                (STATE, "a=1"),
                (PARENT, FIRST),
                (STATE, "b=2"),
                (PARENT, SECOND),
            ],
            2,
            "b=2",
            "b=2",
        ),
        (
            &[(PARENT, FIRST), (PARENT, SECOND), (STATE, "b=2")],
            2,
            "b=2",
            "",
        ),
        (
            &[
                (PARENT, FIRST),
                (PARENT, SECOND),
                (STATE, "b=2"),
                (STATE, "c=3"),
            ],
            2,
            // In both orders the last belongs to the last.
            "c=3",
            "c=3",
        ),
        (
            &[
                (PARENT, FIRST),
                (STATE, "a=1"),
                (STATE, "a=2"),
                (PARENT, SECOND),
            ],
            2,
            "",
            "a=2",
        ),
        (
            &[(STATE, "a=1"), (PARENT, FIRST), (PARENT, SECOND)],
            2,
            "",
            "",
        ),
        // What stands in the place of the one that parses.
        (
            &[
                (STATE, "a=1"),
                (STATE, "b=2"),
                (STATE, "c=3"),
                (PARENT, FIRST),
                (PARENT, SECOND),
                (PARENT, "broken"),
            ],
            2,
            "",
            "b=2",
        ),
        // Three, of which the first and the last are of one trace.
        (
            &[
                (PARENT, FIRST),
                (STATE, "a=1"),
                (PARENT, SECOND),
                (PARENT, SIBLING),
            ],
            1,
            "",
            "",
        ),
        // A spelling keeps its own.
        (
            &[
                (PARENT, FIRST),
                ("Traceparent", SECOND),
                ("Tracestate", "b=2"),
            ],
            1,
            "",
            "",
        ),
        (
            &[
                (PARENT, FIRST),
                ("Traceparent", SECOND),
                (STATE, "a=1"),
                ("Tracestate", "b=2"),
            ],
            1,
            "a=1",
            "a=1",
        ),
        (
            &[
                (PARENT, FIRST),
                ("Traceparent", SECOND),
                (STATE, "a=1"),
                (STATE, "a=2"),
            ],
            1,
            "a=1,a=2",
            "a=1,a=2",
        ),
        (
            &[
                ("Traceparent", FIRST),
                ("Tracestate", "a=1"),
                ("TRACEPARENT", SECOND),
            ],
            2,
            "",
            "",
        ),
        // Of one trace all are one list, or of two spans in it the last.
        (&[("Traceparent", FIRST), (STATE, "a=1")], 1, "a=1", "a=1"),
        (&[(PARENT, FIRST), ("Tracestate", "a=1")], 1, "a=1", "a=1"),
        (
            &[
                (PARENT, FIRST),
                (STATE, "a=1"),
                (STATE, "b=2"),
                (PARENT, FIRST),
            ],
            1,
            "a=1,b=2",
            "a=1,b=2",
        ),
        (
            &[
                (PARENT, FIRST),
                (STATE, "a=1"),
                (STATE, "b=2"),
                (PARENT, SIBLING),
            ],
            1,
            "b=2",
            "b=2",
        ),
    ];

    for (headers, trace, ordered, unordered) in rows {
        let trace = span_of(trace).0;
        let list = list(headers);
        let found = read(&Telemetry::new(), &list);
        assert_eq!(found, (trace, ordered.to_owned()), "{headers:?}");
        let found = read(&Telemetry::new(), &Unordered(list));
        assert_eq!(
            found,
            (trace, unordered.to_owned()),
            "{headers:?}, no order"
        );
    }
}

#[test]
fn other_propagators_are_shown_no_tracestate_of_another_trace_either() {
    let stock = TextMapCompositePropagator::new(vec![
        Box::new(TraceContextPropagator::new()),
        Box::new(BaggagePropagator::new()),
    ]);
    let own = w3c::Propagator::new();
    let agent = [(PARENT, FIRST), (STATE, "a=1"), ("baggage", "tenant=blue")];
    let appended = [&agent[..], &[(PARENT, SECOND)]].concat();
    let spelled = [
        ("Traceparent", FIRST),
        ("Tracestate", "a=1"),
        (PARENT, SECOND),
    ];
    let appended_both = [&appended[..], &[(STATE, "b=2")]].concat();

    for telemetry in [
        Telemetry::new().propagator(stock),
        Telemetry::new().propagator(own),
    ] {
        let rows = [
            (&agent[..], 1, "a=1"),
            (&appended, 2, ""),
            (&appended_both, 2, "b=2"),
            (&spelled, 2, ""),
        ];
        for (headers, trace, state) in rows {
            let list = list(headers);
            let expected = (span_of(trace).0, state.to_owned());
            assert_eq!(read(&telemetry, &list), expected, "{headers:?}");
            assert_eq!(read(&telemetry, &Unordered(list)), expected, "{headers:?}");
        }
        let baggage = telemetry
            .extract(&Context::new(), Some(&list(&appended)), all)
            .context;
        assert_eq!(baggage.baggage().len(), 1, "baggage is of no trace");
    }
}

#[test]
fn of_propagators_that_are_put_together_the_last_one_writes_a_field() {
    let both = TextMapCompositePropagator::new(vec![
        Box::new(w3c::Propagator::new()),
        Box::new(BaggagePropagator::new()),
        Box::new(TraceContextPropagator::new()),
    ]);
    let sent = list(&[(PARENT, FIRST), ("baggage", "tenant=blue")]);
    let telemetry = Telemetry::new().propagator(both);
    let context = extract(&telemetry, Some(&sent)).context;
    let mut headers = list(&[]);

    let replaced = CarriedHeaders::REPLACED;
    telemetry.inject(&context, &mut headers, replaced, |_| usize::MAX);

    let mut written = headers.0;
    written.sort();
    assert_eq!(
        written,
        list(&[("baggage", "tenant=blue"), (PARENT, FIRST)]).0
    );
}
