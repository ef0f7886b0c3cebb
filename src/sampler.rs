//! [`LinkedSampler`]: keeps a batch if one of its messages is from a sampled trace.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Config, SamplingDecision, SamplingResult, ShouldSample};

/// A sampler that samples a root span if one of its links is to a sampled span.
///
/// A batch starts a trace of its own. With a sampling rate of 1 %, it would be missing from most of
/// the traces that its messages are from. This sampler first asks another one. It changes only the
/// decision not to sample, and only for root spans, for a limited number of spans [per
/// second](Self::per_second).
///
/// The larger the batches, the more of them are kept: where 1 % of the traces are, that is 1 % of
/// single messages, 10 % of batches of ten, and 63 % of batches of a hundred. A batch that was received
/// in one call has two such spans, of receiving and of processing it.
///
/// Spans with a parent are left to the other sampler. Choose one that follows the parent, such as
/// the SDK's default: others may drop the children of a batch, and with them the links beyond the
/// limit of one span.
///
/// Around the sampler that the environment selects (`OTEL_TRACES_SAMPLER`):
///
/// ```
/// use opentelemetry_sdk::trace::SdkTracerProvider;
/// use otel_messaging::LinkedSampler;
///
/// let provider = SdkTracerProvider::builder()
///     .with_sampler(LinkedSampler::from_env())
///     .build();
/// ```
///
/// Around a sampler of your own:
///
/// ```
/// use opentelemetry_sdk::trace::Sampler;
/// use otel_messaging::LinkedSampler;
///
/// let one_percent = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(0.01)));
/// let sampler = LinkedSampler::new(one_percent).per_second(20);
/// ```
#[derive(Clone, Debug)]
pub struct LinkedSampler {
    inner: Box<dyn ShouldSample>,
    per_second: u32,
    spent: Arc<Spent>,
}

impl LinkedSampler {
    /// Adds the rule for links to another sampler.
    #[must_use]
    pub fn new(inner: impl ShouldSample + 'static) -> Self {
        Self::around(Box::new(inner))
    }

    /// Adds the rule for links to the sampler that `OTEL_TRACES_SAMPLER` selects. Without that
    /// variable, it is the SDK's default.
    #[must_use]
    pub fn from_env() -> Self {
        Self::around(Config::default().sampler)
    }

    /// Sets the most spans per second that are sampled for their links alone. Unset: 100.
    #[must_use]
    pub const fn per_second(mut self, spans: u32) -> Self {
        self.per_second = spans;
        self
    }

    fn around(inner: Box<dyn ShouldSample>) -> Self {
        Self {
            inner,
            per_second: 100,
            spent: Arc::new(Spent {
                since: Instant::now(),
                second_and_count: AtomicU64::new(0),
            }),
        }
    }
}

impl ShouldSample for LinkedSampler {
    fn should_sample(
        &self,
        parent_context: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        span_kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let mut result =
            self.inner
                .should_sample(parent_context, trace_id, name, span_kind, attributes, links);
        let is_root = parent_context.is_none_or(|parent| !parent.span().span_context().is_valid());
        if result.decision != SamplingDecision::RecordAndSample
            && is_root
            && links.iter().any(|link| link.span_context.is_sampled())
            && self
                .spent
                .take(self.spent.since.elapsed().as_secs(), self.per_second)
        {
            result.decision = SamplingDecision::RecordAndSample;
        }
        result
    }
}

/// How many spans were sampled in the current second.
#[derive(Debug)]
struct Spent {
    since: Instant,
    /// The second in the upper half, the count in the lower.
    second_and_count: AtomicU64,
}

impl Spent {
    /// Takes one of the spans of this second, if there is one left.
    fn take(&self, second: u64, limit: u32) -> bool {
        const COUNT: u64 = u32::MAX as u64;
        let second = second << u32::BITS;
        // A thread that has read the clock before another one may come after it, in a second that is over.
        let next = |spent: u64| match second > spent & !COUNT {
            true if limit > 0 => Some(second + 1),
            false if spent & COUNT < u64::from(limit) => Some(spent + 1),
            _ => None,
        };
        self.second_and_count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceState};
    use opentelemetry_sdk::trace::Sampler;

    use super::*;

    fn span(flags: TraceFlags) -> SpanContext {
        SpanContext::new(
            TraceId::from(7),
            SpanId::from(7),
            flags,
            true,
            TraceState::NONE,
        )
    }

    fn samples(sampler: &LinkedSampler, parent: Option<&Context>, links: &[TraceFlags]) -> bool {
        let links: Vec<_> = links
            .iter()
            .map(|flags| Link::with_context(span(*flags)))
            .collect();
        let kind = SpanKind::Consumer;
        let result = sampler.should_sample(
            parent,
            TraceId::from(1),
            "process orders",
            &kind,
            &[],
            &links,
        );
        result.decision == SamplingDecision::RecordAndSample
    }

    #[test]
    fn a_root_with_a_sampled_link_is_sampled_and_all_else_is_as_the_other_sampler_says() {
        let off = LinkedSampler::new(Sampler::ParentBased(Box::new(Sampler::AlwaysOff)));
        let (sampled, unsampled) = (TraceFlags::SAMPLED, TraceFlags::NOT_SAMPLED);
        let within = |flags| Context::new().with_remote_span_context(span(flags));
        let invalid = Context::new().with_remote_span_context(SpanContext::NONE);
        let rows: [(Option<Context>, &[TraceFlags], bool); 7] = [
            (None, &[], false),
            (None, &[unsampled, unsampled], false),
            (None, &[unsampled, sampled], true),
            (Some(invalid), &[sampled], true),
            (Some(Context::new()), &[sampled], true),
            (Some(within(unsampled)), &[sampled], false),
            (Some(within(sampled)), &[unsampled], true),
        ];

        for (parent, links, expected) in rows {
            assert_eq!(samples(&off, parent.as_ref(), links), expected, "{links:?}");
        }
        assert!(samples(
            &LinkedSampler::new(Sampler::AlwaysOn),
            None,
            &[unsampled]
        ));
    }

    #[test]
    fn so_many_are_added_in_a_second() {
        let spent = Spent {
            since: Instant::now(),
            second_and_count: AtomicU64::new(0),
        };
        let taken = |second, limit| (0..5).filter(|_| spent.take(second, limit)).count();

        assert_eq!(taken(0, 3), 3);
        assert_eq!(taken(0, 3), 0);
        assert_eq!(taken(1, 3), 3);
        assert_eq!(taken(2, 0), 0);
        assert_eq!(taken(2, 5), 5);
    }

    #[test]
    fn a_thread_that_is_late_takes_of_the_second_that_has_begun_since() {
        let spent = Spent {
            since: Instant::now(),
            second_and_count: AtomicU64::new(0),
        };
        let taken = [1, 2, 1, 2, 1, 2, 3].map(|second| spent.take(second, 2));

        assert_eq!(taken, [true, true, true, false, false, false, true]);
    }
}
