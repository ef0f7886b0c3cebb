//! Which propagators are used.

use std::fmt;
use std::sync::Arc;

use opentelemetry::propagation::TextMapPropagator;

use super::{Component, Telemetry, caught};

impl Telemetry {
    /// Adds a propagator that reads messages in whose headers the first one finds no context, for a
    /// system that is being migrated.
    ///
    /// Several are asked in the order in which they were added, and the first that finds a span gives the
    /// creation context, and its baggage if it has any. Nothing is written by them. The headers that they call
    /// their [`fields`](TextMapPropagator::fields) are headers of context like `traceparent`: they give way to
    /// the context that is sent, and are not sent on from untrusted messages. A propagator without fields only
    /// reads. Of the flags of a format that is not W3C's, the one of sampling counts.
    ///
    /// Unset: none. [`propagators`](crate::propagators) has some; B3 is in a crate of its own:
    ///
    /// ```
    /// use opentelemetry_propagator_b3::{B3Encoding, Propagator};
    /// use otel_messaging::Telemetry;
    ///
    /// // This encoding names the headers of both forms.
    /// let b3 = Propagator::with_encoding(B3Encoding::SingleAndMultiHeader);
    /// let telemetry = Telemetry::new().fallback_propagator(b3);
    /// ```
    #[must_use]
    pub fn fallback_propagator<P>(mut self, propagator: P) -> Self
    where
        P: TextMapPropagator + Send + Sync + 'static,
    {
        self.fallbacks.add(propagator);
        self
    }

    pub(crate) const fn fallbacks(&self) -> &Fallbacks {
        &self.fallbacks
    }
}

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

/// Propagators that read headers in which the first one finds no context, and write none.
#[derive(Clone, Default)]
pub(crate) struct Fallbacks {
    propagators: Vec<Arc<dyn TextMapPropagator + Send + Sync>>,
    fields: Vec<String>,
}

impl Fallbacks {
    pub(super) fn add(&mut self, propagator: impl TextMapPropagator + Send + Sync + 'static) {
        let fields = || propagator.fields().map(str::to_owned).collect();
        let fields: Vec<String> = caught(Component::Propagator, fields).unwrap_or_default();
        self.fields.extend(fields);
        self.propagators.push(Arc::new(propagator));
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.propagators.is_empty()
    }

    /// In the order in which they are asked.
    pub(crate) fn propagators(
        &self,
    ) -> impl ExactSizeIterator<Item = &(dyn TextMapPropagator + Send + Sync)> {
        self.propagators.iter().map(|one| &**one)
    }

    /// Names of the headers that are theirs, and give way to what is sent.
    pub(crate) fn fields(&self) -> &[String] {
        &self.fields
    }
}
