//! What each row costs in instructions, counted by valgrind, against a committed table: they are the
//! same on an idle and on a busy machine.
//!
//! `UPDATE_INSTRUCTIONS=1` writes the table anew, of each row the most of three counts: the seeds of hash maps are
//! random, threads take turns by chance, and how memory is copied depends on where the allocator has put it.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::collections::BTreeMap;
use std::path::Path;
use std::{env, fs};

use benches::valgrind::{self, Counted};

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions/table.md");

const COLUMNS: [&str; 6] = [
    OURS,
    "stock",
    "stock, no baggage",
    "by hand",
    "client alone",
    "one by one",
];
const OURS: &str = "ours";

/// How much dearer a row of ours may become before somebody has to look at it.
const BOUND: f64 = 1.03;

/// Rows in their order, each with the instructions of an operation in each of its ways.
#[derive(Debug, Default, PartialEq)]
struct Table(Vec<(String, BTreeMap<String, u64>)>);

#[test]
fn no_row_is_dearer_than_in_the_table() {
    let mut counted = count(&[]);
    if env::var_os("UPDATE_INSTRUCTIONS").is_some() {
        counted.keep(u64::max, count(&[]));
        counted.keep(u64::max, count(&[]));
        fs::write(TABLE, counted.text()).expect("the table is written");
    }
    let committed = Table::read(&fs::read_to_string(TABLE).expect("the table"));
    // What the allocator has to look through is what the rows before have left: a row that seems dearer is counted
    // alone.
    for wrong in dearer(&counted, &committed) {
        let is_about = |(row, _): &&(String, _)| wrong.starts_with(&format!("{row}: "));
        if let Some((row, _)) = counted.0.iter().find(is_about) {
            let alone = count(&[row]);
            counted.keep(u64::min, alone);
        }
    }
    let dearer = dearer(&counted, &committed);
    assert!(dearer.is_empty(), "{}", dearer.join("\n"));
}

#[test]
fn a_row_that_costs_more_a_new_one_and_one_that_is_gone_are_named() {
    let table = |ours: u64, stock: u64| {
        Table::read(&format!(
            "| | ours | stock |\n| --- | --- | --- |\n| send | {ours} | {stock} |\n| read | 10 | 100 |\n"
        ))
    };
    let none: [String; 0] = [];

    assert_eq!(dearer(&table(1029, 1000), &table(1000, 1000)), none);
    // The same program on another machine, with another allocator for instance.
    assert_eq!(dearer(&table(1100, 1100), &table(1000, 1000)).len(), 0);
    assert_eq!(
        dearer(&table(1040, 1000), &table(1000, 1000)),
        ["send: 1040 instructions instead of 1000"]
    );
    let committed = table(1000, 1000);
    let mut other = table(1000, 1000);
    other.0[0].0 = "publish".to_owned();
    assert_eq!(
        dearer(&other, &committed),
        ["publish is not in the table", "send is in the table alone"]
    );
    assert_eq!(Table::read(&committed.text()), committed);
    let kept = |which| {
        let mut kept = table(1040, 1000);
        kept.keep(which, table(1000, 1010));
        kept
    };
    assert_eq!(kept(u64::min), table(1000, 1000));
    assert_eq!(kept(u64::max), table(1040, 1010));
}

/// What is wrong with the counts, beside what the table has.
///
/// Ways that have nothing of ours tell how this machine, its libraries and its compiler count.
fn dearer(counted: &Table, table: &Table) -> Vec<String> {
    let both = |row: &str| {
        let find = |(name, _): &&(String, _)| name == row;
        let committed = table.0.iter().find(find)?;
        Some(&committed.1)
    };
    let mut drifts: Vec<f64> = Vec::new();
    for (row, ways) in &counted.0 {
        let others = ways.iter().filter(|(way, _)| *way != OURS);
        drifts.extend(others.filter_map(|(way, count)| {
            let before = both(row)?.get(way)?;
            Some(*count as f64 / *before as f64)
        }));
    }
    drifts.sort_by(f64::total_cmp);
    let drift = drifts.get(drifts.len() / 2).copied().unwrap_or(1.0);

    let mut wrong = Vec::new();
    for (row, ways) in &counted.0 {
        let Some(before) = both(row) else {
            wrong.push(format!("{row} is not in the table"));
            continue;
        };
        if let (Some(count), Some(before)) = (ways.get(OURS), before.get(OURS))
            && *count as f64 > *before as f64 * drift * BOUND
        {
            wrong.push(format!("{row}: {count} instructions instead of {before}"));
        }
    }
    let is_gone = |row: &&(String, _)| counted.0.iter().all(|(name, _)| *name != row.0);
    let gone = table.0.iter().filter(is_gone);
    wrong.extend(gone.map(|(row, _)| format!("{row} is in the table alone")));
    wrong
}

impl Table {
    fn read(text: &str) -> Self {
        let cells = |line: &str| -> Vec<String> {
            let line = line.trim_matches('|');
            line.split('|').map(|cell| cell.trim().to_owned()).collect()
        };
        let mut lines = text.lines().filter(|line| line.starts_with('|'));
        let titles = lines.next().map(cells).expect("a first line");
        let rows = lines.skip(1).map(|line| {
            let row = cells(line);
            let counts = titles.iter().zip(&row).skip(1);
            let counts = counts.filter_map(|(title, cell)| {
                Some((title.clone(), cell.replace(' ', "").parse().ok()?))
            });
            (row.first().expect("a name").clone(), counts.collect())
        });
        Self(rows.collect())
    }

    /// Keeps of each cell one of both.
    fn keep(&mut self, which: fn(u64, u64) -> u64, other: Self) {
        for (row, others) in other.0 {
            let Some((_, ways)) = self.0.iter_mut().find(|(name, _)| *name == row) else {
                continue;
            };
            for (way, count) in others {
                ways.entry(way)
                    .and_modify(|kept| *kept = which(*kept, count))
                    .or_insert(count);
            }
        }
    }

    fn text(&self) -> String {
        let mut text = format!("| | {} |\n|{}\n", COLUMNS.join(" | "), " --- |".repeat(7));
        for (row, ways) in &self.0 {
            let cells =
                COLUMNS.map(|column| ways.get(column).map_or_else(String::new, u64::to_string));
            text += &format!("| {row} | {} |\n", cells.join(" | "));
        }
        text
    }
}

/// Counts those rows that have one of these texts in their names, or all.
fn count(rows: &[&str]) -> Table {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("instructions");
    let mut table = Table::default();
    for counted in valgrind::count(env!("CARGO_BIN_EXE_counted"), rows, &folder) {
        let Counted {
            way,
            row,
            instructions,
        } = counted;
        match table.0.last_mut().filter(|(name, _)| *name == row) {
            Some((_, ways)) => drop(ways.insert(way, instructions)),
            None => table.0.push((row, BTreeMap::from([(way, instructions)]))),
        }
    }
    table
}
