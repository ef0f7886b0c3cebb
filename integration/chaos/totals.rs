//! What all rounds had together, a line for each case.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::book::Book;
use crate::sides::Told;

/// Of one case.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    rounds: u32,
    spans: usize,
    recovery: Duration,
    sides: [Side; 2],
}

/// Of one side.
#[derive(Debug, Default)]
struct Side {
    sent: u64,
    acknowledged: usize,
    lost: usize,
    again: u64,
    errors: BTreeMap<String, u64>,
}

impl Side {
    fn add(&mut self, book: &Book) {
        self.sent += book.sent();
        self.acknowledged += book.acknowledged();
        self.lost += book.lost();
        self.again += book.again();
        for (error, count) in &book.refused {
            *self.errors.entry(format!("send {error}")).or_default() += count;
        }
        for (error, count) in &book.errors {
            *self.errors.entry(error.clone()).or_default() += count;
        }
    }
}

impl Totals {
    /// Those of other rounds.
    pub(crate) fn merge(&mut self, other: Self) {
        self.rounds += other.rounds;
        self.spans += other.spans;
        self.recovery = self.recovery.max(other.recovery);
        for (side, other) in self.sides.iter_mut().zip(other.sides) {
            side.sent += other.sent;
            side.acknowledged += other.acknowledged;
            side.lost += other.lost;
            side.again += other.again;
            for (error, count) in other.errors {
                *side.errors.entry(error).or_default() += count;
            }
        }
    }

    /// One round more.
    pub(crate) fn add(&mut self, told: &Told) {
        self.rounds += 1;
        self.spans += told.spans;
        self.recovery = self.recovery.max(told.recovery);
        for (side, book) in self.sides.iter_mut().zip(&told.books) {
            side.add(book);
        }
    }
}

impl Totals {
    /// Errors that the wrapped side had often, and the bare one never.
    pub(crate) fn only_wrapped(&self) -> Vec<String> {
        let [bare, wrapped] = &self.sides;
        // A server may treat two destinations differently once.
        if self.rounds < 3 {
            return Vec::new();
        }
        let errors = wrapped.errors.iter();
        let only =
            errors.filter(|(error, count)| **count >= OFTEN && !bare.errors.contains_key(*error));
        only.map(|(error, count)| format!("{count} x {error}"))
            .collect()
    }
}

/// What happens so often with one of the clients should happen with the other one too.
const OFTEN: u64 = 50;

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let recovery = self.recovery.as_secs_f32();
        write!(f, "{} spans, on again after {recovery:.1} s", self.spans)?;
        if self.rounds > 1 {
            write!(f, " at most, {} rounds", self.rounds)?;
        }
        for (name, side) in ["bare   ", "wrapped"].iter().zip(&self.sides) {
            write!(
                f,
                "\n    {name} {} sent, {} acknowledged, {} of these lost, {} delivered again",
                side.sent, side.acknowledged, side.lost, side.again
            )?;
            for (error, count) in &side.errors {
                write!(f, ", {count} x {error}")?;
            }
        }
        Ok(())
    }
}
