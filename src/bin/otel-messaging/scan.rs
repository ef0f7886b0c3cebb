//! `scan`: what is right and what is wrong in destinations.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use indicatif::ProgressBar;
use serde_json::json;

use crate::arguments::Scan;
use crate::brokers::{End, Reader};
use crate::compared::{AS_READ, Compared};
use crate::destination::Destination;
use crate::failure::Failure;
use crate::output::{self, Colour, bytes, coloured, duration, plain};
use crate::summary::{Limits, Remark, Summary};
use crate::{NOT_WELL, WELL};

/// Destinations that are told apart; names on NATS can be without number.
const MOST: usize = 1_000;

/// All others.
const OTHERS: &str = "(others)";

pub(crate) async fn run(scan: &Scan) -> Result<u8, Failure> {
    let limits = Limits {
        max_age: scan.max_age,
        max_bytes: scan.max_bytes,
    };
    let mut reader = Reader::open(&scan.reading, End::OfWhatIsThere).await?;
    let progress = ProgressBar::new_spinner();
    let mut summaries: BTreeMap<Arc<str>, Summary> = BTreeMap::new();
    for destination in reader.destinations() {
        summaries.entry(destination).or_default();
    }
    let mut compared = Compared::default();
    let mut count: u64 = 0;
    let mut failure = None;
    loop {
        let seen = match reader.next().await {
            None => break,
            Some(Ok(seen)) => seen,
            Some(Err(error)) => {
                failure = Some(error);
                break;
            }
        };
        count += 1;
        if count.is_multiple_of(1_000) {
            progress.set_message(format!("{count} messages"));
            progress.tick();
        }
        summary(&mut summaries, &seen.destination).add(&seen, limits);
        for (clash, spot) in compared.look_at(&seen) {
            summary(&mut summaries, &spot.destination).remark(clash.into(), spot.place);
        }
    }
    progress.finish_and_clear();
    let was_interrupted = reader.close(failure).await?;

    if scan.json {
        let all = summaries.iter().map(|(name, summary)| summary.json(name));
        let told = json!({
            "destinations": all.collect::<Vec<_>>(),
            "was_interrupted": was_interrupted,
            "compared_all": !compared.is_full(),
            "ordered_all": !compared.is_unordered(),
        });
        output::print(&output::pretty(&told))?;
    } else {
        output::print(&table(&summaries))?;
        output::print(&remarks(&summaries))?;
        if compared.is_full() {
            output::complain("there were too many messages to compare all with each other");
        }
        if compared.is_unordered() {
            output::complain(AS_READ);
        }
        if was_interrupted {
            output::complain("interrupted: this is what was seen until then");
        }
    }
    let is_under = scan.fail_under.is_some_and(|least| {
        let is_enough = |summary: &Summary| summary.share().is_none_or(|share| share >= least);
        let is_empty = |asked: &Destination| {
            let mut read = summaries.iter().filter(|(_, summary)| summary.messages > 0);
            !read.any(|(name, _)| &**name == OTHERS || asked.covers(name))
        };
        scan.reading.destinations.iter().any(is_empty) || !summaries.values().all(is_enough)
    });
    Ok(if is_under { NOT_WELL } else { WELL })
}

fn summary<'a>(
    summaries: &'a mut BTreeMap<Arc<str>, Summary>,
    destination: &Arc<str>,
) -> &'a mut Summary {
    let is_one_too_many = summaries.len() >= MOST && !summaries.contains_key(destination);
    let name = match is_one_too_many {
        true => OTHERS.into(),
        false => Arc::clone(destination),
    };
    summaries.entry(name).or_default()
}

fn table(summaries: &BTreeMap<Arc<str>, Summary>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header([
        "DESTINATION",
        "MESSAGES",
        "CONTEXT",
        "SAMPLED",
        "BAGGAGE",
        "AGE P50",
        "P99",
        "WRITTEN BY",
    ]);
    for (name, summary) in summaries {
        let share = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), percent);
        let age = |age: Option<Duration>| age.map_or_else(|| "-".to_owned(), duration);
        let baggage = match summary.baggage() {
            (0, 0) => "-".to_owned(),
            (members, size) => format!("{members}, {}", bytes(size)),
        };
        let mut writers: Vec<_> = summary.writers().take(4).map(plain).collect();
        if summary.writers().count() > writers.len() {
            writers.truncate(3);
            writers.push("…".to_owned());
        }
        table.add_row([
            plain(name),
            summary.messages.to_string(),
            share(summary.share()),
            share(summary.share_sampled()),
            baggage,
            age(summary.age(50)),
            age(summary.age(99)),
            match writers.is_empty() {
                true => "-".to_owned(),
                false => writers.join(", "),
            },
        ]);
    }
    for column in table.column_iter_mut().skip(1).take(6) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    trimmed(&table.to_string())
}

fn remarks(summaries: &BTreeMap<Arc<str>, Summary>) -> String {
    let mut text = String::new();
    for (name, summary) in summaries
        .iter()
        .filter(|(_, summary)| !summary.remarks.is_empty())
    {
        text += &format!("\n{}\n", plain(name));
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        let mut sorted: Vec<_> = summary.remarks.iter().collect();
        sorted.sort_by_key(|(remark, (count, _))| (!remark.is_loss, u64::MAX - count));
        for (remark, (count, first)) in &sorted {
            table.add_row([
                count.to_string(),
                remark.text(),
                format!("first {first}"),
                remark.meaning.to_owned(),
            ]);
        }
        for column in table.column_iter_mut().take(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let lines = trimmed(&table.to_string());
        for (line, (remark, _)) in lines.lines().zip(sorted) {
            text += &format!(" {}\n", coloured(line, colour(remark)));
        }
    }
    match text.is_empty() {
        true => "\nnothing is remarkable".to_owned(),
        false => text.trim_end().to_owned(),
    }
}

pub(crate) const fn colour(remark: &Remark) -> Colour {
    match remark.is_loss {
        true => Colour::Red,
        false => Colour::Yellow,
    }
}

/// Never rounded up to all.
fn percent(share: f64) -> String {
    match share {
        100.0 => "100 %".to_owned(),
        _ => format!("{:.1} %", (share * 10.0).floor() / 10.0),
    }
}

fn trimmed(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}
