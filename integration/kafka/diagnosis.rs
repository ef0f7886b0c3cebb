//! The lines that say what was wrong with a context.

use std::fmt::{self, Write as _};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use integration::kafka::{PATIENCE, consumer_in, measured, next, producer, topic};
use integration::metrics::{problem, problems};
use integration::unique;
use otel_messaging::testing::Recorder;
use tracing::callsite::rebuild_interest_cache;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, NoSubscriber, set_default};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

use crate::wire::{STALE, STRAY, order, receipt, send_raw, texts};

/// Keeps this crate's lines.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<(Level, String)>>>);

impl Lines {
    fn taken(&self) -> Vec<(Level, String)> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("otel_messaging")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push((*event.metadata().level(), line.0));
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// The fields of a line, one after the other.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, "{field}={value:?} ");
    }
}

/// Keeps the lines of this thread.
///
/// With one subscriber alone `tracing` asks that of the thread which meets a line first, and remembers
/// for all that nobody wants it; with two it asks both.
fn subscribed() -> (Lines, DefaultGuard) {
    static ANOTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::new()));
    LazyLock::force(&ANOTHER);
    let lines = Lines::default();
    let guard = set_default(lines.clone());
    rebuild_interest_cache();
    (lines, guard)
}

// On one thread, for that is where the lines go.
#[tokio::test]
async fn a_line_says_what_was_wrong_and_where_but_not_for_each_message_and_shows_no_value() {
    let (lines, _subscribed) = subscribed();
    let recorder = Recorder::new();
    let (orders, group) = (topic("orders").await, unique("group"));
    let consumer = consumer_in(&group, &recorder.telemetry(), &orders);
    let rows = [
        (texts(&[]), "missing"),
        (
            texts(&[("traceparent", "00-s3cret\nforged line-01")]),
            "malformed",
        ),
        (
            texts(&[("traceparent", STALE), ("traceparent", STRAY)]),
            "conflicting",
        ),
    ];

    for (headers, name) in rows {
        for nth in 1..=3 {
            send_raw(&orders, &headers).await;
            let received = next(&consumer).await;
            received.process(async |_| ()).await;
            // The same delivery: what was wrong with it was told.
            received.detach().process(async |_| ()).await;

            let lines = lines.taken();
            match &lines[..] {
                [(level, line)] if nth == 1 => {
                    assert_eq!(*level, Level::DEBUG);
                    for part in [name, &orders, "traceparent", "kafka", "process"] {
                        assert!(line.contains(part), "{part:?} is not in {line:?}");
                    }
                    for part in ["s3cret", "forged", &STALE[3..35], &STRAY[3..35]] {
                        assert!(!line.contains(part), "{part:?} is in {line:?}");
                    }
                }
                [] if nth > 1 => {}
                _ => unreachable!("{name}, {nth}: {lines:?}"),
            }
        }
    }

    let processed = || measured("process", &orders, Some(&group));
    problems()
        .of(problem(processed(), "missing"), 3)
        .of(problem(processed(), "malformed"), 3)
        .of(problem(processed(), "conflicting"), 3)
        .assert(&recorder);
}

#[tokio::test]
async fn a_line_says_where_a_context_was_replaced() {
    let (lines, _subscribed) = subscribed();
    let recorder = Recorder::new();
    let orders = topic("orders").await;
    let producer = producer(&recorder.telemetry());

    let forwarded = order(&orders, &texts(&[("traceparent", STALE)]));
    receipt(producer.send(forwarded, PATIENCE).await);

    let lines = lines.taken();
    let [(Level::DEBUG, line)] = &lines[..] else {
        unreachable!("one line: {lines:?}")
    };
    for part in ["replaced", &orders, "send"] {
        assert!(line.contains(part), "{part:?} is not in {line:?}");
    }
    problems()
        .of(problem(measured("send", &orders, None), "replaced"), 1)
        .assert(&recorder);
}
