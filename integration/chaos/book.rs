//! The book of what a side did.

use std::collections::{BTreeMap, BTreeSet};

use crate::load::GIVEN_UP;
use crate::plan::Plan;

/// What was done, and how it ended.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) next: u64,
    pub(crate) acknowledged: BTreeSet<u64>,
    /// How often each was handled.
    pub(crate) handled: BTreeMap<u64, u32>,
    /// Messages that were not acknowledged, by the error.
    pub(crate) refused: BTreeMap<String, u64>,
    /// Other errors: of connecting, receiving and settling.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Calls by the type of their operation, as many as there have to be spans.
    pub(crate) operations: BTreeMap<&'static str, u64>,
    /// Those that ended with an error.
    pub(crate) failed: BTreeMap<&'static str, u64>,
    /// Calls that took too long.
    pub(crate) hangs: Vec<String>,
    /// What the case waited for and did not come.
    pub(crate) missed: Vec<String>,
    /// The first number that was sent after the disturbance.
    pub(crate) after: Option<u64>,
    /// Nothing more is sent.
    pub(crate) stopped: bool,
    /// Nothing more is received.
    pub(crate) finished: bool,
}

impl Book {
    /// How many messages were acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// How many messages have a number.
    pub(crate) fn sent(&self) -> u64 {
        self.next
    }

    /// Those that were acknowledged and not handled.
    pub(crate) fn lost(&self) -> usize {
        self.lost_from(0)
    }

    /// The same, of what must not be lost: where the disturbance destroys messages, what was sent after it.
    pub(crate) fn lost_with(&self, plan: Plan) -> usize {
        self.lost_from(self.first_kept(plan))
    }

    fn lost_from(&self, first: u64) -> usize {
        let lost = |number: &&u64| !self.handled.contains_key(*number);
        self.acknowledged.range(first..).filter(lost).count()
    }

    /// Whether something is lost that must not be, or not there yet: it is asked after each message, and the last one
    /// comes last.
    pub(crate) fn is_missing(&self, plan: Plan) -> bool {
        let mut sent = self.acknowledged.range(self.first_kept(plan)..).rev();
        sent.any(|number| !self.handled.contains_key(number))
    }

    fn first_kept(&self, plan: Plan) -> u64 {
        match plan.destroys {
            true => self.after.unwrap_or(u64::MAX),
            false => 0,
        }
    }

    /// How many calls of this kind took too long.
    pub(crate) fn hangs_in(&self, call: &str) -> usize {
        self.hangs.iter().filter(|hang| *hang == call).count()
    }

    /// How many waits were given up. One for a batch is so for each of its messages.
    pub(crate) fn given_up(&self, together: usize) -> u64 {
        let count = |of: &BTreeMap<String, u64>| -> u64 {
            let given_up = of.iter().filter(|(error, _)| error.ends_with(GIVEN_UP));
            given_up.map(|(_, count)| count).sum()
        };
        count(&self.refused) / together as u64 + count(&self.errors)
    }

    /// How often a message was handled once more.
    pub(crate) fn again(&self) -> u64 {
        let again = |times: &u32| u64::from(times - 1);
        self.handled.values().map(again).sum()
    }

    pub(crate) fn goes_on(&self, messages: usize) -> bool {
        let from = self.after.unwrap_or_default();
        // It is asked after each message.
        self.acknowledged.range(from..).take(messages).count() == messages
            && self.handled.range(from..).take(messages).count() == messages
    }
}

/// Counts something so many times.
pub(crate) fn count<K: Ord>(of: &mut BTreeMap<K, u64>, what: K, times: u64) {
    *of.entry(what).or_default() += times;
}
