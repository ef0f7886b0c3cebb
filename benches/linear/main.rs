//! Hostile headers cost no more each when there are many: instructions, counted by valgrind, which are
//! the same on an idle and on a busy machine.

#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

/// How much more a byte of many headers may cost than one of few. Where each header is compared with
/// each, it is as much more as there are more headers; the allocator and growing lists take a quarter.
const BOUND: f64 = 1.5;

const FEW: usize = 1_000;
/// Steps before and after, so that what is not linear fails before it takes hours, and so does what
/// is not for the spellings of a name, which come to an end.
const FEWER: usize = 100;
const SOME: usize = 3_000;

#[test]
fn the_cost_of_a_byte_is_the_same_in_one_of_a_hundred_thousand_headers() {
    assert_linear("own", &[" own "], 100_000);
}

/// They take their time, so that there are fewer.
#[test]
fn the_cost_of_a_byte_is_the_same_with_any_propagator() {
    let any = [" own-as-any ", " stock ", " each-name ", " fallbacks "];
    assert_linear("any", &any, 30_000);
}

fn assert_linear(name: &str, chosen: &[&str], many: usize) {
    let mut few = counted(name, FEWER, chosen);
    assert!(!few.is_empty(), "nothing was counted");
    for headers in [FEW, SOME, many] {
        let costs = counted(name, headers, chosen);
        assert_eq!(
            costs.keys().collect::<Vec<_>>(),
            few.keys().collect::<Vec<_>>()
        );
        let grown = costs.iter().zip(few.values());
        let mut grown: Vec<_> = grown
            .map(|((operation, cost), few)| (cost / few, operation))
            .collect();
        grown.sort_by(|one, other| other.0.total_cmp(&one.0));
        let (most, operation) = grown.first().expect("an operation");
        println!("{headers} headers: at most {most:.2} times, {operation}");
        grown.retain(|(times, _)| *times > BOUND);
        assert!(
            grown.is_empty(),
            "a byte costs more with {headers} headers: {grown:.2?}"
        );
        if headers == FEW {
            few = costs;
        }
    }
}

/// Instructions for a byte of so many headers, for each operation.
fn counted(name: &str, headers: usize, chosen: &[&str]) -> BTreeMap<String, f64> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("linear-{name}-{headers}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    let counts = folder.join("counts");
    let output = Command::new("valgrind")
        // Counts inside of this function alone, and writes a file at the end of each call.
        .args(["--tool=callgrind", "--toggle-collect=measured"])
        .arg("--dump-after=measured")
        .arg(format!("--callgrind-out-file={}", counts.display()))
        .arg(env!("CARGO_BIN_EXE_hostile"))
        .arg(headers.to_string())
        .args(chosen)
        .output()
        .expect("valgrind, of the Debian package with this name");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");

    let operations = String::from_utf8(output.stdout).expect("text");
    let costs = operations.lines().enumerate().filter_map(|(index, line)| {
        let (bytes, operation) = line.split_once(' ').expect("bytes and operation");
        let bytes: f64 = bytes.parse().expect("a number");
        let dump = folder.join(format!("counts.{}", index + 1));
        let dump = fs::read_to_string(dump).expect("counts of each call");
        let count = |line: &str| line.strip_prefix("summary: ")?.parse::<f64>().ok();
        let count = dump.lines().find_map(count).expect("a count");
        assert!(count > 0.0, "{operation}");
        (bytes > 0.0).then(|| (operation.to_owned(), count / bytes))
    });
    let costs = costs.collect();
    fs::remove_dir_all(&folder).expect("a folder");
    costs
}
