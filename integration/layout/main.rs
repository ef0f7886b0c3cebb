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
mod rules;
mod tokens;
mod tree;
mod violations;

use tree::Tree;

#[test]
fn the_core_names_no_client_and_no_house() {
    check(rules::core_names_no_client);
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
fn imports_form_no_circle() {
    for root in ["src", "integration/suite"] {
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
fn no_file_is_longer_than_400_lines() {
    for root in ["src", "examples", "integration", "benches"] {
        check_in(root, rules::files_are_short);
    }
}

fn check(rule: fn(&Tree) -> Vec<String>) {
    check_in("src", rule);
}

fn check_in(root: &'static str, rule: fn(&Tree) -> Vec<String>) {
    let violations = rule(&Tree::of(root));
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}
