//! The only reader of OpenTelemetry's globals.
#![expect(
    clippy::disallowed_methods,
    reason = "the one place that reads OpenTelemetry's globals"
)]

use opentelemetry::global::{self, BoxedTracer};
use opentelemetry::metrics::Meter;
use opentelemetry::propagation::TextMapPropagator;

use super::scope;

pub(super) fn tracer() -> BoxedTracer {
    global::tracer_with_scope(scope())
}

/// The meter, once there is a provider. OpenTelemetry's no-op one cannot be asked for, but it is a
/// type without size, which a real one never is.
pub(super) fn meter() -> Option<Meter> {
    let provider = global::meter_provider();
    (size_of_val(&*provider) > 0).then(|| provider.meter_with_scope(scope()))
}

pub(crate) fn with_propagator<T>(use_it: impl FnMut(&dyn TextMapPropagator) -> T) -> T {
    global::get_text_map_propagator(use_it)
}
