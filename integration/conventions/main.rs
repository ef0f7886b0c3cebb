//! Our names beside those of the release of the conventions that we are pinned to.
//!
//! `take-over` writes the list of a release.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use otel_messaging::semconv::SCHEMA_URL;

/// Names that the conventions do not have, and say so in their documentation.
const OURS: [&str; 11] = [
    "nats.batch.duplicate_count",
    "nats.message.duplicate",
    "nats.stream.name",
    "nats.stream.sequence",
    "otel_messaging.fan_back.left_out",
    "otel_messaging.fan_back.message_count",
    "otel_messaging.header",
    "otel_messaging.link.message_count",
    "otel_messaging.message.delivery_attempt",
    "otel_messaging.rabbitmq.confirmation",
    "otel_messaging.rabbitmq.settled",
];

/// The names of a release: attributes, metrics and events.
struct Release {
    version: &'static str,
    current: BTreeSet<&'static str>,
    /// With what is said of them instead.
    deprecated: BTreeMap<&'static str, &'static str>,
}

impl Release {
    fn read(text: &'static str) -> Self {
        let mut lines = text.lines();
        let version = lines.next().and_then(|line| line.strip_prefix("release "));
        let (mut current, mut deprecated) = (BTreeSet::new(), BTreeMap::new());
        for line in lines {
            let (_, rest) = line.split_once(' ').expect("a kind and a name");
            match rest.split_once("  deprecated: ") {
                Some((name, instead)) => drop(deprecated.insert(name, instead)),
                None => drop(current.insert(rest)),
            }
        }
        Self {
            version: version.expect("a release"),
            current,
            deprecated,
        }
    }

    fn released() -> Self {
        Self::read(include_str!("released.txt"))
    }

    /// What is wrong with a name of ours.
    fn objection(&self, name: &str) -> Option<String> {
        match self.deprecated.get(name) {
            Some(instead) => Some(format!("{name} is deprecated: {instead}")),
            None if self.current.contains(name) || OURS.contains(&name) => None,
            None => Some(format!("{name} is not in {}", self.version)),
        }
    }
}

#[test]
fn every_name_is_one_of_the_release_and_none_is_deprecated() {
    let release = Release::released();
    let names = constants();

    let objections = names.values().filter_map(|name| release.objection(name));
    assert_eq!(objections.collect::<Vec<_>>(), Vec::<String>::new());
    for own in OURS {
        assert!(
            names.values().any(|name| name == own),
            "{own} is no longer ours"
        );
    }
    assert!(names.len() > 30, "{names:?}");
}

#[test]
fn a_constant_is_called_as_its_name() {
    for (constant, name) in constants() {
        let spelt = name.replace('.', "_").to_uppercase();
        let of_ours = spelt.strip_prefix("OTEL_MESSAGING_").unwrap_or(&spelt);
        assert!(of_ours.ends_with(&constant), "{constant} is {name}");
        assert!(
            constant == spelt || OURS.contains(&&*name),
            "{constant} is {name}"
        );
    }
}

#[test]
fn a_deprecated_and_an_unknown_name_are_objected_to() {
    let release = Release::read(
        "release 9.9.9\nattribute new.name\nattribute old.name  deprecated: Replaced by `new.name`.",
    );

    assert_eq!(release.objection("new.name"), None);
    assert_eq!(
        release.objection("old.name").as_deref(),
        Some("old.name is deprecated: Replaced by `new.name`.")
    );
    assert_eq!(
        release.objection("no.name").as_deref(),
        Some("no.name is not in 9.9.9")
    );
}

#[test]
fn the_schema_is_that_of_the_release() {
    let release = Release::released();

    assert_eq!(SCHEMA_URL.rsplit('/').next(), Some(release.version));
}

/// What a release calls its own attributes that it has renamed: the new name by the deprecated one.
fn renamed(source: &str) -> BTreeMap<String, String> {
    let quoted = |text: &str| text.split('"').nth(1).map(str::to_owned);
    let arms = source.lines().filter_map(|line| line.split_once("=>"));
    arms.filter_map(|(new, old)| Some((quoted(old)?, quoted(new)?)))
        .collect()
}

#[test]
fn each_deprecated_twin_is_replaced_by_the_attribute_that_it_is_added_to() {
    let release = Release::released();
    let renamed = renamed(include_str!("../../src/semconv/deprecated.rs"));

    assert_eq!(renamed.len(), 7, "{renamed:?}");
    for (old, new) in &renamed {
        let instead = format!("Replaced by `{new}`.");
        assert_eq!(release.deprecated.get(&**old), Some(&&*instead), "{old}");
    }
    let page = include_str!("../../src/semconv/renamed.md");
    for (old, new) in &renamed {
        assert!(page.contains(&format!("| `{old}` | `{new}` |")), "{old}");
        let statement = format!("span.attributes[\"{old}\"], span.attributes[\"{new}\"])");
        assert!(page.contains(&statement), "{old}");
    }
}

/// The string constants of our sources whose value has the form of a name, by what they are called. The layout test
/// sees to it that names are nowhere else.
fn constants() -> BTreeMap<String, String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    let mut found = BTreeMap::new();
    for file in files(&sources) {
        let path = file.strip_prefix(&sources).expect("a file of ours");
        let path = path.to_str().expect("a path in UTF-8");
        if path.starts_with("semconv") || path.contains("attributes") {
            let text = fs::read_to_string(&file).expect("a source in UTF-8");
            found.extend(names(&text));
        }
    }
    found
}

fn names(source: &str) -> Vec<(String, String)> {
    let constants = source.split("const ").skip(1);
    constants
        .filter_map(|constant| {
            let (name, rest) = constant.split_once(": &str =")?;
            let value = rest.trim_start().strip_prefix('"')?.split('"').next()?;
            let is_name = value.contains('.')
                && value
                    .bytes()
                    .all(|byte| matches!(byte, b'a'..=b'z' | b'_' | b'.'));
            is_name.then(|| (name.to_owned(), value.to_owned()))
        })
        .collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry of a folder").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
