//! Where the headers have no creation context by the rule that is the first one.

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::TraceContextExt as _;

use super::{Extracted, HeaderExtractor, Headers, Named, read_from};
use crate::telemetry::context::{active_span, copied};
use crate::telemetry::{Component, Telemetry};
use crate::w3c::span_onto;

impl Telemetry {
    /// Asks the other propagators, one after the other.
    pub(super) fn with_fallback(
        &self,
        extracted: Extracted,
        headers: &impl Headers,
        accepts: impl Fn(&str) -> bool,
    ) -> Extracted {
        if self.fallbacks().is_empty() {
            return extracted;
        }
        let mut propagators = self.fallbacks().propagators();
        let carrier = HeaderExtractor::new(headers);
        let found = propagators.find_map(|propagator| {
            let read = || read_from(propagator, &carrier);
            let found = self.caught(Component::Propagator, read)?;
            active_span(&found).is_some().then_some(found)
        });
        match found {
            Some(found) => extracted.or(&found, accepts),
            None => extracted,
        }
    }
}

impl Extracted {
    /// The same with the creation context that is in `other`, where the headers have none, and of its
    /// baggage what `accepts` takes.
    pub(crate) fn or(self, other: &Context, accepts: impl Fn(&str) -> bool) -> Self {
        if self.named.creation.is_some() || active_span(other).is_none() {
            return self;
        }
        let context = span_onto(&self.context, other);
        let creation = context.span().span_context().clone();
        let baggage = other.baggage().iter();
        let baggage = copied(baggage.filter(|(name, _)| accepts(name.as_str())));
        Self {
            context: match baggage.is_empty() {
                true => context,
                false => context.with_baggage(baggage),
            },
            named: Named {
                creation: Some(creation),
                ..self.named
            },
            is_from_fallback: true,
        }
    }
}
