//! The carriers by themselves, with any propagator.

use std::iter;

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator};

use super::propagation::{
    Carried, CarriedHeaders, Headers, HeadersMut, InjectedFields, read_alone, read_from,
};
use super::refused::Refused;
use crate::telemetry::{Component, caught};

/// Reads `headers` with any propagator, onto nothing.
pub(crate) fn extract_alone(propagator: &dyn TextMapPropagator, headers: &impl Headers) -> Context {
    let read = || read_alone(propagator, headers);
    caught(Component::Propagator, read).unwrap_or_default()
}

/// Reads what is no header of a message with any propagator, onto nothing.
pub(crate) fn extract_from(propagator: &dyn TextMapPropagator, carrier: &dyn Extractor) -> Context {
    let read = || read_from(propagator, carrier);
    caught(Component::Propagator, read).unwrap_or_default()
}

/// Writes `context` into `headers` with any propagator, whatever the size.
///
/// In the handler of a message that is not trusted nothing of what headers carry goes on.
pub(crate) fn inject_with(
    propagator: &dyn TextMapPropagator,
    context: &Context,
    headers: &mut (impl Headers + HeadersMut),
) {
    let refused = Refused::remembered_in(context);
    let carried = refused.map_or(CarriedHeaders::REPLACED, Refused::headers);
    let also = refused.into_iter().flat_map(Refused::fields);
    written_by(propagator, context).put_into(headers, also, carried, |_| usize::MAX);
}

/// Writes `context` with any propagator to where nothing of another context may be left.
pub(crate) fn inject_alone(
    propagator: &dyn TextMapPropagator,
    context: &Context,
    headers: &mut (impl Headers + HeadersMut),
) {
    let carried = CarriedHeaders {
        trace: Carried::Removed,
        baggage: Carried::Removed,
    };
    written_by(propagator, context).put_into(headers, iter::empty(), carried, |_| usize::MAX);
}

fn written_by(propagator: &dyn TextMapPropagator, context: &Context) -> InjectedFields {
    let write = || InjectedFields::by(propagator, context);
    caught(Component::Propagator, write).unwrap_or_default()
}
