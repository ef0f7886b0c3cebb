//! `graph`: who sends to whom, as far as headers tell, and where context is lost.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use opentelemetry::trace::TraceId;
use serde_json::json;

use crate::WELL;
use crate::arguments::{Drawing, Graph};
use crate::brokers::{End, Reader};
use crate::failure::Failure;
use crate::output::{self, Colour, coloured, plain, safe};
use crate::seen::{Seen, When};

/// Traces, and ids of messages, that are followed.
const MOST: usize = 100_000;

/// Messages of a trace that are followed.
const MOST_HOPS: usize = 16;

/// Names of nodes; those of subjects can be without number.
const MOST_NODES: usize = 1_000;

/// How one leads to the other.
#[derive(Clone, Copy, Debug, Default)]
struct Edge {
    /// Messages that go on in the trace.
    connected: u64,
    /// Messages that go on in another trace, or in none, by their ids.
    broken: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Node {
    messages: u64,
    without_context: u64,
}

/// A message that others come after.
type Hop = (When, Arc<str>, Option<TraceId>);

#[derive(Debug, Default)]
struct Drawn {
    nodes: BTreeMap<Arc<str>, Node>,
    edges: BTreeMap<(Arc<str>, Arc<str>), Edge>,
    traces: HashMap<TraceId, Vec<Hop>>,
    ids: HashMap<String, Vec<Hop>>,
    is_full: bool,
    /// Messages have no time, or those that belong together the same.
    is_unordered: bool,
}

pub(crate) async fn run(graph: &Graph) -> Result<u8, Failure> {
    let mut reader = Reader::open(&graph.reading, End::OfWhatIsThere).await?;
    let mut drawn = Drawn::default();
    let mut failure = None;
    while let Some(next) = reader.next().await {
        match next {
            Ok(seen) => drawn.add(&seen),
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    let was_interrupted = reader.close(failure).await?;
    if was_interrupted {
        output::complain("interrupted: this is what was seen until then");
    }
    drawn.connect();
    if drawn.is_unordered {
        output::complain(
            "messages without a time, or with the same one, have no line between them: which came first is not known",
        );
    }
    if drawn.is_full {
        output::complain("there was too much to follow all of it");
    }
    output::print(&match graph.format {
        Drawing::Text => drawn.text(),
        Drawing::Mermaid => drawn.mermaid(),
        Drawing::Dot => drawn.dot(),
        Drawing::Json => drawn.json(),
    })?;
    Ok(WELL)
}

impl Drawn {
    fn add(&mut self, seen: &Seen) {
        let destination = &seen.destination;
        if self.nodes.len() >= MOST_NODES && !self.nodes.contains_key(destination) {
            self.is_full = true;
            return;
        }
        let trace = seen.diagnosis.creation.as_ref().map(|span| span.trace_id());
        let node = self.nodes.entry(Arc::clone(destination)).or_default();
        node.messages += 1;
        node.without_context += u64::from(trace.is_none());
        if let Some(writer) = &seen.facts.writer {
            let key = (writer.as_str().into(), Arc::clone(destination));
            if self.edges.len() < MOST_NODES || self.edges.contains_key(&key) {
                let edge = self.edges.entry(key).or_default();
                edge.connected += u64::from(trace.is_some());
                edge.broken += u64::from(trace.is_none());
            } else {
                self.is_full = true;
            }
        }
        let Some(when) = seen.when() else {
            self.is_unordered |= trace.is_some() || seen.facts.identity.is_some();
            return;
        };
        let hop = (when, Arc::clone(destination), trace);
        let mut is_kept = true;
        if let Some(trace) = trace {
            is_kept &= keep(&mut self.traces, trace, &hop);
        }
        if let Some(id) = &seen.facts.identity {
            is_kept &= keep(&mut self.ids, id.clone(), &hop);
        }
        self.is_full |= !is_kept;
    }

    /// Draws the lines between destinations, from the earlier message to the later one.
    fn connect(&mut self) {
        for hops in self.traces.values_mut() {
            for (from, to) in steps(hops, &mut self.is_unordered) {
                self.edges.entry((from.1, to.1)).or_default().connected += 1;
            }
        }
        for hops in self.ids.values_mut() {
            let steps = steps(hops, &mut self.is_unordered);
            for (from, to) in steps.into_iter().filter(|(from, to)| from.2 != to.2) {
                self.edges.entry((from.1, to.1)).or_default().broken += 1;
            }
        }
    }

    fn text(&self) -> String {
        let width = self
            .edges
            .keys()
            .map(|(from, to)| from.len() + to.len() + 4);
        let width = width
            .chain(self.nodes.keys().map(|name| name.len()))
            .max()
            .unwrap_or_default();
        let mut lines: Vec<_> = self
            .edges
            .iter()
            .map(|((from, to), edge)| {
                let names = format!("{} -> {}", plain(from), plain(to));
                format!("{names:width$}  {}", said(*edge))
            })
            .collect();
        for (name, node) in &self.nodes {
            let all = node.messages;
            lines.push(match node.without_context {
                0 => format!("{:width$}  {all} messages, all with context", plain(name)),
                lost => {
                    let lost = format!("{lost} of {all} messages without context");
                    format!("{:width$}  {}", plain(name), coloured(&lost, Colour::Red))
                }
            });
        }
        match lines.is_empty() {
            true => "no messages".to_owned(),
            false => lines.join("\n"),
        }
    }

    /// The nodes by their numbers, writers among them.
    fn numbered(&self) -> BTreeMap<&str, usize> {
        let ends = self.edges.keys().flat_map(|(from, to)| [&**from, &**to]);
        let mut names: Vec<_> = ends.chain(self.nodes.keys().map(|name| &**name)).collect();
        names.sort_unstable();
        names.dedup();
        names.into_iter().zip(0..).collect()
    }

    fn label(&self, name: &str) -> (String, bool) {
        let lost = self.nodes.get(name).map_or(0, |node| node.without_context);
        match lost {
            0 => (safe(name), false),
            lost => (format!("{} ({lost} without context)", safe(name)), true),
        }
    }

    fn mermaid(&self) -> String {
        let numbers = self.numbered();
        let mut lines = vec!["flowchart LR".to_owned()];
        for (name, number) in &numbers {
            lines.push(format!("    n{number}[\"{}\"]", self.label(name).0));
        }
        for ((from, to), edge) in &self.edges {
            if let (Some(from), Some(to)) = (numbers.get(&**from), numbers.get(&**to)) {
                let arrow = if edge.broken > 0 { "-.-x" } else { "-->" };
                lines.push(format!("    n{from} {arrow}|\"{}\"| n{to}", short(*edge)));
            }
        }
        lines.join("\n")
    }

    fn dot(&self) -> String {
        let numbers = self.numbered();
        let mut lines = vec![
            "digraph messages {".to_owned(),
            "    rankdir=LR;".to_owned(),
        ];
        for (name, number) in &numbers {
            let (label, is_lossy) = self.label(name);
            let colour = if is_lossy { ", color=red" } else { "" };
            lines.push(format!(
                "    n{number} [shape=box, label=\"{label}\"{colour}];"
            ));
        }
        for ((from, to), edge) in &self.edges {
            if let (Some(from), Some(to)) = (numbers.get(&**from), numbers.get(&**to)) {
                let style = if edge.broken > 0 {
                    ", style=dashed, color=red"
                } else {
                    ""
                };
                lines.push(format!(
                    "    n{from} -> n{to} [label=\"{}\"{style}];",
                    short(*edge)
                ));
            }
        }
        lines.push("}".to_owned());
        lines.join("\n")
    }

    fn json(&self) -> String {
        let nodes = self.nodes.iter().map(|(name, node)| {
            json!({
                "destination": &**name,
                "messages": node.messages,
                "without_context": node.without_context,
            })
        });
        let edges = self.edges.iter().map(|((from, to), edge)| {
            json!({"from": &**from, "to": &**to, "connected": edge.connected, "broken": edge.broken})
        });
        let told = json!({
            "destinations": nodes.collect::<Vec<_>>(),
            "edges": edges.collect::<Vec<_>>(),
        });
        output::pretty(&told)
    }
}

/// Whether there was room for it.
fn keep<K: Eq + std::hash::Hash>(all: &mut HashMap<K, Vec<Hop>>, key: K, hop: &Hop) -> bool {
    if all.len() >= MOST && !all.contains_key(&key) {
        return false;
    }
    let hops = all.entry(key).or_default();
    let has_room = hops.len() < MOST_HOPS;
    if has_room {
        hops.push(hop.clone());
    }
    has_room
}

/// From each message to the next one that is elsewhere; to all of them where several have the same time.
fn steps(hops: &mut [Hop], is_unordered: &mut bool) -> Vec<(Hop, Hop)> {
    hops.sort_by_key(|(when, ..)| *when);
    let mut steps = Vec::new();
    let mut before: Vec<&Hop> = Vec::new();
    for group in hops.chunk_by(|one, next| !one.0.is_before(next.0)) {
        let mut group: Vec<&Hop> = group.iter().collect();
        group.sort_by(|one, other| one.1.cmp(&other.1));
        group.dedup_by(|one, other| (&one.1, one.2) == (&other.1, other.2));
        *is_unordered |= group
            .iter()
            .zip(group.iter().skip(1))
            .any(|(one, other)| one.1 != other.1);
        for from in before {
            let elsewhere = group.iter().filter(|to| to.1 != from.1);
            steps.extend(elsewhere.map(|to| (Hop::clone(from), Hop::clone(to))));
        }
        before = group;
    }
    steps
}

fn said(edge: Edge) -> String {
    let connected = format!("{} in one trace", edge.connected);
    match edge.broken {
        0 => connected,
        broken => {
            let broken = coloured(&format!("{broken} where it breaks"), Colour::Red);
            format!("{connected}, {broken}")
        }
    }
}

fn short(edge: Edge) -> String {
    match edge.broken {
        0 => edge.connected.to_string(),
        broken => format!("{}, {broken} broken", edge.connected),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::seen::testing::seen;

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(second)
    }

    fn lines(drawn: &Drawn) -> Vec<(&str, &str, u64)> {
        let edges = drawn.edges.iter();
        edges
            .map(|((from, to), edge)| (&**from, &**to, edge.connected))
            .collect()
    }

    #[test]
    fn a_line_is_drawn_where_it_is_known_which_message_came_first() {
        let [one, two] = [1, 2].map(|second| Some(at(second)));
        let all = [("orders", "paid", 1)];
        for (orders, paid, is_live, expected, is_unordered) in [
            (one, two, false, all.as_slice(), false),
            (one, one, false, &[], true),
            (None, None, false, &[], true),
            (one, None, false, &[], true),
            (None, None, true, &all, false),
            (one, one, true, &all, false),
        ] {
            let mut drawn = Drawn::default();
            for (name, time, now) in [("orders", orders, at(8)), ("paid", paid, at(9))] {
                let mut seen = seen(name, 7, 7, time);
                (seen.is_live, seen.now) = (is_live, now);
                drawn.add(&seen);
            }
            drawn.connect();
            assert_eq!(lines(&drawn), expected, "{orders:?} {paid:?}");
            assert_eq!(drawn.is_unordered, is_unordered, "{orders:?} {paid:?}");
        }
    }

    #[test]
    fn of_several_at_the_same_time_each_goes_on_to_what_comes_next() {
        let mut drawn = Drawn::default();
        for (name, second) in [("orders", 1), ("audit", 1), ("orders", 1), ("paid", 2)] {
            drawn.add(&seen(name, 7, 7, Some(at(second))));
        }
        drawn.connect();
        assert_eq!(lines(&drawn), [("audit", "paid", 1), ("orders", "paid", 1)]);
    }

    #[test]
    fn who_is_drawn_already_is_counted_on_when_there_is_no_room_for_others() {
        let mut drawn = Drawn::default();
        let mut add = |writer: usize| {
            let mut seen = seen("orders", 7, 7, Some(at(1)));
            // No trace is to be followed.
            seen.diagnosis.creation = None;
            seen.facts.writer = Some(writer.to_string());
            drawn.add(&seen);
            drawn.is_full
        };
        assert!((0..MOST_NODES).chain([0]).all(|writer| !add(writer)));
        assert!(add(MOST_NODES));
        let edge = drawn.edges.get(&("0".into(), "orders".into()));
        assert_eq!(edge.map(|edge| edge.broken), Some(2));
        assert_eq!(drawn.edges.len(), MOST_NODES);
    }
}
