//! What the shop tells.

use std::collections::BTreeMap;

/// The sums at the end, each by the first word of its line: a number, and what it says besides.
pub(crate) struct Sums(BTreeMap<String, (usize, String)>);

impl Sums {
    pub(crate) fn of(said: &str) -> Self {
        let sums = said.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let (name, number) = (words.next()?, words.next()?.parse().ok()?);
            let rest: Vec<_> = words.collect();
            Some((name.to_owned(), (number, rest.join(" "))))
        });
        Self(sums.collect())
    }

    pub(crate) fn number(&self, name: &str) -> usize {
        self.0.get(name).expect("a sum of this name").0
    }

    pub(crate) fn line(&self, name: &str) -> String {
        let (number, rest) = self.0.get(name).expect("a sum of this name");
        format!("{number} {rest}")
    }
}

/// How long the slowest of a hundred was in a queue, in milliseconds.
pub(crate) fn in_the_queue_of(said: &str, broker: &str) -> f64 {
    let start = format!("in the queue of {broker} ");
    let line = said.lines().find(|line| line.starts_with(&start));
    let words = line.expect("a line of this broker").split_whitespace();
    let words: Vec<_> = words.collect();
    let (_, after) = words
        .iter()
        .position(|word| *word == "p99")
        .map(|at| words.split_at(at + 1))
        .expect("a percentile");
    after.first().expect("a number").parse().expect("a number")
}
