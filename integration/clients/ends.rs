//! How tests end.

use std::fmt;

use crate::package::Kind;

/// A test of a client.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Test {
    pub(crate) file: String,
    pub(crate) name: String,
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.file, self.name)
    }
}

/// How a test ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) test: Test,
    pub(crate) bare: End,
    pub(crate) wrapped: End,
    /// If it was run many times more, because it seemed to fail more often through the wrappers.
    pub(crate) compared: Option<Failures>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    /// At last.
    pub(crate) ended: Ended,
    /// How often it failed before.
    pub(crate) retries: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ended {
    Passed,
    Failed,
    /// It ran until it was stopped.
    Hung,
}

impl Run {
    pub(crate) fn passed(&self) -> bool {
        self.passed_bare() && !self.differs()
    }

    pub(crate) fn passed_bare(&self) -> bool {
        match self.compared {
            Some(failures) => failures.bare < failures.runs,
            None => self.bare.ended == Ended::Passed,
        }
    }

    pub(crate) fn differs(&self) -> bool {
        match self.compared {
            Some(failures) => failures.differ(),
            None => self.bare.ended != self.wrapped.ended,
        }
    }

    /// Whether chance alone may be why it failed, or needed retries, with one of the two. A test that hangs is none of
    /// those that fail now and then.
    pub(crate) fn may_be_chance(&self) -> bool {
        let ends = [self.bare.ended, self.wrapped.ended];
        let more_retries = self.wrapped.retries > self.bare.retries;
        let differs = ends[0] != ends[1];
        !ends.contains(&Ended::Hung) && (differs || more_retries)
    }

    /// How often it was run again, by what it was run with; nothing if it was not.
    pub(crate) fn retries(&self) -> String {
        let sides = Kind::BOTH.into_iter().zip([self.bare, self.wrapped]);
        let sides = sides.filter(|(_, end)| end.retries > 0);
        let mut told: Vec<_> = sides
            .map(|(kind, end)| format!("{} {}", kind.name(), end.retries))
            .collect();
        told.extend(self.compared.map(|failures| failures.to_string()));
        told.join(", ")
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            test,
            bare,
            wrapped,
            compared,
        } = self;
        let (bare, wrapped) = (bare.ended, wrapped.ended);
        write!(f, "{test}: bare {bare:?}, wrapped {wrapped:?}")?;
        compared.map_or(Ok(()), |failures| write!(f, "; {failures}"))
    }
}

/// How often a test failed with each, of so many runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failures {
    pub(crate) runs: usize,
    pub(crate) bare: usize,
    pub(crate) wrapped: usize,
}

impl Failures {
    /// Whether it always fails with one of the two alone, or clearly more often through the wrappers.
    pub(crate) const fn differ(self) -> bool {
        let one_always_fails = (self.bare == self.runs) != (self.wrapped == self.runs);
        one_always_fails || self.wrapped > self.bare + self.runs * 3 / 10
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            runs,
            bare,
            wrapped,
        } = self;
        write!(
            f,
            "compared: of {runs} runs each, bare {bare} failed, wrapped {wrapped}"
        )
    }
}
