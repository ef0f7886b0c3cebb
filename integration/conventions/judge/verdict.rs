//! A rule, and what it says of a scene.

use std::fmt;

use crate::model::{Scene, Span};

/// A rule of the conventions.
#[derive(Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) id: &'static str,
    /// What the conventions want, in short.
    pub(crate) says: &'static str,
    /// Document and heading that it is from.
    pub(crate) spec: &'static str,
    pub(crate) check: fn(&Scene, &mut Bench),
}

/// Where a rule is applied to what a scene has.
#[derive(Debug, Default)]
pub(crate) struct Bench {
    /// How many things the rule applied to.
    pub(crate) judged: usize,
    pub(crate) complaints: Vec<String>,
}

impl Bench {
    /// The rule applies to this, and it is right or not.
    pub(crate) fn that(
        &mut self,
        what: impl fmt::Display,
        is_right: bool,
        found: impl fmt::Display,
    ) {
        self.judged += 1;
        if !is_right {
            self.complaints.push(format!("{what}: {found}"));
        }
    }

    pub(crate) fn span(&mut self, span: &Span, is_right: bool, found: impl fmt::Display) {
        self.that(format_args!("span `{}`", span.name), is_right, found);
    }
}

/// A scene that broke a rule.
#[derive(Debug)]
pub(crate) struct Violation {
    pub(crate) rule: &'static str,
    pub(crate) scene: String,
    pub(crate) complaint: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rule,
            scene,
            complaint,
        } = self;
        write!(f, "{rule}: {scene}: {complaint}")
    }
}

impl Rule {
    /// How many things of a scene the rule applied to, and those that break it.
    pub(crate) fn judge(&self, scene: &Scene) -> (usize, Vec<Violation>) {
        let mut bench = Bench::default();
        (self.check)(scene, &mut bench);
        let mut complaints = bench.complaints;
        complaints.sort();
        complaints.dedup();
        let violations = complaints.into_iter().map(|complaint| Violation {
            rule: self.id,
            scene: scene.name.clone(),
            complaint,
        });
        (bench.judged, violations.collect())
    }
}
