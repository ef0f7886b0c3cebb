//! `graph`: who sends to whom, as far as headers tell, and where context is lost.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::trace::TraceId;
use serde_json::json;

use crate::WELL;
use crate::arguments::{Drawing, Graph};
use crate::brokers::{End, Reader};
use crate::failure::Failure;
use crate::output::{self, Colour, coloured, plain, safe};
use crate::seen::Seen;

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
type Hop = (SystemTime, Arc<str>, Option<TraceId>);

#[derive(Debug, Default)]
struct Drawn {
    nodes: BTreeMap<Arc<str>, Node>,
    edges: BTreeMap<(Arc<str>, Arc<str>), Edge>,
    traces: HashMap<TraceId, Vec<Hop>>,
    ids: HashMap<String, Vec<Hop>>,
    is_full: bool,
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
        let hop = (
            seen.time.unwrap_or(seen.now),
            Arc::clone(destination),
            trace,
        );
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
            for (from, to) in steps(hops) {
                self.edges.entry((from.1, to.1)).or_default().connected += 1;
            }
        }
        for hops in self.ids.values_mut() {
            for (from, to) in steps(hops).into_iter().filter(|(from, to)| from.2 != to.2) {
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

/// From each message to the next one that is elsewhere.
fn steps(hops: &mut [Hop]) -> Vec<(Hop, Hop)> {
    hops.sort_by_key(|(time, ..)| *time);
    let pairs = hops.iter().zip(hops.iter().skip(1));
    let pairs = pairs.filter(|(from, to)| from.1 != to.1);
    pairs.map(|(from, to)| (from.clone(), to.clone())).collect()
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
