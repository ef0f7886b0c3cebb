//! The context headers of a received message: which of them count.

mod extractor;
#[cfg(test)]
mod tests;

use std::mem;

use opentelemetry::trace::{SpanContext, TraceState};

pub(super) use self::extractor::HeaderExtractor;
use super::Headers;
use crate::w3c::traceparent::TraceParent;
use crate::w3c::{self, BAGGAGE, TRACEPARENT, TRACESTATE};

/// The W3C headers of a message, by the rule for names and duplicates.
///
/// The exact lower-case name comes first, then any case. Of several traceparents the last one that
/// parses counts: order means something in a message, and appending is how people override. If they
/// differ, the last baggage counts too, and of the tracestates what belongs to that traceparent;
/// else all of each are one list.
pub(super) struct ContextHeaders<'a> {
    pub(super) incoming: w3c::Incoming<'a>,
    traceparent_text: Option<&'a [u8]>,
    conflicting: Option<TraceParent>,
    has_traceparent: bool,
}

impl<'a> ContextHeaders<'a> {
    pub(super) fn read<H: Headers>(headers: &'a H) -> Self {
        let mut exact = Values::default();
        let mut other_case: Option<Box<Values<'_>>> = None;
        headers.for_each(&mut |name, value| {
            if let Some((field, is_exact)) = Field::named(name) {
                let values = match is_exact {
                    true => &mut exact,
                    false => other_case.get_or_insert_default(),
                };
                values.take(field, value);
            }
        });

        match other_case {
            // As most often: then nothing has to be weighed.
            None => Self::of_exact_names::<H>(exact),
            Some(other_case) => Self::weighed::<H>(exact, *other_case),
        }
    }

    fn weighed<H: Headers>(mut exact: Values<'a>, mut other_case: Values<'a>) -> Self {
        let has_traceparent = exact.has_traceparent() || other_case.has_traceparent();
        let (parent, conflicting) = match (exact.parent, other_case.parent) {
            (Some(parent), Some(other)) => (
                Some(parent),
                exact.earlier.or_else(|| parent.unless_equal(&other)),
            ),
            (Some(parent), None) => (Some(parent), exact.earlier),
            (None, other) => (other, other_case.earlier),
        };
        let mut baggage = first_filled(
            mem::take(&mut exact.baggage),
            mem::take(&mut other_case.baggage),
        );
        if conflicting.is_some() {
            keep_last(&mut baggage);
        }
        Self {
            incoming: w3c::Incoming {
                traceparent: parent.map(|parent| parent.parsed),
                tracestate: tracestate::<H>(exact, other_case, conflicting.is_some()),
                baggage,
            },
            traceparent_text: parent.map(|parent| parent.text),
            conflicting,
            has_traceparent,
        }
    }

    fn of_exact_names<H: Headers>(mut exact: Values<'a>) -> Self {
        let is_conflicting = exact.earlier.is_some();
        let tracestate = if exact.is_of_many_traces {
            exact.own_tracestate(H::IS_ORDERED)
        } else {
            let mut one_list = mem::take(&mut exact.tracestate);
            if is_conflicting {
                keep_last(&mut one_list);
            }
            one_list
        };
        if is_conflicting {
            keep_last(&mut exact.baggage);
        }
        Self {
            has_traceparent: exact.has_traceparent(),
            traceparent_text: exact.parent.map(|parent| parent.text),
            conflicting: exact.earlier,
            incoming: w3c::Incoming {
                traceparent: exact.parent.map(|parent| parent.parsed),
                tracestate,
                baggage: exact.baggage,
            },
        }
    }

    /// Another, different creation context.
    pub(super) fn conflicting(&self) -> Option<SpanContext> {
        let conflicting = self.conflicting?;
        Some(conflicting.span_context(TraceState::NONE))
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

/// A header of W3C.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Traceparent,
    Tracestate,
    Baggage,
}

impl Field {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Traceparent => TRACEPARENT,
            Self::Tracestate => TRACESTATE,
            Self::Baggage => BAGGAGE,
        }
    }

    /// The one of this name, in whatever case, and whether that is the exact one.
    pub(super) fn named(name: &[u8]) -> Option<(Self, bool)> {
        // For each header of anybody's: nearly all are told by their begin and length, and need no call.
        const TRACEPARENT_LEN: usize = TRACEPARENT.len();
        const TRACESTATE_LEN: usize = TRACESTATE.len();
        const BAGGAGE_LEN: usize = BAGGAGE.len();
        let field = match (name.first()?, name.len()) {
            (b't' | b'T', TRACEPARENT_LEN) => Self::Traceparent,
            (b't' | b'T', TRACESTATE_LEN) => Self::Tracestate,
            (b'b' | b'B', BAGGAGE_LEN) => Self::Baggage,
            _ => return None,
        };
        let own = field.name().as_bytes();
        let is_exact = own == name;
        (is_exact || own.eq_ignore_ascii_case(name)).then_some((field, is_exact))
    }
}

