//! What is current where an operation is called, and whether that can be about a message.

use std::collections::HashMap;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{SpanId, TraceContextExt as _};

use crate::telemetry::context::{active_span, is_attached};

/// What is current here: OpenTelemetry's current context, or that of the current span of `tracing`, as
/// the module `with_tracing` says.
pub(crate) fn current() -> Context {
    let current = Context::current();
    #[cfg(feature = "tracing")]
    if let Some(inside) = crate::with_tracing::inside_of(&current) {
        return inside;
    }
    current
}

/// What is current for an operation that was called in the context `called` and is now polled for
/// the first time.
///
/// The context of the poll counts, so that wrapping the call's future in a context works as it does
/// for any other, in an empty one too. Where none was attached, as in a spawned task, the context of
/// the call does.
pub(crate) fn ambient(called: Context) -> Context {
    let polled = current();
    let says_something = polled.has_active_span()
        || polled.is_telemetry_suppressed()
        || !polled.baggage().is_empty();
    if says_something || is_empty(&called) || is_attached() {
        polled
    } else {
        called
    }
}

fn is_empty(context: &Context) -> bool {
    !context.has_active_span() && !context.is_telemetry_suppressed() && context.baggage().is_empty()
}

/// When a message was delivered to the application, and inside which span.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivered {
    number: u64,
    inside: SpanId,
}

/// The spans that a client has met as current ones. One that it met before a message was delivered
/// was active already, and cannot be about that message.
#[derive(Debug, Default)]
pub(crate) struct MetSpans {
    deliveries: AtomicU64,
    met: Mutex<Generations>,
}

/// Spans, each with how many deliveries there had been when it was met first. There are two
/// generations, so that spans of single messages, which are met once, do not push out those of loops
/// and workers.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<SpanId, u64>,
    old: HashMap<SpanId, u64>,
}

/// Spans of one generation.
const GENERATION: usize = 1000;

impl MetSpans {
    /// A message is delivered while `current` is.
    pub(crate) fn delivered(&self, current: &Context) -> Delivered {
        Delivered {
            number: self.deliveries.fetch_add(1, Ordering::Relaxed) + 1,
            inside: current.span().span_context().span_id(),
        }
    }

    /// Meets what is current while no message is looked at.
    pub(crate) fn meet(&self, current: &Context) {
        if let Some(active) = active_span(current) {
            self.first_met(active.span_id());
        }
    }

    /// Whether this span was active already when a message was delivered, as far as can be known.
    pub(crate) fn was_active(&self, span: SpanId, delivered: Delivered) -> bool {
        let first_met = self.first_met(span);
        span == delivered.inside || first_met < delivered.number
    }

    /// How many deliveries there had been when this span was met first.
    fn first_met(&self, span: SpanId) -> u64 {
        let met = self.met.lock();
        let mut met = met.unwrap_or_else(PoisonError::into_inner);
        if let Some(first_met) = met.young.get(&span) {
            return *first_met;
        }
        let known = met.old.remove(&span);
        let first_met = known.unwrap_or_else(|| self.deliveries.load(Ordering::Relaxed));
        if met.young.len() >= GENERATION {
            met.old = mem::take(&mut met.young);
        }
        met.young.insert(span, first_met);
        first_met
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, TraceFlags, TraceId, TraceState};

    use super::*;

    fn inside(span: u64) -> Context {
        Context::new().with_remote_span_context(SpanContext::new(
            TraceId::from(7),
            SpanId::from(span),
            TraceFlags::SAMPLED,
            true,
            TraceState::NONE,
        ))
    }

    #[test]
    fn the_context_of_the_first_poll_counts_and_else_that_of_the_call() {
        let span = |context: Context| context.span().span_context().span_id();

        assert_eq!(span(ambient(inside(1))), SpanId::from(1), "in a task");
        let rows = [
            (inside(1), inside(2), SpanId::from(2)),
            (Context::new(), inside(2), SpanId::from(2)),
            (inside(1), Context::new(), SpanId::INVALID),
        ];
        for (called, polled, expected) in rows {
            let _current = polled.attach();
            assert_eq!(span(ambient(called)), expected);
        }
    }

    #[test]
    fn a_poll_that_suppresses_telemetry_counts_though_it_has_no_span() {
        let _current = Context::new().with_telemetry_suppressed().attach();

        assert!(ambient(inside(1)).is_telemetry_suppressed());
    }

    #[test]
    fn a_span_that_was_met_before_a_delivery_was_active_then() {
        let spans = MetSpans::default();
        let [looping, own, worker] = [1, 2, 3].map(SpanId::from);

        let first = spans.delivered(&inside(1));
        assert!(spans.was_active(looping, first), "current at the delivery");
        assert!(!spans.was_active(own, first), "never met before");
        assert!(!spans.was_active(own, first), "nor the second time");
        assert!(!spans.was_active(worker, first));

        let second = spans.delivered(&Context::new());
        assert!(spans.was_active(worker, second));
        assert!(!spans.was_active(worker, first));
    }

    #[test]
    fn of_many_spans_those_that_come_again_are_remembered() {
        let spans = MetSpans::default();
        let workers = (1..=200).map(|number| u64::MAX - number);
        for worker in workers.clone() {
            spans.meet(&inside(worker));
        }
        for (span, worker) in (1..100_000).zip(workers.cycle()) {
            let delivered = spans.delivered(&Context::new());
            assert!(!spans.was_active(SpanId::from(span), delivered));
            assert!(spans.was_active(SpanId::from(worker), delivered));
        }
        let met = spans.met.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(met.young.len() + met.old.len() <= 2 * GENERATION);
    }
}
