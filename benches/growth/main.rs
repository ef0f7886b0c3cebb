//! How cost grows, in instructions that valgrind counts: not at all with some things, and with others by
//! as much for each more.
//!
//! `UPDATE_GROWTH=1` writes the table in `benches/README.md` anew.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::path::Path;
use std::{env, fs};

use benches::valgrind;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
/// What the table stands between.
const MARKS: [&str; 2] = ["<!-- growth: begin -->\n", "<!-- growth: end -->\n"];

/// How a series has to grow.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    Flat,
    /// Each more costs as much.
    Linear,
    /// What there is of it is shared out.
    Falling,
    /// However the client does it.
    OfClient,
}

const SERIES: [(&str, Shape); 9] = [
    ("rules: process", Shape::Flat),
    ("rules: send", Shape::Flat),
    ("rules: first message of a destination", Shape::Linear),
    ("headers: process", Shape::Linear),
    ("headers: send", Shape::Linear),
    ("headers: a copy by the client", Shape::OfClient),
    ("baggage: process", Shape::Linear),
    ("baggage: send", Shape::Linear),
    ("batch: process, for each message", Shape::Falling),
];

/// How much more each may cost in the last step than in the steps before.
const BOUND: f64 = 1.3;

#[test]
fn cost_is_flat_or_grows_by_as_much_for_each_more() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("growth");
    let counted = valgrind::count(env!("CARGO_BIN_EXE_growth"), &["counted"], &folder);
    let rows = counted.into_iter().map(|counted| {
        let (series, number) = counted.row.rsplit_once(": ").expect("a series");
        let number: u64 = number.parse().expect("a number");
        (series.to_owned(), number, counted.instructions)
    });
    let rows: Vec<_> = rows.collect();
    let mut text = "| | instructions |\n| --- | --- |\n".to_owned();
    let mut wrong = Vec::new();
    for (series, shape) in SERIES {
        let of_series = rows.iter().filter(|(name, _, _)| name == series);
        let points: Vec<_> = of_series
            .map(|(_, number, cost)| (*number, *cost))
            .collect();
        let cells = points
            .iter()
            .map(|(number, cost)| format!("{number}: {cost}"));
        text += &format!("| {series} | {} |\n", cells.collect::<Vec<_>>().join(", "));
        if !grows(shape, &points) {
            wrong.push(format!("{series} is not {shape:?}: {points:?}"));
        }
    }
    println!("{text}");
    if env::var_os("UPDATE_GROWTH").is_some() {
        let [begin, end] = MARKS;
        let readme = fs::read_to_string(README).expect("the page");
        let (before, rest) = readme.split_once(begin).expect("a mark");
        let (_, after) = rest.split_once(end).expect("a mark");
        let readme = format!("{before}{begin}\n{text}\n{end}{after}");
        fs::write(README, readme).expect("the table is written");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_grows_otherwise_is_found() {
    let of = |cost: fn(u64) -> u64| [1, 10, 100, 1000].map(|number| (number, cost(number)));

    assert!(grows(Shape::Flat, &of(|_| 700)));
    assert!(!grows(Shape::Flat, &of(|number| 700 + number)));
    assert!(grows(Shape::Linear, &of(|number| 700 + 3 * number)));
    assert!(!grows(Shape::Linear, &of(|number| 700 + number * number)));
    assert!(grows(Shape::Falling, &of(|number| 700 / number + 300)));
    assert!(!grows(Shape::Falling, &of(|number| 700 / number + number)));
}

/// Whether the cost of so many is of this shape.
fn grows(shape: Shape, points: &[(u64, u64)]) -> bool {
    let [first, .., before, last] = points else {
        return false;
    };
    let cost = |point: &(u64, u64)| point.1 as f64;
    // Of each more, from one point to another.
    let each =
        |from: &(u64, u64), to: &(u64, u64)| (cost(to) - cost(from)) / (to.0 - from.0) as f64;
    match shape {
        Shape::Flat => cost(last) <= cost(first) * BOUND,
        Shape::Linear => each(before, last) <= each(first, before).max(1.0) * BOUND,
        Shape::OfClient => true,
        Shape::Falling => cost(last) <= cost(before) * BOUND && cost(before) <= cost(first) * BOUND,
    }
}
