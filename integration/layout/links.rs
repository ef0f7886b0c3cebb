//! Links to specifications: rules name theirs, and those to the conventions name one release.

use crate::rules::violation;
use crate::tree::Tree;

/// What a release of the conventions stands behind: in a link to them, and in plain words.
const BEFORE_RELEASE: [&str; 3] = [
    "semantic-conventions/blob/v",
    "semantic-conventions/tree/v",
    "conventions ",
];

/// The beginning of a schema URL, before the release.
const SCHEMAS: &str = "https://opentelemetry.io/schemas/";

/// The release of the conventions that the sources are pinned to, of `SCHEMA_URL`.
pub(crate) fn pinned_release(tree: &Tree) -> Option<&str> {
    let pinning = tree.0.iter().find(|file| file.path == "semconv/mod.rs")?;
    let (_, rest) = pinning.text.split_once(SCHEMAS)?;
    release(rest)
}

pub(crate) fn links_name_the_release(tree: &Tree, pinned: &str) -> Vec<String> {
    let mut violations = Vec::new();
    for file in &tree.0 {
        for (at, line) in file.text.lines().enumerate() {
            let plain = BEFORE_RELEASE
                .iter()
                .flat_map(|before| behind(line, before));
            let labels = behind(line, "[").filter(|label| {
                let (_, link) = label.split_once(']').unwrap_or_default();
                link.starts_with("(https://github.com/open-telemetry/semantic-conventions/")
            });
            let named = plain.chain(labels).filter_map(release);
            for named in named.filter(|named| *named != pinned) {
                let what = format!("it names the release {named} of the conventions");
                let advice = format!("SCHEMA_URL in src/semconv/mod.rs has {pinned}");
                violations.push(violation(file, at + 1, &what, &advice));
            }
            if behind(line, "semantic-conventions/").any(is_unpinned) {
                let what = "it links to the conventions, but to no release";
                let advice = format!("write blob/v{pinned}");
                violations.push(violation(file, at + 1, what, &advice));
            }
        }
    }
    violations
}

pub(crate) fn spec_lines_are_links(tree: &Tree) -> Vec<String> {
    let mut violations = Vec::new();
    for file in &tree.0 {
        let lines: Vec<&str> = file.text.lines().map(str::trim_start).collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(rules) = documentation(line).and_then(|text| text.strip_prefix("Spec:"))
            else {
                continue;
            };
            let rest = lines[at..].iter().map_while(|line| documentation(line));
            for rule in rules.split(';').map(str::trim) {
                if !is_link(rule, rest.clone()) {
                    let what = format!("the rule {rule:?} is no link");
                    let advice = "write [document § Heading], and its address below";
                    violations.push(violation(file, at + 1, &what, advice));
                }
            }
        }
    }
    violations
}

/// What stands behind each place where `before` does.
fn behind<'a>(line: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
    line.match_indices(before)
        .map(|(at, _)| &line[at + before.len()..])
}

/// A release of three numbers that the text begins with.
fn release(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let release = text[..end.unwrap_or(text.len())].trim_end_matches('.');
    (release.split('.').count() == 3).then_some(release)
}

/// Whether this part of a link to the conventions names a file or folder of no release.
fn is_unpinned(path: &str) -> bool {
    let mut parts = path.split('/');
    let names_a_file = matches!(parts.next(), Some("blob" | "tree"));
    let of = parts.next().and_then(|of| of.strip_prefix('v'));
    names_a_file && of.and_then(release).is_none()
}

/// The text of a line of documentation.
fn documentation(line: &str) -> Option<&str> {
    let text = line
        .strip_prefix("///")
        .or_else(|| line.strip_prefix("//!"));
    text.map(str::trim)
}

/// Whether a rule is a link, whose address is in place or among `rest`.
fn is_link<'a>(rule: &str, mut rest: impl Iterator<Item = &'a str>) -> bool {
    let Some((label, after)) = rule.strip_prefix('[').and_then(|rule| rule.split_once(']')) else {
        return false;
    };
    let address = ["[", label, "]: https://"].concat();
    after.starts_with("(https://") || rest.any(|line| line.starts_with(&address))
}
