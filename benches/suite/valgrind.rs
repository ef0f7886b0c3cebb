//! Instructions of a program's operations, counted by valgrind: the same on an idle and on a busy machine.

use std::fs;
use std::path::Path;
use std::process::Command;

/// An operation, and the instructions that it takes.
#[derive(Clone, Debug)]
pub struct Counted {
    pub way: String,
    pub row: String,
    pub instructions: u64,
}

/// Counts what a program measures, that tells of it as [`Report::counted`] does, in a folder of its own.
///
/// [`Report::counted`]: crate::harness::Report::counted
///
/// # Panics
///
/// Where there is no valgrind, or the program fails.
pub fn count(program: &str, arguments: &[&str], folder: &Path) -> Vec<Counted> {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).expect("a folder");
    let output = Command::new("valgrind")
        // Counts inside of this function alone, and writes a file at the end of each call.
        .args(["--tool=callgrind", "--toggle-collect=measured"])
        .arg("--dump-after=measured")
        .arg(format!(
            "--callgrind-out-file={}",
            folder.join("counts").display()
        ))
        .arg(program)
        .args(arguments)
        .output()
        .expect("valgrind, of the Debian package with this name");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");

    let mut all = Vec::new();
    for line in String::from_utf8(output.stdout).expect("text").lines() {
        let mut words = line.splitn(4, ' ');
        let mut number = || words.next().and_then(|word| word.parse::<u64>().ok());
        let numbers = [number(), number(), number()].map(|number| number.expect("a number"));
        let [before, after, operations] = numbers;
        let rest = words.next().expect("a way and a row");
        let (way, row) = rest.split_once(": ").expect("a way and a row");
        let calls =
            (before + 1..=after).map(|call| summary(&folder.join(format!("counts.{call}"))));
        let instructions = calls.sum::<u64>() / operations;
        assert!(instructions > 0, "{line}");
        all.push(Counted {
            way: way.to_owned(),
            row: row.to_owned(),
            instructions,
        });
    }
    fs::remove_dir_all(folder).expect("a folder");
    all
}

/// Instructions of one call.
fn summary(dump: &Path) -> u64 {
    let dump = fs::read_to_string(dump).expect("counts of each call");
    let count = |line: &str| line.strip_prefix("summary: ")?.parse().ok();
    dump.lines().find_map(count).expect("a count")
}
