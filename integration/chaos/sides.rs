//! Bare and wrapped side by side, through the same disturbance, and what is to be the same afterwards.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use integration::drops::Counted;
use opentelemetry_sdk::trace::SpanData;

use crate::book::Book;
use crate::load::{Load, Side};
use crate::plan::Plan;

/// Messages of each side that go all the way before the disturbance, and after it.
const ENOUGH: usize = 60;

/// Waits that are given up now and then, where the client itself waits for ever.
const GIVEN_UP_BY_CHANCE: u64 = 20;

/// Both of them at work.
#[derive(Debug)]
pub(crate) struct Both {
    bare: Load,
    wrapped: Load,
}

impl Both {
    /// Waits until so many messages of each went all the way since this call.
    pub(crate) async fn go_on(&self, messages: usize) {
        self.bare.is_over();
        self.wrapped.is_over();
        tokio::join!(self.bare.goes_on(messages), self.wrapped.goes_on(messages));
    }

    /// Waits until messages of each are refused.
    pub(crate) async fn are_refused(&self) {
        tokio::join!(self.bare.is_refused(), self.wrapped.is_refused());
    }

    /// Waits until each has an error of this kind that is no message's.
    pub(crate) async fn meet(&self, kind: &str) {
        tokio::join!(self.bare.meets(kind), self.wrapped.meets(kind));
    }

    /// Waits until a message comes to each that came before.
    pub(crate) async fn are_given_again(&self) {
        tokio::join!(self.bare.handles_again(), self.wrapped.handles_again());
    }

    /// Waits until each handles messages again.
    pub(crate) async fn handle_again(&self) {
        tokio::join!(self.bare.handles(), self.wrapped.handles());
    }

    /// Waits until nothing of each is acknowledged any more.
    pub(crate) async fn are_stalled(&self) {
        tokio::join!(self.bare.is_stalled(), self.wrapped.is_stalled());
    }

    /// Has the handlers of each take so long from now on.
    pub(crate) fn handle_in(&self, time: Duration) {
        self.bare.handle_in(time);
        self.wrapped.handle_in(time);
    }
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Told {
    /// What is not as it is to be.
    pub(crate) complaints: Vec<String>,
    /// What is not as it is to be with the bare client either.
    pub(crate) notes: Vec<String>,
    /// The books of the bare and of the wrapped side.
    pub(crate) books: [Book; 2],
    /// How many spans there were.
    pub(crate) spans: usize,
    /// From the end of the disturbance until both went on.
    pub(crate) recovery: Duration,
}

/// Runs both through the disturbance.
pub(crate) async fn side_by_side(
    plan: Plan,
    counted: &Counted,
    bare: impl Side,
    wrapped: impl Side,
    disturb: impl AsyncFnOnce(&Both),
) -> Told {
    let both = Both {
        bare: Load::begin(bare, plan),
        wrapped: Load::begin(wrapped, plan),
    };
    tokio::join!(both.bare.goes_on(ENOUGH), both.wrapped.goes_on(ENOUGH));
    disturb(&both).await;
    let over = Instant::now();
    both.go_on(ENOUGH).await;
    let recovery = over.elapsed();
    let (bare, wrapped) = tokio::join!(both.bare.end(), both.wrapped.end());
    let spans = counted.recorder.spans();
    let (mut complaints, mut notes) = (Vec::new(), Vec::new());
    // What is so with the bare client too is the client's, but for what has to happen in the case.
    for (side, book, other) in [("bare", &bare, &wrapped), ("wrapped", &wrapped, &bare)] {
        let mut say = |what: String, is_of_client: bool| match side == "bare" || is_of_client {
            true => notes.push(format!("{side}: {what}")),
            false => complaints.push(format!("{side}: {what}")),
        };
        let [lost, of_other] = [book, other].map(|book| book.lost_with(plan));
        if lost > 0 {
            let what = format!("{lost} acknowledged messages lost");
            say(what, lost <= of_other);
        }
        for hang in &book.hangs {
            let [own, of_other] = [book, other].map(|book| book.hangs_in(hang));
            say(format!("hangs in {hang}"), own <= of_other);
        }
        for missed in &book.missed {
            say(format!("waited in vain for {missed}"), false);
        }
    }
    let given_up = [&bare, &wrapped].map(|book| book.given_up(plan.together));
    if given_up[1] > 3 * given_up[0] + GIVEN_UP_BY_CHANCE {
        complaints.push(format!("given up, bare and wrapped: {given_up:?}"));
    }
    complaints.extend(as_many_spans(&wrapped, &spans, counted));
    Told {
        complaints,
        notes,
        books: [bare, wrapped],
        spans: spans.len(),
        recovery,
    }
}

/// Each operation has one span and is measured once, and those that failed say so.
fn as_many_spans(book: &Book, spans: &[SpanData], counted: &Counted) -> Vec<String> {
    let (mut by_type, mut failed) = (BTreeMap::new(), BTreeMap::new());
    for span in spans {
        let of = |key: &str| {
            let mut attributes = span.attributes.iter();
            attributes.find(|attribute| attribute.key.as_str() == key)
        };
        let kind = of("messaging.operation.type").map(|kind| kind.value.to_string());
        let kind = kind.unwrap_or_else(|| format!("none: {}", span.name));
        // What became of a message is on its create span too.
        if of("error.type").is_some() && kind != "create" && kind != "receive" {
            *failed.entry(kind.clone()).or_default() += 1;
        }
        *by_type.entry(kind).or_default() += 1;
    }
    let mut complaints = Vec::new();
    let mut compare =
        |what: &str, expected: BTreeMap<String, u64>, found: BTreeMap<String, u64>| {
            if expected != found {
                complaints.push(format!("{what}: {expected:?}, and not {found:?}"));
            }
        };
    let owned = |counts: &BTreeMap<&str, u64>| {
        let owned = counts
            .iter()
            .map(|(kind, count)| ((*kind).to_owned(), *count));
        owned.collect::<BTreeMap<_, _>>()
    };
    let measured = |what: &str, count: u64| BTreeMap::from([(what.to_owned(), count)]);
    let ids = spans.iter().map(|span| span.span_context.span_id());
    let ids: HashSet<_> = ids.collect();
    for (what, ended) in [("ended", spans.len()), ("different", ids.len())] {
        compare(
            "spans that were begun and that are there",
            measured(what, counted.started() as u64),
            measured(what, ended as u64),
        );
    }
    compare("operations and spans", owned(&book.operations), by_type);
    compare("errors and spans with one", owned(&book.failed), failed);
    let of = |kind: &str| book.operations.get(kind).copied().unwrap_or_default();
    compare(
        "operations and their durations",
        measured("all", of("send") + of("settle") + of("receive")),
        measured("all", counted.operations()),
    );
    compare(
        "handlers and their durations",
        measured("all", of("process")),
        measured("all", counted.handlers().iter().sum()),
    );
    complaints
}
