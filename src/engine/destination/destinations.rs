//! The destinations that a client remembers, and how many of them may have a name.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::Destination;
use crate::engine::few::{Few, Generations};
use crate::engine::shown_baggage::FewCombinations;

/// The destinations that a client remembers.
///
/// Those that are asked for stay; of the others, such as a subject for each order, the rules are
/// looked up again. Names come from messages, so that there may be any number, and those that stand
/// where names have to be few are counted. A template that many share counts once, and one that the
/// policy sets not at all.
#[derive(Debug)]
pub(in crate::engine) struct Destinations {
    names: Arc<Names>,
    generations: RwLock<Generations<Arc<Destination>>>,
}

/// What stands where names have to be few, of one client or of several that are one for the user.
#[derive(Debug)]
pub(crate) struct Names {
    max: usize,
    is_told: AtomicBool,
    few: RwLock<Few>,
    /// And what metrics may have of baggage.
    baggage: FewCombinations,
}

impl Destinations {
    pub(in crate::engine) fn new(names: Arc<Names>) -> Self {
        Self {
            names,
            generations: RwLock::default(),
        }
    }

    pub(in crate::engine) fn max_names(&self) -> usize {
        self.names.max
    }

    pub(in crate::engine) fn few_of_baggage(&self) -> &FewCombinations {
        &self.names.baggage
    }

    /// The destination of this name, by `look_up` where it is not remembered. The first that nothing
    /// may stand for where names have to be few is `limited`.
    pub(in crate::engine) fn get(
        &self,
        name: &str,
        look_up: impl FnOnce() -> Destination,
        limited: impl FnOnce(&Destination),
    ) -> Arc<Destination> {
        let generations = self.read();
        if let Some(destination) = generations.get(name) {
            return Arc::clone(destination);
        }
        drop(generations);

        // Nobody else shall wait for it.
        let mut destination = look_up();
        let mut generations = self.write();
        let is_kept = generations.take_old(name);
        destination.is_one_too_many = !self.names.lets(&destination, is_kept);
        let destination = Arc::new(destination);
        generations.remember(name, Arc::clone(&destination));
        drop(generations);
        self.warn_of_limit(&destination, limited);
        destination
    }

    /// The same for one that is gone with its user, and is not worth remembering.
    pub(in crate::engine) fn passing(
        &self,
        mut destination: Destination,
        limited: impl FnOnce(&Destination),
    ) -> Arc<Destination> {
        destination.is_one_too_many = !self.names.lets(&destination, false);
        self.warn_of_limit(&destination, limited);
        Arc::new(destination)
    }

    fn warn_of_limit(&self, destination: &Destination, limited: impl FnOnce(&Destination)) {
        if destination.is_one_too_many && !self.names.is_told.swap(true, Ordering::Relaxed) {
            limited(destination);
        }
    }

    // What is behind the lock is whole at any time, so that a panic elsewhere does no harm.

    fn read(&self) -> RwLockReadGuard<'_, Generations<Arc<Destination>>> {
        let generations = self.generations.read();
        generations.unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Generations<Arc<Destination>>> {
        let generations = self.generations.write();
        generations.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Names {
    pub(crate) fn at_most(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            is_told: AtomicBool::new(false),
            few: RwLock::default(),
            baggage: FewCombinations::at_most(max),
        })
    }

    /// Whether what stands for a destination may be among the few, for one that is met now, or was
    /// kept in use.
    fn lets(&self, destination: &Destination, is_kept: bool) -> bool {
        let Some(name) = destination.low_cardinality_name() else {
            return true;
        };
        if destination.rule.has_template() {
            return true;
        }
        let few = self.few.read();
        if few.unwrap_or_else(PoisonError::into_inner).contains(name) {
            return true;
        }
        let few = self.few.write();
        let mut few = few.unwrap_or_else(PoisonError::into_inner);
        few.lets(name, self.max, is_kept)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use opentelemetry::StringValue;

    use super::*;
    use crate::engine::destination::Name;
    use crate::engine::few::GENERATION;
    use crate::policy::Rule;

    struct Client {
        destinations: Destinations,
        told: AtomicBool,
    }

    impl Client {
        fn of(max_names: usize) -> Self {
            Self {
                destinations: Destinations::new(Names::at_most(max_names)),
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
            self.destinations.read().len()
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
    fn a_template_that_many_share_counts_once_and_many_templates_are_many() {
        let client = Client::of(2);
        for number in 0..10 {
            let few = client.few(&format!("orders.{number}"), Some("orders.*"));
            assert_eq!(few.as_deref(), Some("orders.*"));
        }

        assert_eq!(client.few("health", None).as_deref(), Some("health"));
        assert_eq!(
            client.few("logs:eu:amq.gen-7", Some("logs:eu:amq.gen")),
            None
        );
        assert_eq!(client.few("audit", None), None);
    }

    #[test]
    fn a_template_of_the_policy_is_always_used() {
        let destinations = Destinations::new(Names::at_most(0));
        let rule = || Rule::of("orders.7").template("orders.{id}");
        let look_up = || Destination::new(rule(), Name::lasting("orders.7"));

        let destination =
            destinations.get("orders.7", look_up, |_| unreachable!("it is one of few"));

        let few = destination.low_cardinality_name();
        assert_eq!(few.map(StringValue::as_str), Some("orders.{id}"));
    }

    #[test]
    fn destinations_that_pass_are_not_remembered_and_their_templates_are_bounded() {
        let destinations = Destinations::new(Names::at_most(2));
        let mut named = HashSet::new();
        for number in 0..100 {
            let (text, template) = (format!("q-{number}"), format!("t-{}", number % 10));
            let name = Name {
                template: Some(&template),
                is_temporary: true,
                ..Name::lasting(&text)
            };
            let passing = destinations.passing(Destination::new(Rule::of(&text), name), |_| ());
            named.extend(passing.low_cardinality_name().cloned());
        }

        assert_eq!(named.len(), 2);
        assert_eq!(destinations.read().len(), 0);
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
