//! The public API: as a text that is reviewed, and which other crates it names.
//!
//! Both are taken from what rustdoc writes as JSON. Its format changes with the compiler; on one that
//! writes another than [`FORMAT`], nothing is checked, and a line says so, which `integration/run` counts.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test panics where it fails, and JSON that is not there is null"
)]

mod crates;
mod errors;

use std::env;
use std::fs;
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

/// The format that the `public-api` in `integration/Cargo.toml` reads.
const FORMAT: u64 = 57;

const TEXT: &str = "integration/public-api/public-api.txt";
const UPDATE: &str = "UPDATE_PUBLIC_API=1 cargo test -p integration --test public-api";

#[test]
fn the_public_api_is_the_reviewed_one() {
    let Some((path, _)) = &*DOCUMENTED else {
        return;
    };
    let actual = public_api(path);
    let file = root().join(TEXT);

    if env::var_os("UPDATE_PUBLIC_API").is_some() {
        fs::write(&file, actual).expect("a file that can be written");
        return;
    }
    let reviewed = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        actual == reviewed,
        "the public API is not that of {TEXT}:\n{}\nIf it shall be: {UPDATE}",
        difference(&reviewed, &actual)
    );
}

#[test]
fn the_public_api_names_no_other_crates() {
    let Some((_, json)) = &*DOCUMENTED else {
        return;
    };

    let violations = crates::only_these_are_named(json, &crates::NAMED);

    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}

#[test]
fn a_difference_is_told_line_by_line() {
    assert_eq!(difference("a\nb\nd\n", "a\nc\nd\n"), "- b\n+ c\n");
}

/// Where the JSON is, and what it holds; none if it is of another format.
static DOCUMENTED: LazyLock<Option<(PathBuf, Value)>> = LazyLock::new(|| {
    let path = document();
    let text = fs::read_to_string(&path).expect("a file of rustdoc");
    let json: Value = serde_json::from_str(&text).expect("JSON");
    let format = json["format_version"].as_u64();
    if format == Some(FORMAT) {
        return Some((path, json));
    }
    // Not by a macro of std: what those print is not shown for a test that passes. In a line of its own, whatever the
    // harness has begun.
    writeln!(
        stderr(),
        "\nSKIPPED: rustdoc writes format {format:?} here, not {FORMAT}; take the public-api that \
         reads it into integration/Cargo.toml"
    )
    .ok();
    None
});

/// Has cargo write the JSON, and returns where it is.
fn document() -> PathBuf {
    // `tmp` in the folder that cargo built this test in.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("a folder above it");
    let status = Command::new(env!("CARGO"))
        // Not all features: what is internal is no API.
        .args(["rustdoc", "-p", "otel-messaging", "--lib"])
        .args(["--features", "full"])
        .arg("--target-dir")
        .arg(target)
        .args(["--", "-Z", "unstable-options", "--output-format", "json"])
        .current_dir(root())
        .env("RUSTDOC", root().join("integration/public-api/rustdoc"))
        .status()
        .expect("cargo");
    assert!(status.success(), "cargo rustdoc failed");
    target.join("doc/otel_messaging.json")
}

/// One line for each public item. Left out is what the compiler adds or derives.
fn public_api(json: &Path) -> String {
    let api = public_api::Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()
        .expect("JSON of rustdoc");
    api.items().map(|item| format!("{item}\n")).collect()
}

fn difference(before: &str, after: &str) -> String {
    let only = |sign: char, here: &str, there: &str| -> String {
        let missing = here
            .lines()
            .filter(|line| there.lines().all(|other| other != *line));
        missing.map(|line| format!("{sign} {line}\n")).collect()
    };
    [only('-', before, after), only('+', after, before)].concat()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