/// The tracestates that belong to the traceparent that counts.
fn tracestate<'a, H: Headers>(
    exact: Values<'a>,
    other_case: Values<'a>,
    is_conflicting: bool,
) -> Vec<&'a [u8]> {
    let counting = if exact.parent.is_some() {
        &exact
    } else {
        &other_case
    };
    let is_one_trace = match (exact.parent, other_case.parent) {
        (Some(one), Some(other)) => {
            one.parsed.trace_id == other.parsed.trace_id && !other_case.is_of_many_traces
        }
        _ => true,
    };
    if counting.is_of_many_traces {
        counting.own_tracestate(H::IS_ORDERED)
    } else if is_one_trace {
        let mut values = first_filled(exact.tracestate, other_case.tracestate);
        if is_conflicting {
            keep_last(&mut values);
        }
        values
    } else {
        exact.tracestate
    }
}

fn first_filled<T>(exact: Vec<T>, other_case: Vec<T>) -> Vec<T> {
    if exact.is_empty() { other_case } else { exact }
}

fn keep_last<T>(values: &mut Vec<T>) {
    values.drain(..values.len().saturating_sub(1));
}

/// A traceparent that parses, with its text.
#[derive(Clone, Copy)]
struct Parent<'a> {
    parsed: TraceParent,
    text: &'a [u8],
    /// How many traceparents are before it, those that do not parse among them.
    place: usize,
    /// How many tracestates are before it, and before the traceparent in front of it.
    tracestates: usize,
    tracestates_in_front: usize,
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
    traceparents: usize,
    /// How many tracestates are before the first traceparent and before the latest.
    tracestates_before: (usize, usize),
    parent: Option<Parent<'a>>,
    earlier: Option<TraceParent>,
    is_of_many_traces: bool,
    tracestate: Vec<&'a [u8]>,
    baggage: Vec<&'a [u8]>,
}

impl<'a> Values<'a> {
    fn take(&mut self, field: Field, value: &'a [u8]) {
        if field == Field::Traceparent {
            let tracestates = self.tracestate.len();
            let (first, in_front) = self.tracestates_before;
            if let Some(parsed) = TraceParent::parse(value) {
                let latest = Parent {
                    parsed,
                    text: value,
                    place: self.traceparents,
                    tracestates,
                    tracestates_in_front: in_front,
                };
                if let Some(before) = self.parent.replace(latest) {
                    self.earlier = latest.unless_equal(&before).or(self.earlier);
                    self.is_of_many_traces |= parsed.trace_id != before.parsed.trace_id;
                }
            }
            let is_first = self.traceparents == 0;
            self.tracestates_before = (if is_first { tracestates } else { first }, tracestates);
            self.traceparents += 1;
        } else if field == Field::Tracestate {
            self.tracestate.push(value);
        } else {
            self.baggage.push(value);
        }
    }

    const fn has_traceparent(&self) -> bool {
        self.traceparents > 0
    }

    /// What belongs to the traceparent that counts, where others are of other traces; none where
    /// that cannot be told.
    fn own_tracestate(&self, is_ordered: bool) -> Vec<&'a [u8]> {
        let Some(parent) = self.parent else {
            return Vec::new();
        };
        // Names may come one after the other, each with all its values.
        let is_grouped = !is_ordered || parent.tracestates == 0;
        let own = if is_grouped && self.tracestate.len() == self.traceparents {
            self.tracestate.get(parent.place..=parent.place)
        } else if !is_ordered {
            None
        } else if self.tracestate.len() > parent.tracestates {
            self.tracestate.get(parent.tracestates..)
        } else if self.tracestates_before.0 > 0 {
            // Each comes in front of its traceparent.
            self.tracestate
                .get(parent.tracestates_in_front..parent.tracestates)
        } else {
            None
        };
        own.unwrap_or_default().to_vec()
    }
}
