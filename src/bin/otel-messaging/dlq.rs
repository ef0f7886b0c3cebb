//! `dlq`: dead messages, where and why they died, and sending them again.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::arguments::Dlq;
use crate::brokers::{Outcome, Reader, Sender};
use crate::destination::Destination;
use crate::facts::{Death, Facts};
use crate::failure::Failure;
use crate::output::{self, Colour, coloured, duration, plain, time, time_if_any};
use crate::scan::colour;
use crate::seen::{Age, Seen};
use crate::summary::{Limits, Remark, remarks};
use crate::{NOT_WELL, WELL};

/// Reasons and places of death that are told apart.
const MOST: usize = 1_000;

/// All others.
const OTHERS: &str = "(others)";

/// What is not told.
const UNKNOWN: &str = "(unknown)";

/// What was found, and done.
#[derive(Debug, Default)]
struct Totals {
    dead: u64,
    unmarked: u64,
    /// By reason and where they died: how many, and the first one.
    kinds: BTreeMap<(String, String), (u64, String)>,
    sent: u64,
    left_out: u64,
    /// Told of more than once, and sent once.
    before: u64,
}

pub(crate) async fn run(dlq: &Dlq) -> Result<u8, Failure> {
    let mut sender = match &dlq.redrive {
        Some(to) => Some(Sender::open(to, &dlq.reading, dlq.write).await?),
        None => None,
    };
    let mut reader = Reader::open_dead(&dlq.reading, sender.is_some()).await?;
    let mut totals = Totals::default();
    let mut failure = None;
    while let Some(next) = reader.next().await {
        let told = match next {
            Ok(seen) => one(&seen, dlq, sender.as_mut(), &mut totals).await,
            Err(error) => Err(error),
        };
        if let Err(error) = told {
            failure = Some(error);
            break;
        }
    }
    let closed = reader.close(failure).await;
    let was_interrupted = matches!(closed, Ok(true));
    let told = output::print(&match dlq.json {
        true => output::json(&totals.json(dlq, was_interrupted, closed.is_err())),
        false => totals.text(dlq, closed.is_err()),
    });
    if dlq.write && (closed.is_err() || told.is_err()) {
        // Whoever does not see the rest has to know this.
        output::complain(&format!("{} messages were sent", totals.sent));
    }
    closed?;
    told?;
    if was_interrupted && !dlq.json {
        output::complain("interrupted: this is what was seen until then");
    }
    Ok(if totals.left_out > 0 { NOT_WELL } else { WELL })
}

async fn one(
    seen: &Seen,
    dlq: &Dlq,
    sender: Option<&mut Sender>,
    totals: &mut Totals,
) -> Result<(), Failure> {
    if !seen.facts.is_dead() && !dlq.unmarked {
        totals.unmarked += 1;
        return Ok(());
    }
    let outcome = match sender {
        Some(sender) => Some(sender.send(seen).await.map_err(|failure| match failure {
            Failure::Told(text) => {
                Failure::because(&format!("{} {}", seen.destination, seen.place), text)
            }
            failure => failure,
        })?),
        None => None,
    };
    totals.add(seen, outcome.as_ref());
    output::print(&match dlq.json {
        true => output::json(&in_json(seen, dlq, outcome.as_ref())),
        false => block(seen, dlq, outcome.as_ref()),
    })
}

impl Totals {
    fn add(&mut self, seen: &Seen, outcome: Option<&Outcome>) {
        self.dead += 1;
        match outcome {
            Some(Outcome::Sent(_)) => self.sent += 1,
            Some(Outcome::LeftOut(_)) => self.left_out += 1,
            Some(Outcome::Before) => self.before += 1,
            Some(Outcome::Would(_)) | None => {}
        }
        let facts = &seen.facts;
        // A framework's own exception is the same for all.
        let reason = facts.cause.as_ref().or(facts.reason.as_ref());
        let [reason, died_in] = [reason, facts.died_in.as_ref()];
        let or_unknown = |fact: Option<&String>| fact.map_or(UNKNOWN, String::as_str).to_owned();
        let kind = (or_unknown(reason), or_unknown(died_in));
        let is_one_too_many = self.kinds.len() >= MOST && !self.kinds.contains_key(&kind);
        let kind = match is_one_too_many {
            true => (OTHERS.to_owned(), OTHERS.to_owned()),
            false => kind,
        };
        let first = || (0, format!("{} {}", seen.destination, seen.place));
        self.kinds.entry(kind).or_insert_with(first).0 += 1;
    }

