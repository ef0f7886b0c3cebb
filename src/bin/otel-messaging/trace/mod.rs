//! `trace`: the messages of one trace over all destinations, in order, and spans beside them.

mod drawn;
mod joined;

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::TraceId;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::WELL;
use crate::arguments::{Drawing, Trace};
use crate::brokers::{End, Reader, kafka};
use crate::compared::{AS_READ, Clash, Compared};
use crate::failure::Failure;
use crate::output::{self, Colour, coloured, duration, plain, safe, time, time_if_any};
use crate::scan::colour;
use crate::seen::Seen;
use crate::span_source;
use crate::spans::{Id, Spans};
use crate::summary::{Limits, Remark, remarks};

/// Messages of the trace, and as many with an id that may turn out to be that of one of them.
const MOST: usize = 100_000;

/// A message that the trace went by, or should have.
struct Hop {
    seen: Seen,
    remarks: Vec<Remark>,
    /// It is of another trace, or of none, though its id is that of a message of this one.
    is_outside: bool,
}

impl Hop {
    fn time(&self) -> Option<SystemTime> {
        self.seen.when().map(|when| when.time)
    }

    /// The context that was made for it.
    fn creation(&self) -> Option<Id> {
        let span = self.seen.diagnosis.creation.as_ref()?;
        Some((span.trace_id(), span.span_id()))
    }
}

pub(crate) async fn run(trace: &Trace) -> Result<u8, Failure> {
    let id = id(trace).await?;
    let mut reader = Reader::open(&trace.reading, End::OfWhatIsThere).await?;
    let (mut hops, mut others) = (Vec::new(), Vec::new());
    let (mut failure, mut is_full) = (None, false);
    while let Some(next) = reader.next().await {
        let seen = match next {
            Ok(seen) => seen,
            Err(error) => {
                failure = Some(error);
                break;
            }
        };
        let spans = [&seen.diagnosis.creation, &seen.diagnosis.conflicting];
        if spans
            .into_iter()
            .flatten()
            .any(|span| span.trace_id() == id)
        {
            if hops.len() < MOST {
                hops.push(seen);
            } else {
                is_full = true;
            }
        } else if seen.facts.identity.is_some() {
            if others.len() < MOST {
                others.push(seen);
            } else {
                is_full = true;
            }
        }
    }
    if is_full {
        output::complain("there were too many messages to look at all of them");
    }
    let was_interrupted = reader.close(failure).await?;
    if was_interrupted {
        output::complain("interrupted: this is what was seen until then");
    }
    let hops = in_order(hops, others);
    if is_unordered(&hops) {
        output::complain(AS_READ);
    }
    if let Some(source) = &trace.spans {
        let spans = with(source, id, &hops).await?;
        let tree = joined::joined(&hops, &spans.all);
        output::print(&drawn::drawn(id, &tree, trace.format))?;
        return Ok(WELL);
    }
    output::print(&match trace.format {
        Drawing::Text => text(id, &hops),
        Drawing::Mermaid => mermaid(&hops),
        Drawing::Dot => dot(&hops),
        Drawing::Json => json(id, &hops),
    })?;
    Ok(WELL)
}

/// Other traces whose spans are wanted too: those in which messages go on that should be of this one.
const MOST_OTHERS: usize = 16;

/// The spans of the trace, and of those in which it goes on.
async fn with(source: &str, id: TraceId, hops: &[Hop]) -> Result<Spans, Failure> {
    let mut traces = HashSet::from([id]);
    for (trace, _) in hops.iter().filter_map(Hop::creation) {
        if traces.len() <= MOST_OTHERS {
            traces.insert(trace);
        }
    }
    let owned = source.to_owned();
    let read = spawn_blocking(move || span_source::read(&owned, traces));
    let spans = tokio::select! {
        read = read => read.map_err(|error| Failure::because("cannot read spans", error))??,
        _ = tokio::signal::ctrl_c() => {
            output::complain("interrupted: there are no spans in it");
            Spans::default()
        }
    };
    if spans.all.is_empty() {
        output::complain(&match span_source::scheme(source) {
            Some(_) => "Jaeger has no span of this trace".to_owned(),
            None => format!("{source}: there is no span of this trace"),
        });
    }
    if spans.is_full {
        output::complain("there were too many spans to draw all of them");
    }
    Ok(spans)
}

