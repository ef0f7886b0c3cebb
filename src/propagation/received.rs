//! The context headers of a received message: which of them count.

use opentelemetry::propagation::Extractor;

use super::Headers;
use crate::w3c::traceparent::TraceParent;
use crate::w3c::{self, BAGGAGE, TRACEPARENT, TRACESTATE};

/// The W3C headers of a message, by the rule for names and duplicates.
///
/// The exact lower-case name comes first, then any case. Of several traceparents the last one that
/// parses counts: order means something in a message, and appending is how people override. If they
/// differ, the last tracestate and the last baggage count too, else all of each are one list.
pub(super) struct Found<'a> {
    pub(super) incoming: w3c::Incoming<'a>,
    traceparent_text: Option<&'a [u8]>,
    pub(super) conflicting: Option<TraceParent>,
    has_traceparent: bool,
}

impl<'a> Found<'a> {
    pub(super) fn read(headers: &'a impl Headers) -> Self {
        let mut exact = Values::default();
        let mut other_case = Values::default();
        headers.for_each(&mut |name, value| {
            if !exact.take(name, value, <[u8]>::eq) {
                other_case.take(name, value, <[u8]>::eq_ignore_ascii_case);
            }
        });

        let (parent, conflicting) = match (exact.traceparent, other_case.traceparent) {
            (Some(parent), Some(other)) => (
                Some(parent),
                exact.earlier.or_else(|| parent.unless_equal(&other)),
            ),
            (Some(parent), None) => (Some(parent), exact.earlier),
            (None, other) => (other, other_case.earlier),
        };
        let mut tracestate = first_filled(exact.tracestate, other_case.tracestate);
        let mut baggage = first_filled(exact.baggage, other_case.baggage);
        if conflicting.is_some() {
            for values in [&mut tracestate, &mut baggage] {
                values.drain(..values.len().saturating_sub(1));
            }
        }
        Self {
            incoming: w3c::Incoming {
                traceparent: parent.as_ref().map(|parent| parent.parsed),
                tracestate,
                baggage,
            },
            traceparent_text: parent.map(|parent| parent.text),
            conflicting,
            has_traceparent: exact.has_traceparent || other_case.has_traceparent,
        }
    }

    /// The header by which a creation context was given that cannot be read.
    pub(super) const fn malformed(&self) -> Option<&'static str> {
        if self.has_traceparent && self.incoming.traceparent.is_none() {
            Some(TRACEPARENT)
        } else {
            None
        }
    }
}

fn first_filled<T>(exact: Vec<T>, other_case: Vec<T>) -> Vec<T> {
    if exact.is_empty() { other_case } else { exact }
}

/// A traceparent that parses, with its text.
#[derive(Clone, Copy)]
struct Parent<'a> {
    parsed: TraceParent,
    text: &'a [u8],
}

impl Parent<'_> {
    /// The other one, where it names another span.
    fn unless_equal(&self, other: &Parent<'_>) -> Option<TraceParent> {
        let same = self.parsed.trace_id == other.parsed.trace_id
            && self.parsed.parent_id == other.parsed.parent_id;
        (!same).then_some(other.parsed)
    }
}

/// Values under one spelling of the names.
#[derive(Default)]
struct Values<'a> {
    has_traceparent: bool,
    traceparent: Option<Parent<'a>>,
    earlier: Option<TraceParent>,
    tracestate: Vec<&'a [u8]>,
    baggage: Vec<&'a [u8]>,
}

impl<'a> Values<'a> {
    /// Takes a header whose name `is` one of ours, and says whether it was.
    fn take(&mut self, name: &[u8], value: &'a [u8], is: fn(&[u8], &[u8]) -> bool) -> bool {
        if is(name, TRACEPARENT.as_bytes()) {
            self.has_traceparent = true;
            if let Some(parsed) = TraceParent::parse(value) {
                let latest = Parent {
                    parsed,
                    text: value,
                };
                if let Some(before) = self.traceparent.replace(latest) {
                    self.earlier = latest.unless_equal(&before).or(self.earlier);
                }
            }
        } else if is(name, TRACESTATE.as_bytes()) {
            self.tracestate.push(value);
        } else if is(name, BAGGAGE.as_bytes()) {
            self.baggage.push(value);
        } else {
            return false;
        }
        true
    }
}

/// Headers as an [`Extractor`], for propagators other than our own.
///
/// The W3C names follow the same rule as for our own codec; of any other name the last value
/// counts. Values that are not UTF-8 count as absent.
pub(super) struct HeaderExtractor<'a, H> {
    headers: &'a H,
    w3c: Found<'a>,
}

impl<'a, H: Headers> HeaderExtractor<'a, H> {
    pub(super) fn new(headers: &'a H) -> Self {
        Self {
            headers,
            w3c: Found::read(headers),
        }
    }

    pub(super) const fn malformed(&self) -> Option<&'static str> {
        self.w3c.malformed()
    }

    fn texts(&self, key: &str) -> Vec<&'a str> {
        let values = match key {
            TRACEPARENT => self.w3c.traceparent_text.into_iter().collect(),
            TRACESTATE => self.w3c.incoming.tracestate.clone(),
            BAGGAGE => self.w3c.incoming.baggage.clone(),
            _ => self.values(key.as_bytes()),
        };
        values
            .into_iter()
            .filter_map(|value| str::from_utf8(value).ok())
            .collect()
    }

    fn values(&self, key: &[u8]) -> Vec<&'a [u8]> {
        let (mut exact, mut other_case) = (Vec::new(), Vec::new());
        self.headers.for_each(&mut |name, value| {
            if name == key {
                exact.push(value);
            } else if name.eq_ignore_ascii_case(key) {
                other_case.push(value);
            }
        });
        first_filled(exact, other_case)
    }
}

impl<H: Headers> Extractor for HeaderExtractor<'_, H> {
    fn get(&self, key: &str) -> Option<&str> {
        self.texts(key).last().copied()
    }

    fn keys(&self) -> Vec<&str> {
        let mut keys = Vec::new();
        self.headers
            .for_each(&mut |name, _| keys.extend(str::from_utf8(name)));
        keys
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let texts = self.texts(key);
        (!texts.is_empty()).then_some(texts)
    }
}
