//! A context on its way into the headers of a message, and what becomes of those that it carries.

use opentelemetry::Context;
use opentelemetry::propagation::{Injector, TextMapPropagator};

use super::{FIELDS, HeadersMut};
use crate::diagnosis::Problem;
use crate::w3c::{self, BAGGAGE, TRACEPARENT, TRACESTATE};

/// What becomes of a header of context that a message carries already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carried {
    /// It stays, and nothing is written beside it.
    Kept,
    /// It gives way to what is written, and stays where nothing is.
    Replaced,
    /// It goes, whether anything is written or not.
    Removed,
}

/// The same for each of the two things that headers carry, which belong to different people.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CarriedHeaders {
    /// `traceparent` and `tracestate`, or what another propagator has in their place.
    pub(crate) trace: Carried,
    /// `baggage`.
    pub(crate) baggage: Carried,
}

impl CarriedHeaders {
    /// Whatever is written takes the place of what was there.
    pub(crate) const REPLACED: Self = Self {
        trace: Carried::Replaced,
        baggage: Carried::Replaced,
    };
}

/// What became of the headers of a message to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Injected {
    /// The message carries something now that was written here.
    pub(crate) has_written: bool,
    /// The message carried a context before, which is gone.
    pub(crate) is_replacement: bool,
    /// What did not fit into the message.
    pub(crate) left_out: Option<Problem>,
}

impl Injected {
    /// What was wrong with the message's context.
    pub(crate) fn problems(self) -> impl Iterator<Item = Problem> {
        let replaced = self.is_replacement.then_some(Problem::Replaced);
        replaced.into_iter().chain(self.left_out)
    }
}

/// Whether any propagator writes a header of this name that is baggage's.
const fn is_baggage(name: &str) -> bool {
    name.eq_ignore_ascii_case(BAGGAGE)
}

pub(super) fn inject_w3c<H: HeadersMut>(
    context: &Context,
    headers: &mut H,
    carried: CarriedHeaders,
    room: impl FnOnce(&H) -> usize,
) -> Injected {
    let outgoing = w3c::Outgoing::from_context(context);
    let traceparent = outgoing.traceparent.as_ref().map(|text| text.as_slice());
    let tracestate = outgoing.tracestate.as_deref().map(str::as_bytes);
    let baggage = outgoing.baggage.as_deref().map(str::as_bytes);
    let fields = [
        (
            TRACEPARENT,
            traceparent.filter(|_| carried.trace != Carried::Kept),
        ),
        (
            TRACESTATE,
            tracestate.filter(|_| carried.trace != Carried::Kept),
        ),
        (
            BAGGAGE,
            baggage.filter(|_| carried.baggage != Carried::Kept),
        ),
    ];
    let [(_, traceparent), _, (_, baggage)] = fields;
    // What names the trace belongs together: with a new traceparent the old list goes too.
    let names: &[&str] = match (
        carried.trace.goes(traceparent.is_some()),
        carried.baggage.goes(baggage.is_some()),
    ) {
        (true, true) => &[TRACEPARENT, TRACESTATE, BAGGAGE],
        (true, false) => &[TRACEPARENT, TRACESTATE],
        (false, true) => &[BAGGAGE],
        (false, false) => return Injected::default(),
    };
    let is_replacement = headers.remove(names);
    append_fitting(headers, is_replacement, room, || {
        fields
            .iter()
            .filter_map(|(name, value)| Some((*name, (*value)?)))
    })
}

impl Carried {
    /// Whether the header goes, where something is written or is not.
    fn goes(self, is_written: bool) -> bool {
        self == Self::Removed || self == Self::Replaced && is_written
    }
}

/// What a propagator wrote, and the names that it may write.
#[derive(Default)]
pub(super) struct Written {
    names: Vec<String>,
    fields: Vec<(String, String)>,
}

impl Written {
    pub(super) fn by(propagator: &dyn TextMapPropagator, context: &Context) -> Self {
        let mut written = Self {
            names: propagator.fields().map(str::to_owned).collect(),
            fields: Vec::new(),
        };
        propagator.inject_context(context, &mut written);
        written
    }

    pub(super) fn into_headers<H: HeadersMut>(
        mut self,
        headers: &mut H,
        carried: CarriedHeaders,
        room: impl FnOnce(&H) -> usize,
    ) -> Injected {
        let of = |name: &str| {
            if is_baggage(name) {
                carried.baggage
            } else {
                carried.trace
            }
        };
        self.fields.retain(|(name, _)| of(name) != Carried::Kept);
        let (baggage, trace): (Vec<_>, Vec<_>) =
            self.fields.iter().partition(|(name, _)| is_baggage(name));
        let goes = |name: &&str| {
            let is_written = if is_baggage(name) {
                !baggage.is_empty()
            } else {
                !trace.is_empty()
            };
            of(name).goes(is_written)
        };
        let set = self.fields.iter().map(|(name, _)| name.as_str());
        let names = self.names.iter().map(String::as_str).chain(set);
        // Whatever the propagator calls its own, what is forbidden does not go out by our names.
        let forbidden = FIELDS
            .into_iter()
            .filter(|name| of(name) == Carried::Removed);
        let names: Vec<&str> = names.filter(goes).chain(forbidden).collect();
        if names.is_empty() {
            return Injected::default();
        }
        let is_replacement = headers.remove(&names);
        append_fitting(headers, is_replacement, room, || {
            self.fields
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_bytes()))
        })
    }
}

impl Injector for Written {
    fn set(&mut self, key: &str, value: String) {
        // The stock W3C propagator writes an empty tracestate where there is none.
        if !value.is_empty() {
            self.fields.push((key.to_owned(), value));
        }
    }
}

/// Appends what `fields` yields as far as it fits, and tells what became of the headers.
fn append_fitting<'a, H, F>(
    headers: &mut H,
    is_replacement: bool,
    room: impl FnOnce(&H) -> usize,
    fields: impl Fn() -> F,
) -> Injected
where
    H: HeadersMut,
    F: Iterator<Item = (&'a str, &'a [u8])>,
{
    const STEPS: [(&[&str], Option<Problem>); 3] = [
        (&[], None),
        (&[BAGGAGE], Some(Problem::BaggageLeftOut)),
        (&[BAGGAGE, TRACESTATE], Some(Problem::TracestateLeftOut)),
    ];
    let mut injected = Injected {
        has_written: false,
        is_replacement,
        left_out: None,
    };
    if fields().next().is_none() {
        return injected;
    }
    let room = room(headers);
    for (left_out, problem) in STEPS {
        let kept = || fields().filter(|(name, _)| !left_out.contains(name));
        let cost: usize = kept().map(|(name, value)| H::cost(name, value)).sum();
        if cost <= room {
            injected.has_written = kept().next().is_some();
            kept().for_each(|(name, value)| headers.append(name, value));
            injected.left_out = problem;
            return injected;
        }
    }
    injected.left_out = Some(Problem::ContextLeftOut);
    injected
}