/// The trace that is meant.
async fn id(trace: &Trace) -> Result<TraceId, Failure> {
    let wanted = trace.trace.as_str();
    if let [topic, partition, offset] = *wanted.split('/').collect::<Vec<_>>() {
        let place = partition.parse().ok().zip(offset.parse().ok());
        let (partition, offset) = place.ok_or_else(|| {
            Failure::new(format!(
                "{wanted}: a message is TOPIC/PARTITION/OFFSET, with numbers"
            ))
        })?;
        let topic = topic.strip_prefix("kafka:").unwrap_or(topic);
        let seen = kafka::one(&trace.reading.access, topic, partition, offset).await?;
        let creation = seen.diagnosis.creation.map(|span| span.trace_id());
        return creation
            .ok_or_else(|| Failure::new(format!("{wanted}: the message has no context")));
    }
    let is_id = wanted.len() == 32 && wanted.bytes().all(|digit| digit.is_ascii_hexdigit());
    let id = TraceId::from_hex(wanted)
        .ok()
        .filter(|id| is_id && *id != TraceId::INVALID);
    id.ok_or_else(|| {
        Failure::new(format!(
            "{wanted:?} is no trace id: 32 hexadecimal digits, not all zero; or TOPIC/PARTITION/OFFSET"
        ))
    })
}

fn in_order(hops: Vec<Seen>, others: Vec<Seen>) -> Vec<Hop> {
    let ids: HashSet<_> = hops
        .iter()
        .filter_map(|seen| seen.facts.identity.clone())
        .collect();
    let outside = others.into_iter();
    let outside = outside.filter(|seen| {
        seen.facts
            .identity
            .as_ref()
            .is_some_and(|id| ids.contains(id))
    });
    let inside = hops.into_iter().map(|seen| (seen, false));
    let all = inside.chain(outside.map(|seen| (seen, true)));
    let mut hops: Vec<_> = all
        .map(|(seen, is_outside)| Hop {
            remarks: remarks(&seen, Limits::NONE),
            seen,
            is_outside,
        })
        .collect();
    // Those without a time come last, in the order in which they were read.
    hops.sort_by_key(|hop| {
        let when = hop.seen.when();
        (when.is_none(), when, hop.seen.now)
    });
    // Compared in the order of time, so that the later one is to blame.
    let mut compared = Compared::default();
    for hop in &mut hops {
        let clashes = compared.look_at(&hop.seen).into_iter();
        hop.remarks
            .extend(clashes.map(|(clash, _): (Clash, _)| Remark::from(clash)));
    }
    hops
}

/// Whether it is not known of all messages that are in several destinations which one came first.
fn is_unordered(hops: &[Hop]) -> bool {
    let mut pairs = hops.iter().zip(hops.iter().skip(1));
    pairs.any(|(one, next)| {
        let times = one.seen.when().zip(next.seen.when());
        one.seen.destination != next.seen.destination
            && !times.is_some_and(|(one, next)| one.is_before(next))
    })
}

/// The time since the message before.
fn pauses(hops: &[Hop]) -> impl Iterator<Item = Option<Duration>> {
    let before = hops.iter().map(|hop| hop.seen.time);
    let before = std::iter::once(None).chain(before);
    let pairs = before.zip(hops.iter().map(|hop| hop.seen.time));
    pairs.map(|(before, own)| own?.duration_since(before?).ok())
}

fn text(id: TraceId, hops: &[Hop]) -> String {
    let inside = hops.iter().filter(|hop| !hop.is_outside).count();
    let mut lines = vec![format!("trace {id}: {inside} messages")];
    if hops.is_empty() {
        lines.push("in none of these destinations, as far as they were read".to_owned());
    }
    for (hop, pause) in hops.iter().zip(pauses(hops)) {
        if let Some(pause) = pause {
            lines.push(format!("  | {} later", duration(pause)));
        }
        let seen = &hop.seen;
        let mut line = format!(
            "  {:24}  {} {}",
            time_if_any(hop.time()),
            plain(&seen.destination),
            seen.place
        );
        match &seen.diagnosis.creation {
            Some(span) if hop.is_outside => line += &format!("  trace {}", span.trace_id()),
            Some(span) => {
                let sampled = if span.is_sampled() {
                    ""
                } else {
                    ", not sampled"
                };
                line += &format!("  span {}{sampled}", span.span_id());
            }
            None => {}
        }
        if let Some(writer) = &seen.facts.writer {
            line += &format!("  by {}", plain(writer));
        }
        if let Some(died_in) = &seen.facts.died_in {
            line += &format!("  from {}", plain(died_in));
        }
        if hop.is_outside {
            let broken = "here the trace breaks: the id is that of a message above";
            line += &format!("  {}", coloured(broken, Colour::Red));
        }
        lines.push(line);
        for remark in &hop.remarks {
            let said = format!("      {}: {}", remark.text(), remark.meaning);
            lines.push(coloured(&said, colour(remark)));
        }
    }
    lines.join("\n")
}

