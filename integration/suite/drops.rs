//! Futures that are given up. Each is made again and again, and dropped after no poll, after one, after two, until one
//! ends: so it is dropped wherever it waits.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{Link, SpanKind, Status, TraceContextExt as _, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample, SpanData};
use otel_messaging::Telemetry;
use otel_messaging::policy::{Policy, Rule};
use otel_messaging::testing::Recorder;
use tokio::task::yield_now;
use tokio::time::timeout;

/// Longest wait for anything that should take milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// What makes a future, as `public-api.txt` spells it without the name of the crate.
///
/// `every_future_of_the_public_api_is_dropped` looks for it where it is made: so it is made to be dropped, and for
/// nothing else.
#[derive(Clone, Copy, Debug)]
pub struct Api(pub &'static str);

/// Makes a future again and again, with one poll more each time, until one ends: gives what that gave. `after` is told
/// how often each was polled, and whether it ended.
pub async fn at_every_poll<T>(
    api: Api,
    mut make: impl AsyncFnMut(usize) -> T,
    mut after: impl FnMut(usize, bool),
) -> T {
    for polls in 0..1_000 {
        let ended = dropped_after(polls, make(polls)).await;
        after(polls, ended.is_some());
        if let Some(output) = ended {
            return output;
        }
    }
    unreachable!("{api:?} never ends");
}

/// Polls a future so often, as soon as it is woken, and drops it. What it gave, if it had ended by then.
pub async fn dropped_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    // Tokio has a task wait that did much, whatever it asks for.
    yield_now().await;
    let mut future = Box::pin(future);
    let mut left = polls;
    let ended = poll_fn(|task| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(task) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    });
    let ended = timeout(PATIENCE, ended).await.expect("it is woken in time");
    assert_nothing_is_current();
    drop(future);
    assert_nothing_is_current();
    ended
}

fn assert_nothing_is_current() {
    let current = Context::current();
    assert!(!current.has_active_span(), "{current:?}");
    assert!(current.baggage().is_empty(), "{current:?}");
}

/// Telemetry that is counted: each span that is started ends, and ends once.
#[derive(Debug, Default)]
pub struct Counted {
    /// What is recorded.
    pub recorder: Recorder,
    sampler: Starts,
}

impl Counted {
    /// Nothing yet.
    pub fn new() -> Self {
        let sampler = Starts::default();
        Self {
            recorder: Recorder::with_sampler(sampler.clone()),
            sampler,
        }
    }

    /// Telemetry that records here, single messages with a span of receiving.
    pub fn telemetry(&self) -> Telemetry {
        let policy = Policy::new().rule(Rule::of("*").receive_spans(true));
        self.recorder.telemetry().policy(policy)
    }

    /// How many spans were started that [`spans`](Self::spans) has not given.
    pub fn started(&self) -> usize {
        self.sampler.0.load(Ordering::Relaxed)
    }

    /// The spans since the last call. All that were started have ended.
    pub fn spans(&self) -> Vec<SpanData> {
        let spans = self.recorder.spans();
        self.recorder.clear();
        let started = self.sampler.0.swap(0, Ordering::Relaxed);
        assert_eq!(spans.len(), started, "each has ended once: {spans:?}");
        let ids = spans.iter().map(|span| span.span_context.span_id());
        assert_eq!(ids.collect::<HashSet<_>>().len(), started);
        spans
    }

    /// There were so many spans since the last call, and none of them says what became of it.
    pub fn assert_unset(&self, expected: usize) {
        let spans = self.spans();
        assert_eq!(spans.len(), expected, "{spans:?}");
        for span in spans {
            assert_eq!(span.status, Status::Unset, "{span:?}");
            assert!(
                span.attributes
                    .iter()
                    .all(|one| one.key.as_str() != "error.type")
            );
        }
    }

    /// How many messages were counted as sent.
    pub fn sent(&self) -> u64 {
        self.recorder
            .counter_total("messaging.client.sent.messages")
    }

    /// How many messages were counted as delivered.
    pub fn consumed(&self) -> u64 {
        self.recorder
            .counter_total("messaging.client.consumed.messages")
    }

    /// How many operations of clients were timed.
    pub fn operations(&self) -> u64 {
        let durations = self
            .recorder
            .histogram("messaging.client.operation.duration");
        durations.iter().map(|timed| timed.count).sum()
    }

