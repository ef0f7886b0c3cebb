//! What may be few of what there can be any number of, and what is remembered of all.

use std::collections::{HashMap, HashSet};
use std::mem;

use opentelemetry::StringValue;

/// How much is remembered of one generation. There are two, so that at most twice as much is.
pub(super) const GENERATION: usize = 500;

/// Those that may stand where there have to be few. Those met first may, and of the others those that
/// stay in use, as many again, so that what comes first cannot take the place of what matters for
/// ever. That is all for the life of a client.
#[derive(Debug, Default)]
pub(super) struct Few {
    few: HashSet<StringValue>,
    /// How many of them are there because they stayed in use.
    late: usize,
}

/// What is remembered by a text from messages: what is asked for stays, and the rest is forgotten.
#[derive(Debug)]
pub(super) struct Generations<V> {
    young: HashMap<Box<str>, V>,
    /// The generation before: who is not asked for again while the young one grows is forgotten.
    old: HashMap<Box<str>, V>,
}

impl Few {
    pub(super) fn contains(&self, one: &StringValue) -> bool {
        self.few.contains(one)
    }

    /// Whether one may be among so many, that is met now or was kept in use.
    pub(super) fn lets(&mut self, one: &StringValue, max: usize, is_kept: bool) -> bool {
        if self.few.contains(one) {
            return true;
        }
        let first = self.few.len().saturating_sub(self.late);
        if first >= max {
            if !is_kept || self.late >= max {
                return false;
            }
            self.late += 1;
        }
        self.few.insert(one.clone());
        true
    }
}

impl<V> Generations<V> {
    /// What is remembered, and does not have to be remembered again.
    pub(super) fn get(&self, text: &str) -> Option<&V> {
        self.young.get(text)
    }

    /// Whether it was remembered before, and is asked for again now.
    pub(super) fn take_old(&mut self, text: &str) -> bool {
        self.old.remove(text).is_some()
    }

    pub(super) fn remember(&mut self, text: &str, value: V) {
        if self.young.len() >= GENERATION {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(text.into(), value);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

impl<V> Default for Generations<V> {
    fn default() -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }
}