/// What a message is called in a drawing.
fn label(hop: &Hop) -> String {
    let remarks = hop.remarks.iter().map(Remark::text);
    let mut parts = vec![hop.seen.place.to_string()];
    parts.extend(remarks);
    if hop.is_outside {
        parts.push("the trace breaks".to_owned());
    }
    parts.join(", ").replace(['"', ';', '\\'], "'")
}

fn mermaid(hops: &[Hop]) -> String {
    let mut lines = vec!["sequenceDiagram".to_owned()];
    let mut names: Vec<&str> = Vec::new();
    for hop in hops {
        if !names.contains(&&*hop.seen.destination) {
            names.push(&hop.seen.destination);
            let number = names.len();
            lines.push(format!(
                "    participant d{number} as {}",
                safe(&hop.seen.destination)
            ));
        }
    }
    let number = |hop: &Hop| {
        let place = names
            .iter()
            .position(|name| **name == *hop.seen.destination);
        place.unwrap_or_default() + 1
    };
    let mut before = None;
    for (hop, pause) in hops.iter().zip(pauses(hops)) {
        let own = number(hop);
        let arrow = if hop.is_outside { "--x" } else { "->>" };
        let later = pause.map_or_else(String::new, |pause| format!(" +{}", duration(pause)));
        let from = before.unwrap_or(own);
        lines.push(format!(
            "    d{from}{arrow}d{own}: {}{later}",
            label(hop).replace('#', "no ")
        ));
        before = Some(own);
    }
    lines.join("\n")
}

fn dot(hops: &[Hop]) -> String {
    let mut lines = vec!["digraph trace {".to_owned(), "    rankdir=LR;".to_owned()];
    for (place, hop) in hops.iter().enumerate() {
        let colour = if hop.is_outside { ", color=red" } else { "" };
        let name = safe(&hop.seen.destination);
        lines.push(format!(
            "    m{place} [shape=box, label=\"{name}\\n{}\"{colour}];",
            label(hop)
        ));
    }
    for (place, (hop, pause)) in hops.iter().zip(pauses(hops)).enumerate().skip(1) {
        let label = pause.map(duration).unwrap_or_default();
        let style = if hop.is_outside {
            ", style=dashed, color=red"
        } else {
            ""
        };
        lines.push(format!(
            "    m{} -> m{place} [label=\"{label}\"{style}];",
            place - 1
        ));
    }
    lines.push("}".to_owned());
    lines.join("\n")
}

fn json(id: TraceId, hops: &[Hop]) -> String {
    let hops = hops.iter().zip(pauses(hops)).map(|(hop, pause)| {
        let after = pause.map(|pause| pause.as_millis() as u64);
        output::with(hop_in_json(hop), [("after_ms", json!(after))])
    });
    let told = json!({ "trace_id": id.to_string(), "hops": hops.collect::<Vec<_>>() });
    output::pretty(&told)
}

fn hop_in_json(hop: &Hop) -> Value {
    let seen = &hop.seen;
    let span = seen.diagnosis.creation.as_ref();
    json!({
        "destination": &*seen.destination,
        "place": seen.place.to_string(),
        "time": seen.time.map(time),
        "trace_id": seen.trace_id(),
        "span_id": span.map(|span| span.span_id().to_string()),
        "sampled": span.map(|span| span.is_sampled()),
        "writer": seen.facts.writer,
        "breaks": hop.is_outside,
        "remarks": hop.remarks.iter().map(Remark::text).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::seen::testing::seen;

    #[test]
    fn what_has_no_time_comes_last_and_is_shown_without_one() {
        let (one, other) = (UNIX_EPOCH, UNIX_EPOCH + Duration::from_secs(1));
        let (audit, orders) = (seen("audit", 7, 1, None), seen("orders", 7, 2, Some(one)));
        let live = Seen {
            is_live: true,
            now: other,
            ..seen("billing", 7, 3, None)
        };
        let hops = in_order(vec![audit, live, orders], Vec::new());
        let text = text(TraceId::from(7), &hops);
        let lines: Vec<_> = text.lines().filter(|line| line.contains(" #1  ")).collect();
        let expected = [
            "  1970-01-01T00:00:00.000Z  orders #1  span 0000000000000002",
            "  1970-01-01T00:00:01.000Z  billing #1  span 0000000000000003",
            "  no time                   audit #1  span 0000000000000001",
        ];
        assert_eq!(lines, expected, "{text}");
        let is_known = hops.get(..2).map(|known| !is_unordered(known));
        assert_eq!((is_known, is_unordered(&hops)), (Some(true), true));
    }
}
