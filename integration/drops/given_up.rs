//! Futures that are given up by the functions of `integration::drops`, and counted: how many it were, each test says in the
//! end.

use std::cell::Cell;
use std::env;
use std::thread;

use integration::drops::{Counted, Sends, Trials};

thread_local! {
    /// Futures that were dropped before they ended, by the test on this thread.
    static DROPPED: Cell<u64> = const { Cell::new(0) };
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

/// Lives as long as a test, and says in the end how many futures that has dropped.
#[must_use = "it tells when it goes"]
pub(crate) struct Told;

impl Told {
    pub(crate) fn at_the_end() -> Self {
        DROPPED.set(0);
        Self
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let current = thread::current();
        let test = current.name().unwrap_or_default();
        println!("{test}: {} futures were dropped", DROPPED.get());
    }
}

fn add(dropped: u64) {
    DROPPED.set(DROPPED.get() + dropped);
}

/// As [`integration::drops::at_every_poll`].
pub(crate) async fn at_every_poll<T>(
    api: &str,
    make: impl AsyncFnMut(usize) -> T,
    mut after: impl FnMut(usize, bool),
) -> T {
    let after = |polls: usize, has_ended: bool| {
        add(u64::from(!has_ended));
        after(polls, has_ended);
    };
    integration::drops::at_every_poll(api, make, after).await
}

/// As [`integration::drops::dropped_after`].
pub(crate) async fn dropped_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let ended = integration::drops::dropped_after(polls, future).await;
    add(u64::from(ended.is_none()));
    ended
}

/// As [`Sends::by`].
pub(crate) async fn by<T, U>(
    sends: Sends<'_>,
    counted: &Counted,
    bare: impl AsyncFn(String) -> T,
    wrapped: impl AsyncFn(String) -> U,
) -> [Trials; 2] {
    let made = Cell::new(0);
    let (bare, wrapped, count) = (&bare, &wrapped, || made.set(made.get() + 1));
    let of_bare = |name: String| {
        count();
        bare(name)
    };
    let of_wrapped = |name: String| {
        count();
        wrapped(name)
    };
    let trials = sends.by(counted, of_bare, of_wrapped).await;
    // One of each round has ended.
    add(made.get() - 2 * sends.rounds as u64);
    trials
}
