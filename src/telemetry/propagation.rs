//! Which propagator is used.

use std::fmt;
use std::sync::Arc;

use opentelemetry::propagation::TextMapPropagator;

/// Which propagator writes and reads the headers.
#[derive(Clone)]
pub(crate) enum Propagation {
    /// Our own codec, without a detour over `TextMapPropagator`.
    W3c,
    /// OpenTelemetry's global propagator, looked up at each use.
    Global,
    /// The user's choice.
    Custom(Arc<dyn TextMapPropagator + Send + Sync>),
}

impl fmt::Debug for Propagation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::W3c => "W3c",
            Self::Global => "Global",
            Self::Custom(_) => "Custom",
        })
    }
}
