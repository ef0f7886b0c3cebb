//! Names and patterns of destinations, of members of baggage and of headers.

use wildmatch::WildMatch;

/// A name, or a pattern with `*` and `?`.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(
    feature = "policy-files",
    derive(serde::Deserialize),
    serde(from = "String")
)]
pub(super) struct Pattern(WildMatch);

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        Self(WildMatch::new(text))
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        self.0.matches(name)
    }
}

impl From<String> for Pattern {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

/// The same for the names of headers, in any case.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "policy-files",
    derive(serde::Deserialize),
    serde(from = "String")
)]
pub(super) struct HeaderPattern(WildMatch);

impl HeaderPattern {
    pub(super) fn new(text: &str) -> Self {
        Self(WildMatch::new_case_insensitive(text))
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        self.0.matches(name)
    }
}

impl From<String> for HeaderPattern {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}
