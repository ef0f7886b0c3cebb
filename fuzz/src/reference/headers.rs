//! Which headers of a message count.
//!
//! A name in lower case comes before the same in any other case. Of several traceparents the last
//! that can be read counts. Are there others among them, the message has a conflict: then the last
//! baggage counts, and a tracestate goes to no trace but its own.

use super::{BAGGAGE, Parent, TRACEPARENT, TRACESTATE};

/// Whether the order of headers with different names says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    AsSent,
    ByName,
}

/// What counts of a message's headers.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    pub(super) parent: Option<Parent>,
    pub(super) tracestate: Vec<&'a str>,
    pub(super) baggage: Vec<&'a str>,
}

/// The field that a name is, in whatever case.
pub fn field(name: &[u8]) -> Option<&'static str> {
    let mut fields = [TRACEPARENT, TRACESTATE, BAGGAGE].into_iter();
    fields.find(|field| name.eq_ignore_ascii_case(field.as_bytes()))
}

pub(super) fn found<'a>(headers: &[(&'a [u8], &'a [u8])], order: Order) -> Found<'a> {
    let exact = Spelled::of(headers, true);
    let other = Spelled::of(headers, false);
    let (counting, aside) = if exact.parents.is_empty() {
        (&other, None)
    } else {
        (&exact, other.parents.last())
    };
    let Some(Placed { parent, .. }) = counting.parents.last() else {
        return Found {
            baggage: texts(first_filled(exact.baggage, other.baggage)),
            ..Found::default()
        };
    };
    let is_same_span = |one: &Placed| one.parent.is_same_span(parent);
    let is_one_span = counting.parents.iter().chain(aside).all(is_same_span);
    let last = |values: Vec<&'a [u8]>| match is_one_span {
        true => values,
        false => values.last().copied().into_iter().collect(),
    };

    let is_of_other_trace = |one: &Placed| one.parent.trace != parent.trace;
    let tracestate = if counting.parents.iter().any(is_of_other_trace) {
        counting.own_tracestate(order)
    } else if aside.is_some() && other.parents.iter().any(is_of_other_trace) {
        exact.tracestate.clone()
    } else {
        last(first_filled(
            exact.tracestate.clone(),
            other.tracestate.clone(),
        ))
    };
    Found {
        parent: Some(parent.clone()),
        tracestate: texts(tracestate),
        baggage: texts(last(first_filled(exact.baggage, other.baggage))),
    }
}

/// The headers of context under one kind of spelling.
#[derive(Default)]
struct Spelled<'a> {
    /// Those that can be read.
    parents: Vec<Placed>,
    /// How many tracestates are in front of each traceparent, those that cannot be read included.
    in_front: Vec<usize>,
    tracestate: Vec<&'a [u8]>,
    baggage: Vec<&'a [u8]>,
}

/// A traceparent, and which one of all it is.
struct Placed {
    parent: Parent,
    place: usize,
}

impl<'a> Spelled<'a> {
    fn of(headers: &[(&'a [u8], &'a [u8])], is_exact: bool) -> Self {
        let mut spelled = Self::default();
        for (name, value) in headers {
            let Some(field) = field(name).filter(|field| (field.as_bytes() == *name) == is_exact)
            else {
                continue;
            };
            match field {
                TRACESTATE => spelled.tracestate.push(value),
                BAGGAGE => spelled.baggage.push(value),
                _ => {
                    let place = spelled.in_front.len();
                    let parent = str::from_utf8(value).ok().and_then(Parent::read);
                    let placed = parent.map(|parent| Placed { parent, place });
                    spelled.parents.extend(placed);
                    spelled.in_front.push(spelled.tracestate.len());
                }
            }
        }
        spelled
    }

    /// The tracestates of the traceparent that counts, among those of other traces.
    fn own_tracestate(&self, order: Order) -> Vec<&'a [u8]> {
        let place = self.parents.last().map_or(0, |last| last.place);
        let (in_front, all) = (self.in_front[place], self.tracestate.len());
        let before = match place {
            0 => 0,
            _ => self.in_front[place - 1],
        };
        let one_each = all == self.in_front.len();
        let own = match order {
            Order::ByName if one_each => place..place + 1,
            Order::ByName => return Vec::new(),
            // All traceparents come first, then all tracestates.
            Order::AsSent if in_front == 0 && one_each => place..place + 1,
            // Each has its own behind it.
            Order::AsSent if in_front < all => in_front..all,
            // Each has its own in front of it.
            Order::AsSent if self.in_front[0] > 0 => before..in_front,
            Order::AsSent => return Vec::new(),
        };
        self.tracestate[own].to_vec()
    }
}

fn first_filled<T>(exact: Vec<T>, other: Vec<T>) -> Vec<T> {
    if exact.is_empty() { other } else { exact }
}

/// What is no text counts as absent.
fn texts(values: Vec<&[u8]>) -> Vec<&str> {
    let texts = values.into_iter().map(str::from_utf8);
    texts.filter_map(Result::ok).collect()
}
