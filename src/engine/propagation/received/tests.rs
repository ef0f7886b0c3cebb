//! Headers of exact names are read by a short way, and mean what they mean by the long one.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

struct Ordered(Vec<(String, String)>);

struct Unordered(Vec<(String, String)>);

fn show<'a>(all: &'a [(String, String)], visit: &mut dyn FnMut(&'a [u8], &'a [u8])) {
    for (name, value) in all {
        visit(name.as_bytes(), value.as_bytes());
    }
}

impl Headers for Ordered {
    fn for_each<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], &'a [u8])) {
        show(&self.0, visit);
    }
}

impl Headers for Unordered {
    const IS_ORDERED: bool = false;

    fn for_each<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], &'a [u8])) {
        show(&self.0, visit);
    }
}

/// By the rule alone: each name is compared with each of ours, and all is weighed.
fn by_the_long_way<H: Headers>(headers: &H) -> ContextHeaders<'_> {
    let (mut exact, mut other_case) = (Values::default(), Values::default());
    headers.for_each(&mut |name, value| {
        for field in [Field::Traceparent, Field::Tracestate, Field::Baggage] {
            let own = field.name().as_bytes();
            if name == own {
                exact.take(field, value);
            } else if name.eq_ignore_ascii_case(own) {
                other_case.take(field, value);
            }
        }
    });
    ContextHeaders::weighed::<H>(exact, other_case)
}

fn all_of(read: &ContextHeaders<'_>) -> String {
    let w3c::Incoming {
        traceparent,
        tracestate,
        baggage,
    } = &read.incoming;
    let (text, conflicting) = (read.traceparent_text, read.conflicting);
    let malformed = read.malformed();
    format!("{traceparent:?} {tracestate:?} {baggage:?} {text:?} {conflicting:?} {malformed:?}")
}

fn assert_same_both_ways(headers: Vec<(String, String)>) -> Result<(), TestCaseError> {
    let (ordered, unordered) = (Ordered(headers.clone()), Unordered(headers));
    let same = |short: &ContextHeaders<'_>, long: &ContextHeaders<'_>| {
        prop_assert_eq!(all_of(short), all_of(long));
        Ok(())
    };
    same(&ContextHeaders::read(&ordered), &by_the_long_way(&ordered))?;
    same(
        &ContextHeaders::read(&unordered),
        &by_the_long_way(&unordered),
    )
}

/// A header of context with a name of these, or of none of ours. Few traces and spans, so that some are the same.
fn header(names: Vec<(&'static str, u8)>) -> impl Strategy<Value = (String, String)> {
    let traceparent = (1..4_u8, 1..3_u8, prop::bool::weighted(0.2));
    (select(names), traceparent, "[a-c]=[1-3]").prop_map(
        |((name, kind), (trace, span, is_broken), member)| {
            let value = match kind {
                0 if is_broken => "broken".to_owned(),
                0 => format!("00-{trace:032}-{span:016}-01"),
                _ => member,
            };
            (name.to_owned(), value)
        },
    )
}

const EXACT: [(&str, u8); 3] = [(TRACEPARENT, 0), (TRACESTATE, 1), (BAGGAGE, 2)];

const ANY: [(&str, u8); 15] = [
    (TRACEPARENT, 0),
    ("Traceparent", 0),
    ("TRACEPARENT", 0),
    ("tRACEPARENT", 0),
    ("traceparenT", 0),
    ("traceparents", 0),
    ("tracepar\u{fffd}", 0),
    (TRACESTATE, 1),
    ("TraceState", 1),
    ("tracestat", 1),
    (BAGGAGE, 2),
    ("Baggage", 2),
    ("baggagf", 2),
    ("", 2),
    ("key", 2),
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4096) })]

    #[test]
    fn headers_of_exact_names_mean_the_same_by_the_short_way(headers in vec(header(EXACT.into()), 0..9)) {
        assert_same_both_ways(headers)?;
    }

    #[test]
    fn headers_of_names_in_any_case_mean_what_the_rule_says(headers in vec(header(ANY.into()), 0..9)) {
        assert_same_both_ways(headers)?;
    }
}
