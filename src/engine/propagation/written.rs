//! A context on its way into the headers of a message, and what becomes of those that it carries.

use opentelemetry::Context;
use opentelemetry::propagation::{Injector, TextMapPropagator};

use super::{FIELDS, Headers, HeadersMut, Problem};
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
    /// What did not fit into the message, or into its header.
    pub(crate) left_out: Option<Problem>,
}

impl Injected {
    /// What was wrong with the message's context.
    pub(crate) fn problems(self) -> impl Iterator<Item = Problem> {
        let replaced = self.is_replacement.then_some(Problem::Replaced);
        replaced.into_iter().chain(self.left_out)
    }

    /// Not all of the baggage was written. Where more was left out, that says so already.
    pub(crate) const fn lack_baggage(&mut self) {
        if self.left_out.is_none() {
            self.left_out = Some(Problem::BaggageLeftOut);
        }
    }
}

/// Whether any propagator writes a header of this name that is baggage's.
const fn is_baggage(name: &str) -> bool {
    name.eq_ignore_ascii_case(BAGGAGE)
}

pub(super) fn inject_w3c<H: Headers + HeadersMut>(
    context: &Context,
    headers: &mut H,
    also: &[String],
    carried: CarriedHeaders,
    room: impl FnOnce(&H) -> usize,
) -> Injected {
    let outgoing = w3c::Outgoing::from_context(context);
    let fields = [
        (
            TRACEPARENT,
            outgoing.traceparent.as_ref().map(|text| text.as_slice()),
        ),
        (
            TRACESTATE,
            outgoing.tracestate.as_deref().map(str::as_bytes),
        ),
        (BAGGAGE, outgoing.baggage.as_deref().map(str::as_bytes)),
    ];
    let fields = || {
        let fields = fields.iter();
        fields.filter_map(|(name, value)| Some((*name, (*value)?)))
    };
    // What names the trace belongs together: with a new traceparent the old list goes too.
    let parted;
    let names = if also.is_empty() {
        Names {
            trace: &[TRACEPARENT, TRACESTATE],
            baggage: &[BAGGAGE],
            both: &FIELDS,
        }
    } else {
        let also = also.iter().map(String::as_str);
        parted = PartedNames::of(FIELDS.into_iter().chain(also));
        parted.names()
    };
    let mut injected = write(headers, names, fields, carried, room);
    if outgoing.is_baggage_cut && carried.baggage != Carried::Kept {
        injected.lack_baggage();
    }
    injected
}

impl Carried {
    /// Whether the header goes, where something is written or is not.
    fn goes(self, is_written: bool) -> bool {
        self == Self::Removed || self == Self::Replaced && is_written
    }
}

impl CarriedHeaders {
    const fn of_header(self, name: &str) -> Carried {
        if is_baggage(name) {
            self.baggage
        } else {
            self.trace
        }
    }
}

/// What a propagator wrote, and the names that it may write.
#[derive(Default)]
pub(in crate::engine) struct InjectedFields {
    names: Vec<String>,
    fields: Vec<(String, String)>,
}

impl InjectedFields {
    pub(in crate::engine) fn by(propagator: &dyn TextMapPropagator, context: &Context) -> Self {
        let mut written = Self {
            names: propagator.fields().map(str::to_owned).collect(),
            fields: Vec::new(),
        };
        propagator.inject_context(context, &mut written);
        written
    }

    /// What is in `also` are names of headers that it does not write and that are of context all the same.
    pub(in crate::engine) fn put_into<'a, H: Headers + HeadersMut>(
        &'a self,
        headers: &mut H,
        also: impl Iterator<Item = &'a str>,
        carried: CarriedHeaders,
        room: impl FnOnce(&H) -> usize,
    ) -> Injected {
        let set = self.fields.iter().map(|(name, _)| name.as_str());
        let names = self.names.iter().map(String::as_str).chain(set);
        // Whatever the propagator calls its own, what is forbidden does not go out by our names.
        let forbidden = FIELDS
            .into_iter()
            .filter(|name| carried.of_header(name) == Carried::Removed);
        let parted = PartedNames::of(names.chain(also).chain(forbidden));
        let fields = || {
            let fields = self.fields.iter();
            fields.map(|(name, value)| (name.as_str(), value.as_bytes()))
        };
        write(headers, parted.names(), fields, carried, room)
    }
}