    /// How many handlers were timed: those that ended, and those that were cancelled.
    pub fn handlers(&self) -> [u64; 2] {
        let mut handlers = [0, 0];
        for timed in self.recorder.histogram("messaging.process.duration") {
            let mut attributes = timed.attributes.iter();
            let error = attributes.find(|one| one.key.as_str() == "error.type");
            if let Some(error) = error {
                assert_eq!(error.value.as_str(), "cancelled");
                handlers[1] += timed.count;
            } else {
                handlers[0] += timed.count;
            }
        }
        handlers
    }
}

/// Samples all, and counts.
#[derive(Clone, Debug, Default)]
struct Starts(Arc<AtomicUsize>);

impl ShouldSample for Starts {
    fn should_sample(
        &self,
        _: Option<&Context>,
        _: TraceId,
        _: &str,
        _: &SpanKind,
        _: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        self.0.fetch_add(1, Ordering::Relaxed);
        SamplingResult {
            decision: SamplingDecision::RecordAndSample,
            attributes: Vec::new(),
            trace_state: TraceState::NONE,
        }
    }
}

/// How often a message arrived, for each number of polls of the futures that sent it or settled it.
pub type Fates = BTreeMap<usize, BTreeSet<usize>>;

/// Messages by their names, and how often the futures were polled that sent or settled them.
#[derive(Debug, Default)]
pub struct Trials(Vec<(String, usize)>);

impl Trials {
    /// A name that no other has.
    pub fn name(&mut self, polls: usize) -> String {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = COUNT.fetch_add(1, Ordering::Relaxed).to_string();
        self.0.push((name.clone(), polls));
        name
    }

    /// How many trials had at least one poll.
    pub fn polled(&self) -> u64 {
        self.0.iter().map(|(_, polls)| u64::from(*polls > 0)).sum()
    }

    /// What became of each, by the names that are there now.
    pub fn fates<'a>(&self, arrived: impl IntoIterator<Item = &'a str>) -> Fates {
        let mut count = BTreeMap::<&str, usize>::new();
        for name in arrived {
            *count.entry(name).or_default() += 1;
        }
        let mut fates = Fates::new();
        for (name, polls) in &self.0 {
            let times = count.get(&**name).copied().unwrap_or_default();
            fates.entry(*polls).or_default().insert(times);
        }
        fates
    }
}

/// What sends a message, or several, of a name, and what of it is to be seen.
#[derive(Clone, Copy, Debug)]
pub struct Sends {
    /// What makes the future.
    pub api: Api,
    /// Spans of one call.
    pub spans: usize,
    /// Whether they are begun by the call, and not by the first poll.
    pub by_the_call: bool,
    /// Calls that are to end.
    pub rounds: usize,
}

impl Sends {
    /// Sends by both clients: what they have sent, for [`assert_same_fates`].
    pub async fn by<T, U>(
        self,
        counted: &Counted,
        bare: impl AsyncFn(String) -> T,
        wrapped: impl AsyncFn(String) -> U,
    ) -> [Trials; 2] {
        let [mut of_bare, mut of_wrapped] = [Trials::default(), Trials::default()];
        for _ in 0..self.rounds {
            at_every_poll(self.api, |polls| bare(of_bare.name(polls)), |_, _| ()).await;
            let ended = |polls, _| {
                let is_begun = self.by_the_call || polls > 0;
                counted.assert_unset(if is_begun { self.spans } else { 0 });
            };
            at_every_poll(self.api, |polls| wrapped(of_wrapped.name(polls)), ended).await;
        }
        [of_bare, of_wrapped]
    }
}

/// With the wrapped client, a message has the fate that it has with the bare one, however often its future was polled.
///
/// Of more polls than the bare client ever took, the last fate is the one: it is that of a future that ended.
pub fn assert_same_fates(api: Api, bare: &Fates, wrapped: &Fates) {
    for (polls, fate) in wrapped {
        let same = bare.get(polls).or_else(|| bare.values().next_back());
        assert_eq!(
            Some(fate),
            same,
            "{api:?} after {polls} polls: {bare:?} {wrapped:?}"
        );
    }
}

/// The same of several messages whose client waits for its own thread between them: how many it has taken by then is a
/// race, with and without us.
pub fn assert_fates_within(api: Api, bare: &Fates, wrapped: &Fates, together: usize) {
    for fates in [bare, wrapped] {
        for (polls, fate) in fates {
            let possible = if *polls == 0 { 0..=0 } else { 1..=together };
            let is_possible = fate.iter().all(|times| possible.contains(times));
            assert!(
                is_possible,
                "{api:?} after {polls} polls: {bare:?} {wrapped:?}"
            );
        }
        let last = fates.values().next_back();
        assert_eq!(last, Some(&[together].into()), "{api:?}: {fates:?}");
    }
}