    fn text(&self, dlq: &Dlq, has_failed: bool) -> String {
        let mut lines = vec![format!("{} dead messages", self.dead)];
        let mut sorted: Vec<_> = self.kinds.iter().collect();
        sorted.sort_by_key(|(_, (count, _))| u64::MAX - count);
        for ((reason, died_in), (count, first)) in sorted {
            lines.push(format!(
                "  {count}  {} in {}  first {first}",
                plain(reason),
                plain(died_in),
                first = plain(first)
            ));
        }
        if self.unmarked > 0 {
            lines.push(format!(
                "{} messages say nothing of a death; --unmarked takes them too",
                self.unmarked
            ));
        }
        if let Some(to) = &dlq.redrive {
            lines.push(self.redriven(to, dlq, has_failed));
        }
        lines.join("\n")
    }

    fn redriven(&self, to: &Destination, dlq: &Dlq, has_failed: bool) -> String {
        let mut left_out = match self.left_out {
            0 => String::new(),
            count => format!(", {count} are left out"),
        };
        if self.before > 0 {
            left_out += &format!(", {} were told of before", self.before);
        }
        let is_queue = |source: &Destination| matches!(source, Destination::Queue(_));
        let mut sources = dlq.reading.destinations.iter();
        let kept = match (sources.clone().any(is_queue), sources.all(is_queue)) {
            (false, _) => "; all are still where they were",
            // Whether the broker has them back is not known.
            _ if has_failed => "",
            (true, true) => "; all were put back into their queues",
            (true, false) => {
                "; those of queues were put back, all others are still where they were"
            }
        };
        match dlq.write {
            true => format!("{} were sent to {to}{left_out}{kept}", self.sent),
            false => format!(
                "{} would be sent to {to}{left_out}; nothing is sent without --write",
                self.dead - self.left_out - self.before
            ),
        }
    }

    fn json(&self, dlq: &Dlq, was_interrupted: bool, has_failed: bool) -> Value {
        let kinds = self
            .kinds
            .iter()
            .map(|((reason, died_in), (count, first))| {
                json!({
                    "reason": (reason != UNKNOWN).then_some(reason),
                    "died_in": (died_in != UNKNOWN).then_some(died_in),
                    "messages": count,
                    "first": first,
                })
            });
        json!({
            "summary": {
                "dead": self.dead,
                "unmarked": self.unmarked,
                "kinds": kinds.collect::<Vec<_>>(),
                "redrive": dlq.redrive.as_ref().map(|to| json!({
                    "to": to.to_string(),
                    "write": dlq.write,
                    "sent": self.sent,
                    "left_out": self.left_out,
                    "before": self.before,
                })),
                "was_interrupted": was_interrupted,
                "has_failed": has_failed,
            },
        })
    }
}

/// Lines about one message: where it is, where it comes from, how it died, and what becomes of it.
fn block(seen: &Seen, dlq: &Dlq, outcome: Option<&Outcome>) -> String {
    let facts = &seen.facts;
    let mut first = vec![
        time_if_any(facts.died_at.or_else(|| seen.when().map(|when| when.time))),
        format!("{} {}", plain(&seen.destination), seen.place),
    ];
    match seen.age() {
        Some(Age::Past(age)) => first.push(format!("{} old", duration(age))),
        Some(Age::Future(age)) => first.push(format!("{} ahead", duration(age))),
        None => {}
    }
    let mut lines = vec![first.join("  ")];
    lines.push(match &seen.diagnosis.creation {
        Some(span) => {
            let sampled = if span.is_sampled() {
                ""
            } else {
                ", not sampled"
            };
            let (trace, span) = (span.trace_id(), span.span_id());
            coloured(
                &format!("trace {trace} span {span}{sampled}"),
                Colour::Green,
            )
        }
        None if facts.is_gone => coloured("it is not there any more", Colour::Red),
        None if seen.diagnosis.findings.is_empty() => coloured("it cannot be read", Colour::Red),
        None => coloured("no context", Colour::Red),
    });
    lines.push(death(facts));
    if let Some(message) = facts.message.as_ref().filter(|_| dlq.values) {
        lines.push(format!("it said {}", plain(message)));
    }
    // That it is dead is no news here.
    let remarks = said(seen).map(|remark| {
        let text = format!("{}: {}", remark.text(), remark.meaning);
        coloured(&text, colour(&remark))
    });
    lines.extend(remarks);
    lines.extend(outcome.map(|outcome| match outcome {
        Outcome::Would(to) => format!("would be sent to {}", plain(to)),
        Outcome::Sent(to) => coloured(&format!("sent to {}", plain(to)), Colour::Green),
        Outcome::LeftOut(why) => coloured(&format!("not sent: {why}"), Colour::Red),
        Outcome::Before => "told of before".to_owned(),
    }));
    lines.join("\n    ")
}

