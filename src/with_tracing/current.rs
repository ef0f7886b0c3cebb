//! What `tracing` has for current, where OpenTelemetry does not know it.

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::TraceContextExt as _;
use tracing::dispatcher;
use tracing::span::Id;
use tracing_opentelemetry::get_otel_context;
use tracing_subscriber::Registry;
use tracing_subscriber::registry::LookupSpan as _;

use super::stand_in::Handler;
use super::tracer::is_starting;
use crate::telemetry::context::{copied, is_attached};
use crate::telemetry::{Component, caught};

/// The context of the current span of `tracing`, if that counts before OpenTelemetry's current context.
pub(crate) fn inside_of(current: &Context) -> Option<Context> {
    if current.is_telemetry_suppressed() {
        return None;
    }
    let stand_in = Handler::stand_in_of(current);
    if stand_in.is_none() && current.has_active_span() {
        return None;
    }
    let entered =
        entered(stand_in).filter(|entered| stand_in.is_some() || entered.has_active_span())?;
    let baggage = current.baggage();
    if !baggage.is_empty() {
        let both = entered.baggage().iter().chain(baggage.iter());
        return Some(entered.with_baggage(copied(both)));
    }
    // Where OpenTelemetry has lent out what is current, as to a propagator that logs, nobody can see whether it is
    // attached, and nothing was attached inside of that.
    let is_attached = || caught(Component::Log, is_attached).unwrap_or_default();
    (stand_in.is_some() || !is_attached()).then_some(entered)
}

/// The context of the innermost span of `tracing` that has one; of those alone that are inside of
/// `around`, if that is given.
fn entered(around: Option<&Id>) -> Option<Context> {
    if is_starting() {
        return None;
    }
    let found = || {
        dispatcher::get_default(|subscriber| {
            let current = subscriber.current_span();
            let current = current.id()?;
            if around == Some(current) {
                return None;
            }
            let registry: &Registry = subscriber.downcast_ref()?;
            let scope: Vec<_> = registry
                .span(current)?
                .scope()
                .map(|span| span.id())
                .collect();
            let end = match around {
                Some(around) => scope.iter().position(|id| id == around)?,
                None => scope.len(),
            };
            let mut inside = scope.iter().take(end);
            inside.find_map(|id| get_otel_context(id, subscriber))
        })
    };
    caught(Component::Log, found).flatten()
}
