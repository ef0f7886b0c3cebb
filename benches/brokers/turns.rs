//! All ways take turns within one run, so that what disturbs one disturbs the others too.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use benches::clock::processor_seconds;
use futures::future::BoxFuture;
use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use tokio::runtime::Runtime;

use crate::ways::{Providers, Way};

/// One broker, and what each way does with it.
pub(crate) trait Broker: Sized {
    const NAME: &'static str;
    /// What a turn does first and then.
    const PHASES: [&'static str; 2];
    /// Messages of a turn.
    const MESSAGES: usize;

    /// Clients and a destination of a way's own.
    async fn party(&mut self, way: Way, providers: &Providers) -> Result<Arc<dyn Party>>;

    /// Leaves the broker as it was.
    async fn leave(self) -> Result<()>;
}

/// A way's clients.
pub(crate) trait Party: Send + Sync {
    /// Ends when the broker has all messages, as far as it tells.
    fn send(&self, messages: usize) -> BoxFuture<'_, Result<()>>;

    /// Ends when all messages are handled, and says when the first one was delivered: how soon a client
    /// asks for messages after it has paused is its own affair.
    fn receive(&self, messages: usize) -> BoxFuture<'_, Result<Instant>>;
}

/// The first line of what [`run`] writes.
pub(crate) const TITLES: &str =
    "broker,phase,round,way,sampled,metrics,messages,seconds,processor_seconds,spans";

/// Lets all ways take turns for so many rounds, and writes a line for each phase of each turn. Nothing
/// is written of the round before the first.
pub(crate) fn run<B: Broker>(
    mut broker: B,
    runtime: &Runtime,
    rounds: usize,
    lines: &mut dyn Write,
) -> Result<()> {
    let mut parties = Vec::new();
    for way in Way::all() {
        let providers = Providers::of(way);
        let party = runtime.block_on(broker.party(way, &providers));
        let party = party.with_context(|| format!("{}, {}", B::NAME, way.name()))?;
        parties.push((way, providers, party));
    }
    for round in 0..=rounds {
        for turn in 0..parties.len() {
            let (way, providers, party) = parties
                .get((round + turn) % parties.len())
                .context("a way")?;
            for (phase, name) in B::PHASES.into_iter().enumerate() {
                let party = Arc::clone(party);
                let before = processor_seconds();
                // On a worker, as in a program, and not on the thread that waits here.
                let task = runtime.spawn(async move {
                    let start = Instant::now();
                    let start = match phase {
                        0 => party.send(B::MESSAGES).await.map(|()| start),
                        _ => party.receive(B::MESSAGES).await,
                    }?;
                    anyhow::Ok(start.elapsed().as_secs_f64())
                });
                let seconds = runtime.block_on(task)??;
                // What ended spans still cost belongs to them.
                let spans = providers.flush()?;
                let processor = processor_seconds() - before;
                if round > 0 {
                    let Way {
                        is_sampled,
                        has_metrics,
                        ..
                    } = way;
                    writeln!(
                        lines,
                        "{},{name},{round},{},{is_sampled},{has_metrics},{},{seconds:.6},{processor:.6},{spans}",
                        B::NAME,
                        way.name(),
                        B::MESSAGES,
                    )?;
                }
            }
        }
        lines.flush()?;
        eprint!("\r{}: {round} of {rounds} rounds ", B::NAME);
    }
    eprintln!();
    drop(parties);
    runtime.block_on(broker.leave())
}

/// What was sent and is not known to have arrived, the oldest first.
pub(crate) struct Window<T> {
    sent: VecDeque<T>,
    size: usize,
}

impl<T> Window<T> {
    pub(crate) fn of(size: usize) -> Self {
        Self {
            sent: VecDeque::with_capacity(size),
            size,
        }
    }

    /// Takes one in, and gives the oldest back where there is no room for both.
    pub(crate) fn push(&mut self, one: T) -> Option<T> {
        let is_full = self.sent.len() == self.size;
        let oldest = is_full.then(|| self.sent.pop_front()).flatten();
        self.sent.push_back(one);
        oldest
    }

    pub(crate) fn rest(self) -> impl Iterator<Item = T> {
        self.sent.into_iter()
    }
}

/// A destination that nothing else uses.
pub(crate) fn unique(name: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    format!("{name}-{:x}", now.unwrap_or_default().as_nanos())
}

/// What the client that writes the header alone has in it.
pub(crate) fn header() -> Context {
    Context::new().with_remote_span_context(SpanContext::new(
        TraceId::from(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736),
        SpanId::from(0x00f0_67aa_0ba9_02b7),
        TraceFlags::default(),
        true,
        TraceState::NONE,
    ))
}
