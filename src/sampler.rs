//! [`LinkedSampler`]: keeps a batch whose messages are from sampled traces.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Config, SamplingDecision, SamplingResult, ShouldSample};

/// A sampler that samples a root span if any of its links is to a sampled span.
///
/// A batch starts a trace of its own. Sampled by itself, at 1 % say, it would be missing from most
/// of the traces that its messages are from. This sampler asks another one first, and overrules its
/// no; it never overrules a yes, nor anything for a span that has a parent. What it adds is limited
/// to so many spans [per second](Self::per_second).
///
/// What has a parent is for the other sampler to decide, so that it should be one that goes by the
/// parent, as the SDK's default does: one that does not may leave out the children of a batch, and
/// with them the links that were too many for one span.
///
/// The sampler that the environment selects (`OTEL_TRACES_SAMPLER`), with this around it:
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
/// One of your own:
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
    /// Puts this around another sampler.
    #[must_use]
    pub fn new(inner: impl ShouldSample + 'static) -> Self {
        Self::around(Box::new(inner))
    }

    /// Puts this around the sampler that `OTEL_TRACES_SAMPLER` selects; unset, that is the SDK's
    /// default.
    #[must_use]
    pub fn from_env() -> Self {
        Self::around(Config::default().sampler)
    }

    /// Sets how many spans it samples in a second that the other sampler would not. Unset: 100.
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
        let next = |spent: u64| match spent & !COUNT == second {
            true if spent & COUNT < u64::from(limit) => Some(spent + 1),
            false if limit > 0 => Some(second + 1),
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
}
