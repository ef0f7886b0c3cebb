//! Creation context into and out of the headers of a message.
//!
//! The rules for names, duplicates and size are the same for every broker and stand here; a broker's
//! carrier only says how its headers are walked, removed and appended.

#[cfg(feature = "__internal")]
mod examined;
mod fallback;
mod problem;
mod received;
#[cfg(test)]
pub(super) mod tests;
mod written;

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt as _};

#[cfg(feature = "__internal")]
pub use self::examined::{Diagnosis, Fault, Finding};
pub(crate) use self::problem::Problem;
use self::received::{ContextHeaders, HeaderExtractor};
pub(super) use self::written::InjectedFields;
use self::written::inject_w3c;
pub(crate) use self::written::{Carried, CarriedHeaders, Injected};
use crate::telemetry::context::copied;
use crate::telemetry::globals::with_propagator;
use crate::telemetry::{Component, Propagation, Telemetry};
use crate::w3c::{self, BAGGAGE, TRACEPARENT, TRACESTATE};

/// Headers of a received message.
pub(crate) trait Headers {
    /// Whether the order of headers of different names says something.
    const IS_ORDERED: bool = true;

    /// Shows each header that has a value, in the order of the message.
    fn for_each<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], &'a [u8]));
}

/// Headers of a message to be sent.
pub(crate) trait HeadersMut {
    /// Whether there are none, as most often.
    fn is_empty(&self) -> bool;

    /// Removes all headers of these names, in whatever case, and says whether there were any.
    fn remove(&mut self, names: &[&str]) -> bool;

    /// Adds a header at the end.
    fn append(&mut self, name: &str, value: &[u8]);

    /// Bytes that this header takes on the wire.
    fn cost(name: &str, value: &[u8]) -> usize;
}

/// What the headers of a message say.
#[derive(Debug)]
pub(crate) struct Extracted {
    /// The given context with all that the message carried.
    pub(crate) context: Context,
    pub(crate) named: Named,
    /// The creation context is in none of the headers that are written here.
    pub(crate) is_from_fallback: bool,
}

/// The contexts that a message names.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Named {
    /// The creation context, where the message has one.
    pub(crate) creation: Option<SpanContext>,
    /// Another, different creation context that the message also carries.
    pub(crate) conflicting: Option<Box<SpanContext>>,
    /// A context header that could not be read, or not all of it.
    malformed: Option<&'static str>,
}

impl Extracted {
    /// Nothing was carried.
    fn nothing(base: &Context) -> Self {
        Self {
            context: base.clone(),
            named: Named::default(),
            is_from_fallback: false,
        }
    }
}

impl Named {
    /// The contexts, the one that counts first.
    pub(crate) fn contexts(&self) -> impl Iterator<Item = &SpanContext> {
        self.creation.iter().chain(self.conflicting.as_deref())
    }

    /// What was wrong with the message's context.
    pub(crate) fn problems(&self) -> impl Iterator<Item = Problem> + use<> {
        let conflicting = self.conflicting.is_some().then_some(Problem::Conflicting);
        let unreadable = self.malformed.map(Problem::Malformed);
        // A traceparent that cannot be read is there.
        let is_missing = self.creation.is_none() && self.malformed != Some(TRACEPARENT);
        let missing = is_missing.then_some(Problem::Missing);
        conflicting.into_iter().chain(unreadable).chain(missing)
    }
}

/// The headers of W3C.
const FIELDS: [&str; 3] = [TRACEPARENT, TRACESTATE, BAGGAGE];

impl Telemetry {
    /// Reads `headers` onto `base`, and of baggage what `accepts` takes.
    pub(crate) fn extract(
        &self,
        base: &Context,
        headers: Option<&impl Headers>,
        accepts: impl Fn(&str) -> bool,
    ) -> Extracted {
        let Some(headers) = headers else {
            return Extracted::nothing(base);
        };
        let extract =
            |propagator: &dyn TextMapPropagator| extract_with(propagator, base, headers, &accepts);
        let extracted = match self.propagation() {
            Propagation::W3c => {
                let extracted = extract_w3c(base, headers, &accepts);
                // It is large, and moved as seldom as can be.
                if extracted.named.creation.is_some() || self.fallbacks().is_empty() {
                    return extracted;
                }
                Some(extracted)
            }
            Propagation::Global => self.caught(Component::Propagator, || with_propagator(extract)),
            Propagation::Custom(custom) => {
                self.caught(Component::Propagator, || extract(&**custom))
            }
        };
        let extracted = extracted.unwrap_or_else(|| Extracted::nothing(base));
        match extracted.named.creation {
            Some(_) => extracted,
            None => self.with_fallback(extracted, headers, accepts),
        }
    }

    /// What `headers` name, for who needs nothing else of what they say.
    pub(crate) fn named(
        &self,
        headers: Option<&impl Headers>,
        accepts: impl Fn(&str) -> bool,
    ) -> Named {
        let Some(headers) = headers else {
            return Named::default();
        };
        if matches!(self.propagation(), Propagation::W3c) && self.fallbacks().is_empty() {
            return named_w3c(headers, accepts);
        }
        self.extract(&Context::new(), Some(headers), accepts).named
    }

