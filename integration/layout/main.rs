//! The layout of the crate's sources: what may know what, and what stands where.
//!
//! A rule takes the tree as data and names each violation by file and line, so that every rule is
//! seen to fail, on a tree made up for it.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test panics where it fails"
)]

mod imports;
mod links;
mod rules;
mod tokens;
mod tree;
mod violations;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tree::Tree;

/// The program beside the library.
const COMMAND: &str = "src/bin/otel-messaging";

/// Folders of the repository that documents name files in.
const FOLDERS: [&str; 6] = [
    ".ci/",
    "benches/",
    "examples/",
    "fuzz/",
    "integration/",
    "src/",
];

#[test]
fn nothing_outside_of_a_house_names_a_client_or_a_house() {
    check(rules::nothing_else_names_a_client);
}

#[test]
fn houses_import_no_house() {
    check(rules::houses_import_no_house);
}

#[test]
fn imports_go_down_from_floor_to_floor() {
    check(imports::imports_go_down);
    check(imports::engine_floors_go_up_the_list);
}

#[test]
fn the_drawing_in_the_architecture_has_these_floors_and_no_others() {
    let drawn = include_str!("../../ARCHITECTURE.md").lines();
    let is_floor = |line: &&str| line.trim_start().starts_with(|c: char| c.is_ascii_digit());
    let drawn = drawn
        .skip_while(|line| *line != "## Floors")
        .take_while(|line| *line != "## Houses and rooms");
    let drawn: Vec<_> = drawn.filter(is_floor).collect();
    let expected = imports::lines_of_drawing(&Tree::of("src"));

    assert_eq!(drawn.len(), expected.len(), "{drawn:#?}");
    for (drawn, expected) in drawn.iter().zip(&expected) {
        assert!(drawn.starts_with(expected), "{drawn:?} is not {expected:?}");
    }
}

#[test]
fn the_documents_name_files_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut missing = Vec::new();
    for document in [
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "README.md",
        "SECURITY.md",
    ] {
        let text = fs::read_to_string(root.join(document)).expect("a document");
        let quoted = text.split('`').skip(1).step_by(2);
        let is_path = |quoted: &&str| {
            quoted.contains('/')
                && FOLDERS.iter().any(|folder| quoted.starts_with(folder))
                && !quoted.contains([' ', '*', '<', '{'])
        };
        let paths = quoted.filter(is_path);
        let missed = paths.filter(|path| !root.join(path).exists());
        missing.extend(missed.map(|path| format!("{document}: {path}")));
    }
    assert!(missing.is_empty(), "\n{}", missing.join("\n"));
}

#[test]
fn the_loops_in_the_documentation_are_those_that_the_examples_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = |path: &str| fs::read_to_string(root.join(path)).expect("a file");
    for (house, program) in [
        ("src/kafka/mod.rs", "examples/kafka/consume.rs"),
        ("src/amqp/mod.rs", "examples/amqp/consume.rs"),
        ("src/nats/mod.rs", "examples/nats/consume.rs"),
        ("src/nats/mod.rs", "examples/nats/jetstream.rs"),
    ] {
        let documentation = text(house);
        let lines = documentation.lines();
        let lines = lines.filter_map(|line| line.strip_prefix("//!"));
        let lines: Vec<_> = lines
            .map(|line| line.strip_prefix(' ').unwrap_or(line))
            .collect();
        let program_text = text(program);
        let code = program_text
            .lines()
            .skip_while(|line| line.starts_with("//!"));
        let code: Vec<_> = code.skip_while(|line| line.is_empty()).collect();
        let is_there = lines.windows(code.len()).any(|lines| lines == code);
        assert!(is_there, "{house} does not have the code of {program}");
    }
}

#[test]
fn imports_form_no_circle() {
    for root in ["src", COMMAND, "integration/suite"] {
        check_in(root, imports::imports_form_no_circle);
    }
}

#[test]
fn every_house_has_the_same_rooms() {
    check(rules::houses_have_the_same_rooms);
}

#[test]
fn attribute_keys_are_spelt_in_semconv_and_in_attributes_only() {
    check(rules::keys_are_spelt_once);
}

#[test]
fn links_to_the_conventions_name_the_release_that_is_pinned() {
    let sources = Tree::of("src");
    let pinned = links::pinned_release(&sources).expect("a release in SCHEMA_URL");
    let documents = Tree::of_documents(&[
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "README.md",
        "SECURITY.md",
    ]);
    for tree in [&sources, &documents] {
        let violations = links::links_name_the_release(tree, pinned);
        assert!(violations.is_empty(), "\n{}", violations.join("\n"));
    }
}

#[test]
fn each_rule_of_a_specification_links_to_it() {
    for root in ["src", COMMAND, "fuzz"] {
        check_in(root, links::spec_lines_are_links);
    }
}

#[test]
fn what_tests_expect_is_whole() {
    check_in("integration", rules::expectations_are_whole);
}

#[test]
fn no_file_is_longer_than_400_lines() {
    for root in ["src", COMMAND, "examples", "integration", "benches", "fuzz"] {
        check_in(root, rules::files_are_short);
    }
}

#[test]
fn the_package_has_sources_and_documents_alone() {
    let listed = cargo(&["package", "--list", "--allow-dirty", "-p", "otel-messaging"]);
    let is_meant = |path: &&str| {
        let is_in_a_folder = path.contains('/');
        path.starts_with("src/") || !is_in_a_folder && !path.starts_with("docker")
    };
    // cargo itself adds where the package is from.
    let hidden = |path: &&str| path.starts_with('.') && *path != ".cargo_vcs_info.json";
    let others: Vec<_> = listed
        .lines()
        .filter(|path| !is_meant(path) || hidden(path))
        .collect();
    assert_eq!(others, [""; 0]);
}

#[test]
fn the_first_command_compiles_fewer_than_seventy_crates() {
    let plan = [
        "build",
        "--example",
        "kafka_roundtrip",
        "-Z",
        "unstable-options",
        "--unit-graph",
    ];
    let plan: Value = serde_json::from_str(&cargo(&plan)).expect("JSON");
    let units = plan["units"].as_array().expect("what is compiled");
    let packages: BTreeSet<_> = units.iter().map(|unit| unit["pkg_id"].as_str()).collect();
    assert!((30..70).contains(&packages.len()), "{packages:#?}");
}

/// What cargo says, in the folder of the workspace.
fn cargo(arguments: &[&str]) -> String {
    let output = integration::cargo()
        .args(arguments)
        // Nothing is compiled here: cargo alone is told that it may.
        .env("RUSTC_BOOTSTRAP", "1")
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("a program");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn check(rule: fn(&Tree) -> Vec<String>) {
    check_in("src", rule);
}

fn check_in(root: &'static str, rule: fn(&Tree) -> Vec<String>) {
    let violations = rule(&Tree::of(root));
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}