fn said(seen: &Seen) -> impl Iterator<Item = Remark> {
    let remarks = remarks(seen, Limits::NONE).into_iter();
    remarks.filter(|remark| !["dead_letter", "retried"].contains(&remark.name))
}

/// Where it died, by whom, why, and after how many attempts.
fn death(facts: &Facts) -> String {
    let mut parts = Vec::new();
    if facts.deaths.is_empty() {
        if let Some(died_in) = &facts.died_in {
            let place = match (facts.died_partition, facts.died_offset) {
                (Some(partition), Some(offset)) => format!(" {partition}/{offset}"),
                (None, Some(offset)) => format!(" {offset}"),
                (Some(partition), None) => format!(" {partition}"),
                (None, None) => String::new(),
            };
            parts.push(format!("died in {}{place}", plain(died_in)));
        }
        parts.extend(facts.reason.as_deref().map(plain));
    }
    let deaths = facts.deaths.iter().map(
        |Death {
             queue,
             reason,
             count,
         }| {
            let times = if *count == 1 {
                String::new()
            } else {
                format!(" {count} times")
            };
            format!("{} in {}{times}", plain(reason), plain(queue))
        },
    );
    parts.extend(deaths);
    parts.extend(
        facts
            .cause
            .as_ref()
            .map(|cause| format!("caused by {}", plain(cause))),
    );
    parts.extend(
        facts
            .given_up_by
            .as_ref()
            .map(|by| format!("given up by {}", plain(by))),
    );
    // Then the broker says that it was more than once, and no more.
    let is_limit = |death: &Death| death.reason == "delivery_limit";
    let least = match facts.deaths.iter().any(is_limit) {
        true => "at least ",
        false => "",
    };
    parts.extend(facts.attempts.map(|attempts| match attempts {
        1 => format!("{least}1 attempt"),
        attempts => format!("{least}{attempts} attempts"),
    }));
    match parts.is_empty() {
        true => "says nothing of its death".to_owned(),
        false => parts.join(", "),
    }
}

fn in_json(seen: &Seen, dlq: &Dlq, outcome: Option<&Outcome>) -> Value {
    let facts = &seen.facts;
    let creation = seen.diagnosis.creation.as_ref();
    let deaths = facts.deaths.iter();
    let deaths = deaths.map(
        |Death {
             queue,
             reason,
             count,
         }| { json!({ "queue": queue, "reason": reason, "count": count }) },
    );
    let remarks = said(seen).map(|remark| remark.text());
    let mut told = json!({
        "destination": &*seen.destination,
        "place": seen.place.to_string(),
        "time": seen.time.map(time),
        "age_ms": match seen.age() {
            Some(Age::Past(age)) => Some(age.as_millis() as i64),
            Some(Age::Future(age)) => Some(-(age.as_millis() as i64)),
            None => None,
        },
        "trace_id": seen.trace_id(),
        "span_id": creation.map(|span| span.span_id().to_string()),
        "sampled": creation.map(|span| span.is_sampled()),
        "died_in": facts.died_in,
        "died_partition": facts.died_partition,
        "died_offset": facts.died_offset,
        "died_at": facts.died_at.map(time),
        "given_up_by": facts.given_up_by,
        "reason": facts.reason,
        "cause": facts.cause,
        "deaths": deaths.collect::<Vec<_>>(),
        "attempts": facts.attempts,
        "gone": facts.is_gone,
        "remarks": remarks.collect::<Vec<_>>(),
    });
    if let Some(told) = told.as_object_mut() {
        if dlq.values {
            told.insert("message".to_owned(), json!(facts.message));
        }
        let outcome = outcome.map(|outcome| match outcome {
            Outcome::Would(to) => ("would_be_sent_to", to.as_str()),
            Outcome::Sent(to) => ("sent_to", to.as_str()),
            Outcome::LeftOut(why) => ("left_out", *why),
            Outcome::Before => ("before", "told of before"),
        });
        if let Some((name, value)) = outcome {
            told.insert(name.to_owned(), json!(value));
        }
    }
    told
}
