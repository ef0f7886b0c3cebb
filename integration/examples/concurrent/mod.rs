//! The loops that handle many messages at a time.

mod amqp;
mod kafka;
mod nats;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, bail};
use opentelemetry::trace::{SpanContext, Status};
use opentelemetry_sdk::trace::SpanData;
use otel_messaging::testing::Recorder;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// Longest wait for anything that should take milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// Long enough for a loop to take one message more, if it did.
const A_WHILE: Duration = Duration::from_millis(300);

/// What the handlers do: each message waits until its name is called. Those that are bad fail then.
#[derive(Clone, Debug)]
struct Gate(watch::Sender<State>);

#[derive(Clone, Debug, Default)]
struct State {
    started: Vec<String>,
    called: BTreeSet<&'static str>,
    ended: Vec<String>,
    most_at_a_time: usize,
}

impl Gate {
    fn new() -> Self {
        Self(watch::Sender::default())
    }

    async fn pass(&self, order: &[u8]) -> Result<()> {
        let order = String::from_utf8(order.to_vec())?;
        self.0.send_modify(|state| {
            state.started.push(order.clone());
            let now = state.started.len() - state.ended.len();
            state.most_at_a_time = state.most_at_a_time.max(now);
        });
        let mut state = self.0.subscribe();
        let called = state.wait_for(|state| state.called.contains(order.as_str()));
        called.await?;
        let is_bad = order.starts_with("bad");
        self.0.send_modify(|state| state.ended.push(order));
        if is_bad {
            bail!("no such book");
        }
        Ok(())
    }

    fn call(&self, orders: &[&'static str]) {
        self.0.send_modify(|state| state.called.extend(orders));
    }

    /// Waits until so many have started.
    async fn started(&self, count: usize) -> Vec<String> {
        self.until(|state| state.started.len() == count)
            .await
            .started
    }

    /// Waits until so many have ended.
    async fn ended(&self, count: usize) -> Vec<String> {
        self.until(|state| state.ended.len() == count).await.ended
    }

    /// The state, with the names in order.
    async fn until(&self, is_there: impl Fn(&State) -> bool) -> State {
        let mut state = self.0.subscribe();
        let waited = timeout(PATIENCE, state.wait_for(|state| is_there(state))).await;
        let waited = waited.map(|state| state.expect("a sender").clone());
        let mut state = waited.unwrap_or_else(|_| unreachable!("in time: {:?}", self.0.borrow()));
        state.started.sort();
        state.ended.sort();
        state
    }
}

/// The spans of processing what was created here.
fn processed(recorder: &Recorder, creation: &SpanContext) -> Vec<SpanData> {
    let spans = recorder.spans().into_iter();
    let of_message = spans.filter(|span| {
        span.parent_span_id == creation.span_id() && span.name.starts_with("process ")
    });
    of_message.collect()
}

/// How often each message was processed in its trace, by the span that it was sent in.
fn processed_in_traces(recorder: &Recorder, sent: &str) -> Vec<usize> {
    let spans = recorder.spans();
    let sent = spans.iter().filter(|span| span.name.starts_with(sent));
    let mut counts: Vec<_> = sent
        .map(|span| processed(recorder, &span.span_context).len())
        .filter(|count| *count > 0)
        .collect();
    counts.sort_unstable();
    counts
}

/// Waits for so many process spans: a task that is aborted ends its own soon after.
async fn until_processed(recorder: &Recorder, count: usize) {
    let is_processed = |span: &SpanData| span.name.starts_with("process ");
    let waiting = async {
        while recorder.spans().into_iter().filter(is_processed).count() < count {
            sleep(A_WHILE / 10).await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("spans");
}

/// How many of the process spans are those of failed attempts.
fn failed(recorder: &Recorder) -> usize {
    let spans = recorder.spans().into_iter();
    let processed = spans.filter(|span| span.name.starts_with("process "));
    processed
        .filter(|span| matches!(span.status, Status::Error { .. }))
        .count()
}
