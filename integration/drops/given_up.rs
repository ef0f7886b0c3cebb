//! Futures that are given up by the functions of `integration::drops`, and counted: how many it were, each test says in the
//! end. A test whose futures were all dropped before their first poll has shown nothing of where they wait, and fails.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::env;
use std::thread;

use integration::drops::{Api, Counted, Sends, Trials};

/// What the bare client has instead.
pub(crate) const BARE: Api = Api("the bare client");

/// Futures that were dropped before they ended.
#[derive(Clone, Copy, Default)]
struct Dropped {
    before_a_poll: u64,
    after_a_poll: u64,
}

thread_local! {
    /// Those of the test on this thread, by what has made them.
    static DROPPED: RefCell<BTreeMap<&'static str, Dropped>> = const { RefCell::new(BTreeMap::new()) };
}

/// So many rounds, or `DROPS_ROUNDS` times as many.
pub(crate) fn rounds(once: usize) -> usize {
    let Ok(times) = env::var("DROPS_ROUNDS") else {
        return once;
    };
    let times: usize = times.parse().expect("DROPS_ROUNDS is a number");
    assert!(times > 0, "DROPS_ROUNDS is 0");
    once * times
}

/// How many of so many messages are sent before a batch is waited for. In each second round one is missing, so that the
/// wait is dropped while the batch is partly full.
pub(crate) const fn sent_before(together: usize, round: usize) -> usize {
    if together > 1 && round.is_multiple_of(2) {
        together - 1
    } else {
        together
    }
}

/// Lives as long as a test, and says in the end how many futures that has dropped. Some of each kind were polled before.
#[must_use = "it tells when it goes"]
pub(crate) struct Told {
    never_wait: BTreeMap<&'static str, &'static str>,
}

impl Told {
    pub(crate) fn at_the_end() -> Self {
        DROPPED.take();
        Self {
            never_wait: BTreeMap::new(),
        }
    }

    /// What ends with its first poll, and why: it can be dropped before that alone.
    pub(crate) fn never_waits(mut self, name: &'static str, why: &'static str) -> Self {
        self.never_wait.insert(name, why);
        self
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let current = thread::current();
        let test = current.name().unwrap_or_default();
        let dropped = DROPPED.take();
        let before: u64 = dropped.values().map(|one| one.before_a_poll).sum();
        let after: u64 = dropped.values().map(|one| one.after_a_poll).sum();
        let all = before + after;
        println!(
            "{test}: {all} futures were dropped: {before} before their first poll, {after} after a poll"
        );
        for (name, why) in &self.never_wait {
            println!("{test}: {name} never waits: {why}");
        }
        if thread::panicking() {
            return;
        }
        let never_wait = self.never_wait.keys().copied();
        let unpolled = dropped.iter().filter(|(_, one)| one.after_a_poll == 0);
        let unpolled = unpolled.map(|(name, _)| *name);
        assert!(!dropped.is_empty(), "{test} drops nothing");
        assert_eq!(
            unpolled.collect::<Vec<_>>(),
            never_wait.collect::<Vec<_>>(),
            "{test}: what was never dropped after a poll, and what never waits"
        );
    }
}

fn add(api: Api, before_a_poll: u64, after_a_poll: u64) {
    DROPPED.with_borrow_mut(|dropped| {
        let dropped = dropped.entry(api.0).or_default();
        dropped.before_a_poll += before_a_poll;
        dropped.after_a_poll += after_a_poll;
    });
}

fn add_one(api: Api, polls: usize, has_ended: bool) {
    let is_polled = polls > 0;
    add(
        api,
        u64::from(!has_ended && !is_polled),
        u64::from(!has_ended && is_polled),
    );
}

/// As [`integration::drops::at_every_poll`].
pub(crate) async fn at_every_poll<T>(
    api: Api,
    make: impl AsyncFnMut(usize) -> T,
    mut after: impl FnMut(usize, bool),
) -> T {
    let after = |polls: usize, has_ended: bool| {
        add_one(api, polls, has_ended);
        after(polls, has_ended);
    };
    integration::drops::at_every_poll(api, make, after).await
}

/// As [`integration::drops::dropped_after`], of what `api` makes.
pub(crate) async fn dropped_after<F: Future>(
    api: Api,
    polls: usize,
    future: F,
) -> Option<F::Output> {
    let ended = integration::drops::dropped_after(polls, future).await;
    add_one(api, polls, ended.is_some());
    ended
}

/// Drops the wait for what was not sent yet, after a poll, which can give nothing.
pub(crate) async fn dropped_in_vain<F: Future>(api: Api, wait: F) {
    let given = dropped_after(api, 1, wait).await;
    assert!(given.is_none(), "{api:?} gives what was not sent");
}

/// As [`Sends::by`].
pub(crate) async fn by<T, U>(
    sends: Sends,
    counted: &Counted,
    bare: impl AsyncFn(String) -> T,
    wrapped: impl AsyncFn(String) -> U,
) -> [Trials; 2] {
    let trials = sends.by(counted, bare, wrapped).await;
    // Of each round one was not polled, and one has ended.
    let rounds = sends.rounds as u64;
    for (api, trials) in [BARE, sends.api].into_iter().zip(&trials) {
        add(api, rounds, trials.polled() - rounds);
    }
    trials
}
