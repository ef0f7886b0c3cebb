//! Measuring: all ways of one row take turns, so that what disturbs one disturbs the others too.

use std::cell::Cell;
use std::env;
use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::counting::{allocations, measured};

/// Whose way it is; each has a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Ours,
    /// OpenTelemetry's propagators for Trace Context and Baggage.
    Stock,
    /// OpenTelemetry's propagator for Trace Context alone.
    StockTrace,
    /// Only what the row cannot do without.
    ByHand,
    /// The client alone.
    Bare,
    /// Each message by itself.
    OneByOne,
}

const COLUMNS: [(Way, &str); 6] = [
    (Way::Ours, "ours"),
    (Way::Stock, "stock"),
    (Way::StockTrace, "stock, no baggage"),
    (Way::ByHand, "by hand"),
    (Way::Bare, "client alone"),
    (Way::OneByOne, "one by one"),
];

/// Rounds of a row, an odd number.
const ROUNDS: usize = 101;
/// About how long one way runs in one round.
const ROUND: Duration = Duration::from_millis(1);

/// Operations of a way that are counted from outside, where it does not say how many.
const COUNTED: u32 = 200;

/// A number of operations, timed.
pub struct Run<'a> {
    run: Box<dyn FnMut(u32) -> Sample + 'a>,
    /// Operations to a round; unset, as many as take [`ROUND`].
    operations: Option<u32>,
}

/// Time and allocations of some operations.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    time: Duration,
    allocations: u64,
    /// Calls of what is counted from outside.
    calls: u32,
}

impl Sample {
    /// Measures what `operations` does, and adds it.
    pub fn measure(&mut self, operations: impl FnOnce()) {
        let mut operations = Some(operations);
        let before = allocations();
        let start = Instant::now();
        measured(&mut || {
            if let Some(operations) = operations.take() {
                operations();
            }
        });
        self.time += start.elapsed();
        self.allocations += allocations() - before;
        self.calls += 1;
    }
}

/// Runs one operation over and over.
pub fn each<'a, T>(mut operation: impl FnMut() -> T + 'a) -> Run<'a> {
    Run {
        run: Box::new(move |operations| {
            let mut sample = Sample::default();
            sample.measure(|| {
                for _ in 0..operations {
                    black_box(operation());
                }
            });
            sample
        }),
        operations: None,
    }
}

/// Runs so many operations at once; `run` measures the part of it that counts.
pub fn many<'a>(operations: u32, mut run: impl FnMut(&mut Sample, u32) + 'a) -> Run<'a> {
    Run {
        run: Box::new(move |operations| {
            let mut sample = Sample::default();
            run(&mut sample, operations);
            sample
        }),
        operations: Some(operations),
    }
}

/// The table, printed row by row.
pub struct Report {
    only: Vec<String>,
    is_timed: bool,
    /// Calls so far of what is counted from outside.
    calls: Cell<u32>,
}

impl Report {
    /// Begins a table of times.
    pub fn timed() -> Self {
        println!("Nanoseconds, [allocations], and times ours; medians of {ROUNDS} rounds.\n");
        println!("| | {} |", COLUMNS.map(|(_, title)| title).join(" | "));
        println!("|---|{}", "---|".repeat(COLUMNS.len()));
        Self {
            is_timed: true,
            ..Self::counted()
        }
    }

    /// Begins to run what is counted from outside. In either case arguments that are no flags choose
    /// rows, by a part of their name.
    pub fn counted() -> Self {
        let arguments = env::args().skip(1);
        Self {
            only: arguments.filter(|one| !one.starts_with('-')).collect(),
            is_timed: false,
            calls: Cell::default(),
        }
    }

    /// Begins to run all rows to be counted from outside.
    pub fn rows() -> Self {
        Self {
            only: Vec::new(),
            ..Self::counted()
        }
    }

    /// Measures one row. The first way is ours, where the row has it.
    pub fn row<'a>(&self, name: &str, ways: impl IntoIterator<Item = (Way, Run<'a>)>) {
        let is_chosen = self.only.is_empty() || self.only.iter().any(|only| name.contains(only));
        if !is_chosen {
            return;
        }
        if !self.is_timed {
            for (way, run) in ways {
                self.count(name, way, run);
            }
            return;
        }
        let mut entries: Vec<Entry<'_>> = ways.into_iter().map(Entry::calibrated).collect();
        let count = entries.len();
        for round in 0..ROUNDS {
            for turn in 0..count {
                entries[(round + turn) % count].play();
            }
        }
        let reference = entries[0].times.clone();
        let cells = COLUMNS.map(|(way, _)| {
            let entry = entries.iter().find(|entry| entry.way == way);
            entry.map_or_else(String::new, |entry| entry.cell(&reference))
        });
        println!("| {name} | {} |", cells.join(" | "));
    }
}

impl Report {
    /// Runs a way twice, and tells of the second time.
    fn count(&self, name: &str, way: Way, mut run: Run<'_>) {
        let operations = run.operations.unwrap_or(COUNTED);
        let first = (run.run)(operations);
        let second = (run.run)(operations);
        let before = self.calls.get() + first.calls;
        let after = before + second.calls;
        self.calls.set(after);
        let column = COLUMNS.iter().find(|(column, _)| *column == way);
        let column = column.map_or("", |(_, title)| title);
        println!("{before} {after} {operations} {column}: {name}");
    }
}

struct Entry<'a> {
    way: Way,
    run: Run<'a>,
    operations: u32,
    /// Nanoseconds of one operation, in each round.
    times: Vec<f64>,
    allocations: f64,
}

impl<'a> Entry<'a> {
    fn calibrated((way, mut run): (Way, Run<'a>)) -> Self {
        let operations = run.operations.unwrap_or_else(|| {
            let mut operations = 1;
            loop {
                let time = (run.run)(operations).time;
                if time * 2 > ROUND {
                    break operations;
                }
                operations *= 2;
            }
        });
        Self {
            way,
            run,
            operations,
            times: Vec::with_capacity(ROUNDS),
            allocations: 0.0,
        }
    }

    fn play(&mut self) {
        let sample = (self.run.run)(self.operations);
        let operations = f64::from(self.operations);
        self.times
            .push(sample.time.as_secs_f64() * 1e9 / operations);
        self.allocations = sample.allocations as f64 / operations;
    }

    fn cell(&self, reference: &[f64]) -> String {
        let time = median(self.times.iter().copied());
        // Whole, but for what is allocated once in many operations.
        let allocations = format!("{:.1}", self.allocations);
        let allocations = allocations.trim_end_matches(".0");
        let precision = usize::from(time < 20.0);
        let mut cell = format!("{time:.precision$} [{allocations}]");
        if self.way != Way::Ours {
            let ratios = self.times.iter().zip(reference);
            let ratio = median(ratios.map(|(time, reference)| time / reference));
            cell += &format!(" ×{ratio:.2}");
        }
        cell
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
