//! The destinations that a client remembers, and how many of them may have a name.

use std::collections::HashMap;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::Destination;

/// Destinations of one generation. There are two, so that a client remembers at most twice as many.
const GENERATION: usize = 500;

/// The destinations that a client remembers.
///
/// Those that are asked for stay; of the others, such as a subject for each order, the rules are
/// looked up again. Names come from messages, so that there may be any number: those met first have
/// one, and of the others those that stay in use, as many again, so that what comes first cannot take
/// the names of what matters for ever. That is all for the life of the client.
#[derive(Debug)]
pub(super) struct Destinations {
    max_names: usize,
    is_told: AtomicBool,
    generations: RwLock<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Box<str>, Arc<Destination>>,
    /// The generation before: who is not asked for again while the young one grows is forgotten.
    old: HashMap<Box<str>, Arc<Destination>>,
    /// How many have a name because they came first.
    first: usize,
    /// How many have one because they stayed in use.
    late: usize,
}

impl Destinations {
    pub(super) fn new(max_names: usize) -> Self {
        Self {
            max_names,
            is_told: AtomicBool::new(false),
            generations: RwLock::default(),
        }
    }

    pub(super) const fn max_names(&self) -> usize {
        self.max_names
    }

    /// The destination of this name, by `look_up` where it is not remembered. The first that may have
    /// no name where names have to be few is `limited`.
    pub(super) fn get(
        &self,
        name: &str,
        look_up: impl Fn() -> Destination,
        limited: impl FnOnce(&Destination),
    ) -> Arc<Destination> {
        // What is behind the lock is whole at any time, so that a panic elsewhere does no harm.
        let generations = self.generations.read();
        let generations = generations.unwrap_or_else(PoisonError::into_inner);
        if let Some(destination) = generations.young.get(name) {
            return Arc::clone(destination);
        }
        let is_old = generations.old.contains_key(name);
        drop(generations);

        // Nobody else shall wait for it.
        let looked_up = (!is_old).then(&look_up);
        let generations = self.generations.write();
        let mut generations = generations.unwrap_or_else(PoisonError::into_inner);
        let destination = match (generations.old.remove(name), looked_up) {
            (Some(known), _) => generations.kept(known, self.max_names, look_up),
            (None, Some(met)) => generations.met(met, self.max_names),
            (None, None) => generations.met(look_up(), self.max_names),
        };
        generations.remember(name, &destination);
        drop(generations);
        if destination.is_one_too_many && !self.is_told.swap(true, Ordering::Relaxed) {
            limited(&destination);
        }
        destination
    }
}

impl Generations {
    /// One that is met for the first time, or after it was forgotten.
    fn met(&mut self, mut destination: Destination, max_names: usize) -> Arc<Destination> {
        if destination.needs_a_name() {
            destination.is_one_too_many = self.first >= max_names;
            self.first += usize::from(!destination.is_one_too_many);
        }
        Arc::new(destination)
    }

    /// One that was asked for again after a while.
    fn kept(
        &mut self,
        known: Arc<Destination>,
        max_names: usize,
        look_up: impl FnOnce() -> Destination,
    ) -> Arc<Destination> {
        if !known.is_one_too_many || self.late >= max_names {
            return known;
        }
        self.late += 1;
        Arc::new(look_up())
    }

    fn remember(&mut self, name: &str, destination: &Arc<Destination>) {
        if self.young.len() >= GENERATION {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(name.into(), Arc::clone(destination));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::envelope::Name;
    use crate::policy::Rule;

    struct Client {
        destinations: Destinations,
        told: AtomicBool,
    }

    impl Client {
        fn of(max_names: usize) -> Self {
            Self {
                destinations: Destinations::new(max_names),
                told: AtomicBool::new(false),
            }
        }

        /// What stands for this name where names have to be few.
        fn few(&self, text: &str, template: Option<&str>) -> Option<String> {
            let name = Name {
                template,
                ..Name::lasting(text)
            };
            let look_up = || Destination::new(Rule::of(text), name);
            let tell = |_: &Destination| assert!(!self.told.swap(true, Ordering::Relaxed));
            let destination = self.destinations.get(text, look_up, tell);
            assert_eq!(destination.name.as_str(), text);
            let few = destination.low_cardinality_name();
            few.map(|name| name.as_str().to_owned())
        }

        fn remembered(&self) -> usize {
            let generations = self.destinations.generations.read();
            let generations = generations.unwrap_or_else(PoisonError::into_inner);
            generations.young.len() + generations.old.len()
        }
    }

    #[test]
    fn so_many_names_are_few_and_the_first_one_too_many_is_told_once() {
        let client = Client::of(3);
        let names = ["a", "b", "c", "d", "e", "a"];

        let few = names.map(|name| client.few(name, None).is_some());

        assert_eq!(few, [true, true, true, false, false, true]);
        assert!(client.told.load(Ordering::Relaxed));
    }

    #[test]
    fn what_has_a_template_takes_no_name_from_others() {
        let client = Client::of(1);
        for number in 0..10 {
            let few = client.few(&format!("orders.{number}"), Some("orders.*"));
            assert_eq!(few.as_deref(), Some("orders.*"));
        }

        assert_eq!(client.few("health", None).as_deref(), Some("health"));
        assert_eq!(client.few("audit", None), None);
    }

    #[test]
    fn names_without_number_take_no_memory_and_no_names_from_those_that_stay_in_use() {
        const MAX_NAMES: usize = 100;
        let client = Client::of(MAX_NAMES);
        let mut named = HashSet::new();
        let mut hot = None;
        for number in 0..1_000_000 {
            named.extend(client.few(&format!("order-{number}"), None));
            if number >= MAX_NAMES && number % 100 == 0 {
                hot = client.few("audit", None);
                named.extend(hot.clone());
            }
        }

        assert_eq!(hot.as_deref(), Some("audit"));
        assert_eq!(named.len(), MAX_NAMES + 1);
        assert!(client.remembered() <= 2 * GENERATION);
    }

    #[test]
    fn names_that_come_again_and_again_are_bounded_for_the_life_of_a_client() {
        const MAX_NAMES: usize = 10;
        let client = Client::of(MAX_NAMES);
        let mut named = HashSet::new();
        for round in 0..100 {
            for number in 0..600 {
                for _ in 0..2 {
                    named.extend(client.few(&format!("{}-{number}", round / 10), None));
                }
            }
        }

        assert_eq!(named.len(), 2 * MAX_NAMES);
    }
}