impl Injector for InjectedFields {
    fn set(&mut self, key: &str, value: String) {
        // Propagators that are put together may write one field several times.
        self.fields.retain(|(name, _)| name != key);
        // The stock W3C propagator writes an empty tracestate where there is none.
        if !value.is_empty() {
            self.fields.push((key.to_owned(), value));
        }
    }
}

/// The names that a propagator may write.
#[derive(Clone, Copy)]
struct Names<'a> {
    trace: &'a [&'a str],
    baggage: &'a [&'a str],
    both: &'a [&'a str],
}

/// The same, where they are not known beforehand.
struct PartedNames<'a> {
    trace: Vec<&'a str>,
    baggage: Vec<&'a str>,
    both: Vec<&'a str>,
}

impl<'a> PartedNames<'a> {
    fn of(names: impl Iterator<Item = &'a str>) -> Self {
        let both: Vec<&str> = names.collect();
        let (baggage, trace) = both.iter().partition(|name| is_baggage(name));
        Self {
            trace,
            baggage,
            both,
        }
    }

    fn names(&self) -> Names<'_> {
        Names {
            trace: &self.trace,
            baggage: &self.baggage,
            both: &self.both,
        }
    }
}

/// Writes what `fields` yields as far as it fits, and tells what became of the headers. A header that
/// the message carries makes room only for one that is written.
fn write<'a, H, F>(
    headers: &mut H,
    names: Names<'_>,
    fields: impl Fn() -> F,
    carried: CarriedHeaders,
    room: impl FnOnce(&H) -> usize,
) -> Injected
where
    H: Headers + HeadersMut,
    F: Iterator<Item = (&'a str, &'a [u8])>,
{
    /// What is left out, and what that is called.
    type Step = (fn(&str) -> bool, Option<Problem>);
    const STEPS: [Step; 4] = [
        (|_| false, None),
        (|name| name == BAGGAGE, Some(Problem::BaggageLeftOut)),
        (
            |name| name == BAGGAGE || name == TRACESTATE,
            Some(Problem::TracestateLeftOut),
        ),
        (|_| true, Some(Problem::ContextLeftOut)),
    ];
    let wanted = || fields().filter(|(name, _)| carried.of_header(name) != Carried::Kept);
    let room = match wanted().next() {
        Some(_) => room(headers),
        None => 0,
    };
    for (is_left_out, problem) in STEPS {
        let kept = || wanted().filter(|(name, _)| !is_left_out(name));
        let going = match (
            carried
                .trace
                .goes(kept().any(|(name, _)| !is_baggage(name))),
            carried
                .baggage
                .goes(kept().any(|(name, _)| is_baggage(name))),
        ) {
            (true, true) => names.both,
            (true, false) => names.trace,
            (false, true) => names.baggage,
            (false, false) => &[],
        };
        let cost: usize = kept().map(|(name, value)| H::cost(name, value)).sum();
        if cost > room && cost > room.saturating_add(cost_of(headers, going)) {
            continue;
        }
        let has_written = kept().next().is_some();
        let is_replacement = !going.is_empty() && headers.remove(going);
        kept().for_each(|(name, value)| headers.append(name, value));
        return Injected {
            has_written,
            is_replacement,
            left_out: problem,
        };
    }
    Injected::default()
}

/// Bytes of the headers of these names, in whatever case.
fn cost_of<H: Headers + HeadersMut>(headers: &H, names: &[&str]) -> usize {
    let mut cost = 0;
    headers.for_each(&mut |name, value| {
        let is_one = |one: &&&str| one.as_bytes().eq_ignore_ascii_case(name);
        if let Some(name) = names.iter().find(is_one) {
            cost += H::cost(name, value);
        }
    });
    cost
}
