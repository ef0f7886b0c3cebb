//! The propagator over a map: one field at a time, each line of the input a value of it.

use std::collections::HashMap;

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use otel_messaging::w3c::Propagator;

use crate::input::in_turns;
use crate::reference::{BAGGAGE, Carried, Parent, TRACEPARENT, TRACESTATE};

const SAMPLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03";

/// Traceparents, of which different ones are none.
pub fn traceparent(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let values: Vec<_> = text.split('\n').collect();
    let mut parents: Vec<_> = values.iter().copied().filter_map(Parent::read).collect();
    parents.dedup();
    let parent = match &parents[..] {
        [parent] => Some(parent.clone()),
        _ => None,
    };
    let expected = Carried::read(parent, &[], &[]);
    check(input, &[(TRACEPARENT, values)], &expected);
}

/// Tracestates of a traceparent, and of none.
pub fn tracestate(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let values: Vec<_> = text.split('\n').collect();
    for parent in in_turns(input, [Some(SAMPLE), None]) {
        let expected = Carried::read(parent.and_then(Parent::read), &values, &[]);
        let headers = with_parent(parent, (TRACESTATE, values.clone()));
        check(input, &headers, &expected);
    }
}

/// Baggage beside a traceparent, and alone.
pub fn baggage(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let values: Vec<_> = text.split('\n').collect();
    for parent in in_turns(input, [Some(SAMPLE), None]) {
        let expected = Carried::read(parent.and_then(Parent::read), &[], &values);
        let headers = with_parent(parent, (BAGGAGE, values.clone()));
        check(input, &headers, &expected);
    }
}

fn with_parent<'a>(parent: Option<&'a str>, other: Field<'a>) -> Vec<Field<'a>> {
    let parent = parent.map(|parent| (TRACEPARENT, vec![parent]));
    parent.into_iter().chain([other]).collect()
}

/// A name with its values.
type Field<'a> = (&'a str, Vec<&'a str>);

fn check(input: &[u8], headers: &[Field<'_>], expected: &Carried) {
    let map = Map::of(headers, str::to_owned);
    let received = Propagator::new().extract_with_context(&Context::new(), &map);
    expected.assert_is(&received);
    let all: [&dyn Fn(); 3] = [
        &|| check_case(headers, expected),
        &|| check_base(&map, expected),
        &|| check_written(&received, expected),
    ];
    for check in in_turns(input, all) {
        check();
    }
}

/// Names are the same in another case.
fn check_case(headers: &[Field<'_>], expected: &Carried) {
    let shouted = Map::of(headers, str::to_uppercase);
    expected.assert_is(&Propagator::new().extract_with_context(&Context::new(), &shouted));
}

/// What is written is, byte for byte, what is expected, and is read as the same, but for what of its properties is not
/// written.
fn check_written(received: &Context, expected: &Carried) {
    let propagator = Propagator::new();
    let mut sent = HashMap::new();
    propagator.inject_context(received, &mut sent);
    let written = expected.written().into_iter();
    let written: HashMap<_, _> = written
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    assert_eq!(sent, written);

    let value = |name| sent.get(name).map_or("", String::as_str);
    let again = Carried::read(
        Parent::read(value(TRACEPARENT)),
        &[value(TRACESTATE)],
        &[value(BAGGAGE)],
    );
    let received = propagator.extract_with_context(&Context::new(), &sent);
    again.assert_is(&received);
    again.assert_was(expected);
    let mut sent_again = HashMap::new();
    propagator.inject_context(&received, &mut sent_again);
    assert_eq!(sent_again, sent);
}

/// What was not received stays as it was, and nothing else.
fn check_base(map: &Map, expected: &Carried) {
    let propagator = Propagator::new();
    const BEFORE: &str = "00-11111111111111111111111111111111-2222222222222222-02";
    let before = HashMap::from([
        (TRACEPARENT.to_owned(), BEFORE.to_owned()),
        (TRACESTATE.to_owned(), "before@@it=1".to_owned()),
        (BAGGAGE.to_owned(), "before=1".to_owned()),
    ]);
    let base = propagator.extract(&before);
    let context = propagator.extract_with_context(&base, map);
    let mut sent = HashMap::new();
    propagator.inject_context(&context, &mut sent);

    let mut wanted = Carried::read(Parent::read(BEFORE), &["before@@it=1"], &["before=1"]);
    if expected.parent.is_some() {
        wanted.parent.clone_from(&expected.parent);
        wanted.tracestate.clone_from(&expected.tracestate);
    }
    if !expected.baggage.is_empty() {
        wanted.baggage.clone_from(&expected.baggage);
    }
    let wanted = wanted.written().into_iter();
    let wanted: HashMap<_, _> = wanted
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    assert_eq!(sent, wanted);
}

/// Headers of which each name may have several values.
struct Map(Vec<(String, Vec<String>)>);

impl Map {
    fn of(headers: &[Field<'_>], spelling: fn(&str) -> String) -> Self {
        let owned = |values: &Vec<&str>| values.iter().copied().map(str::to_owned).collect();
        let headers = headers.iter();
        Self(
            headers
                .map(|(name, values)| (spelling(name), owned(values)))
                .collect(),
        )
    }

    fn values(&self, name: &str) -> Option<&Vec<String>> {
        let mut headers = self.0.iter();
        Some(&headers.find(|(one, _)| one == name)?.1)
    }
}

impl Extractor for Map {
    fn get(&self, name: &str) -> Option<&str> {
        self.values(name)?.first().map(String::as_str)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }

    fn get_all(&self, name: &str) -> Option<Vec<&str>> {
        Some(self.values(name)?.iter().map(String::as_str).collect())
    }
}
