//! The carriers by themselves, with any propagator.

use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;

use super::propagation::{CarriedHeaders, Headers, HeadersMut, InjectedFields, read_alone};
use super::refused::Refused;
use crate::telemetry::{Component, caught};

/// Reads `headers` with any propagator, onto nothing.
pub(crate) fn extract_alone(propagator: &dyn TextMapPropagator, headers: &impl Headers) -> Context {
    let read = || read_alone(propagator, headers);
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
    let carried =
        Refused::remembered_in(context).map_or(CarriedHeaders::REPLACED, Refused::headers);
    let written = caught(Component::Propagator, || {
        InjectedFields::by(propagator, context)
    });
    let written = written.unwrap_or_default();
    written.into_headers(headers, carried, |_| usize::MAX);
}