    /// Writes `context` into `headers`, and does with what they carry as it is told.
    ///
    /// `room` is asked how many bytes may be added to the headers as they are; those that give way
    /// make room too. What does not fit is left out: baggage first, then tracestate, then all.
    pub(crate) fn inject<H: Headers + HeadersMut>(
        &self,
        context: &Context,
        headers: &mut H,
        carried: CarriedHeaders,
        room: impl FnOnce(&H) -> usize,
    ) -> Injected {
        let also = self.fallbacks().fields();
        let write = |propagator: &dyn TextMapPropagator| InjectedFields::by(propagator, context);
        let written = match self.propagation() {
            Propagation::W3c => return inject_w3c(context, headers, also, carried, room),
            // The propagator has done its work before the headers are changed, so that one that panics
            // leaves them as they are.
            Propagation::Global => self.caught(Component::Propagator, || with_propagator(write)),
            Propagation::Custom(custom) => self.caught(Component::Propagator, || write(&**custom)),
        };
        let also = also.iter().map(String::as_str);
        match written {
            Some(written) => written.put_into(headers, also, carried, room),
            None => InjectedFields::default().put_into(headers, also, carried, |_| 0),
        }
    }

    /// Whether a header of this name is one of context, in any case.
    pub(crate) fn writes(&self, name: &str) -> bool {
        let is_w3c = FIELDS.iter().any(|field| field.eq_ignore_ascii_case(name));
        let fallbacks = self.fallbacks().fields();
        is_w3c
            || fallbacks
                .iter()
                .any(|field| field.eq_ignore_ascii_case(name))
            || self.caught(Component::Propagator, || self.propagation().writes(name)) == Some(true)
    }
}

impl Propagation {
    /// Whether the propagator has a field of this name, in any case.
    fn writes(&self, name: &str) -> bool {
        let is_field = |propagator: &dyn TextMapPropagator| {
            let mut fields = propagator.fields();
            fields.any(|field| field.eq_ignore_ascii_case(name))
        };
        match self {
            Self::W3c => false,
            Self::Global => with_propagator(is_field),
            Self::Custom(custom) => is_field(&**custom),
        }
    }
}

/// Reads `headers` onto `base` with any propagator.
fn extract_with(
    propagator: &dyn TextMapPropagator,
    base: &Context,
    headers: &impl Headers,
    accepts: impl Fn(&str) -> bool,
) -> Extracted {
    let carrier = HeaderExtractor::new(headers);
    // On an empty base, so that a context which was not in the headers cannot pass for one that was.
    let received = read(propagator, &Context::new(), &carrier);
    let creation = received.span().span_context().clone();
    let creation = (creation.is_valid() && creation.is_remote()).then_some(creation);
    let context = read(propagator, base, &carrier);
    Extracted {
        context: with_accepted_baggage(context, &received, base, accepts),
        named: Named {
            malformed: carrier.malformed().filter(|_| creation.is_none()),
            creation,
            conflicting: None,
        },
        is_from_fallback: false,
    }
}

/// `context`, read onto `base`, without the members of baggage that are not accepted.
fn with_accepted_baggage(
    context: Context,
    received: &Context,
    base: &Context,
    accepts: impl Fn(&str) -> bool,
) -> Context {
    let all = received.baggage();
    let accepted = || all.iter().filter(|(name, _)| accepts(name.as_str()));
    match accepted().count() {
        count if count == all.len() => context,
        0 => context.with_baggage(copied(base.baggage().iter())),
        _ => context.with_baggage(copied(accepted())),
    }
}

fn read(propagator: &dyn TextMapPropagator, base: &Context, carrier: &dyn Extractor) -> Context {
    // OpenTelemetry's no-op propagator returns what is current, not the base that it is given.
    let _current = base.clone().attach();
    propagator.extract_with_context(base, carrier)
}

/// Reads `headers` with any propagator, onto nothing.
pub(super) fn read_alone(propagator: &dyn TextMapPropagator, headers: &impl Headers) -> Context {
    read_from(propagator, &HeaderExtractor::new(headers))
}

/// Reads what is no header of a message with any propagator, onto nothing.
pub(super) fn read_from(propagator: &dyn TextMapPropagator, carrier: &dyn Extractor) -> Context {
    read(propagator, &Context::new(), carrier)
}

fn extract_w3c(
    base: &Context,
    headers: &impl Headers,
    accepts: impl Fn(&str) -> bool,
) -> Extracted {
    let found = ContextHeaders::read(headers);
    let w3c::Read { context, malformed } = found.incoming.onto(base, accepts);
    let traceparent = found.incoming.traceparent;
    Extracted {
        named: Named {
            creation: traceparent.map(|_| context.span().span_context().clone()),
            conflicting: found.conflicting().map(Box::new),
            malformed: found.malformed().or(malformed),
        },
        is_from_fallback: false,
        context,
    }
}

fn named_w3c(headers: &impl Headers, accepts: impl Fn(&str) -> bool) -> Named {
    let found = ContextHeaders::read(headers);
    let (creation, malformed) = found.incoming.span(accepts);
    Named {
        creation,
        conflicting: found.conflicting().map(Box::new),
        malformed: found.malformed().or(malformed),
    }
}
