//! Messages and spans, drawn.

use std::collections::HashSet;

use opentelemetry::trace::TraceId;
use serde_json::{Value, json};

use super::joined::{Gap, Node, Placed};
use crate::arguments::Drawing;
use crate::output::{self, Colour, coloured, duration, plain, safe, time, time_if_any, with};
use crate::scan::colour;
use crate::spans::Span;
use crate::summary::Remark;

/// Steps that lines are moved in, at most: a trace may be of any depth.
const MOST_STEPS: usize = 30;

pub(super) fn drawn(id: TraceId, tree: &[Placed<'_>], format: Drawing) -> String {
    match format {
        Drawing::Text => text(id, tree),
        Drawing::Mermaid => mermaid(tree),
        Drawing::Dot => dot(tree),
        Drawing::Json => in_json(id, tree),
    }
}

fn text(id: TraceId, tree: &[Placed<'_>]) -> String {
    let spans = tree.iter().filter_map(|placed| match placed.node {
        Node::Span(span) => Some(&span.service),
        Node::Message(_) => None,
    });
    let services: HashSet<_> = spans.clone().collect();
    let inside = tree.iter().filter(|placed| match placed.node {
        Node::Message(hop) => !hop.is_outside,
        Node::Span(_) => false,
    });
    let mut lines = vec![format!(
        "trace {id}: {} messages, {} spans of {} services",
        inside.count(),
        spans.count(),
        services.len(),
    )];
    for placed in tree {
        let steps = "  ".repeat(placed.depth.min(MOST_STEPS));
        let margin = format!("  {:24}  {steps}", "");
        if let Some(waited) = placed.waited {
            let waited = format!("| {} in the queue", duration(waited));
            lines.push(format!("{margin}{}", coloured(&waited, Colour::Dim)));
        }
        let line = match placed.node {
            Node::Message(hop) => {
                let mut line = message(placed);
                if hop.is_outside
                    && let Some(trace) = hop.seen.trace_id()
                {
                    line += &format!("  trace {trace}");
                }
                if let Some(writer) = &hop.seen.facts.writer {
                    line += &format!("  by {}", plain(writer));
                }
                coloured(&line, Colour::Green)
            }
            Node::Span(span) => {
                let other = span.id.0 != id;
                let other = other.then(|| format!("  trace {}", span.id.0));
                let error = span.is_error.then(|| coloured(", error", Colour::Red));
                let [other, error] = [other, error].map(Option::unwrap_or_default);
                let (service, name) = (plain(&span.service), plain(&span.name));
                let kind = span.kind.name();
                let took = duration(span.duration);
                format!("{service}  {name}  {kind}, {took}{error}{other}")
            }
        };
        let at = time_if_any(placed.node.time());
        lines.push(format!("  {at:24}  {steps}{line}"));
        for remark in remarks(placed) {
            let said = format!("{}: {}", remark.text(), remark.meaning);
            lines.push(format!("{margin}  {}", coloured(&said, colour(remark))));
        }
        for gap in &placed.gaps {
            let colour = match gap {
                Gap::Breaks => Colour::Red,
                _ => Colour::Yellow,
            };
            lines.push(format!("{margin}  {}", coloured(gap.text(), colour)));
        }
    }
    if tree.is_empty() {
        lines.push("in none of these destinations and spans, as far as they were read".to_owned());
    }
    lines.join("\n")
}

fn remarks<'a>(placed: &Placed<'a>) -> &'a [Remark] {
    match placed.node {
        Node::Message(hop) => &hop.remarks,
        Node::Span(_) => &[],
    }
}

/// What a message is called.
fn message(placed: &Placed<'_>) -> String {
    match placed.node {
        Node::Message(hop) => format!("{} {}", plain(&hop.seen.destination), hop.seen.place),
        Node::Span(_) => String::new(),
    }
}

fn is_broken(placed: &Placed<'_>) -> bool {
    placed.gaps.contains(&Gap::Breaks)
}

/// What is said of it in a drawing, beside who or where it is.
fn label(placed: &Placed<'_>) -> String {
    let mut parts = Vec::new();
    match placed.node {
        Node::Message(hop) => {
            parts.push(hop.seen.place.to_string().replace('#', "no "));
            parts.extend(hop.remarks.iter().map(Remark::text));
        }
        Node::Span(span) => {
            parts.push(span.name.clone());
            parts.push(duration(span.duration));
            if span.is_error {
                parts.push("error".to_owned());
            }
        }
    }
    let waited = placed.waited;
    parts.extend(waited.map(|waited| format!("after {} in the queue", duration(waited))));
    parts.extend(placed.gaps.iter().map(|gap| gap.text().to_owned()));
    safe(&parts.join(", "))
}

/// The service, or the topic, queue or subject.
fn actor<'a>(placed: &Placed<'a>) -> &'a str {
    match placed.node {
        Node::Message(hop) => &hop.seen.destination,
        Node::Span(span) => &span.service,
    }
}

fn mermaid(tree: &[Placed<'_>]) -> String {
    let mut lines = vec!["sequenceDiagram".to_owned()];
    let mut order: Vec<_> = tree.iter().collect();
    // What has no time is after what it is below.
    order.sort_by_key(|placed| {
        let above = placed.parent.and_then(|parent| tree.get(parent));
        let above = above.and_then(|above| above.node.time());
        let time = placed.node.time().or(above);
        (time.is_none(), time)
    });
    let mut names: Vec<&str> = Vec::new();
    for placed in &order {
        let name = actor(placed);
        if !names.contains(&name) {
            names.push(name);
            lines.push(format!(
                "    participant p{} as {}",
                names.len(),
                safe(name)
            ));
        }
    }
    let number = |placed: &Placed<'_>| {
        let own = actor(placed);
        let place = names.iter().position(|name| *name == own);
        place.unwrap_or_default() + 1
    };
    for placed in order {
        let own = number(placed);
        let above = placed.parent.and_then(|parent| tree.get(parent));
        let from = above.map_or(own, number);
        let arrow = if is_broken(placed) { "--x" } else { "->>" };
        lines.push(format!("    p{from}{arrow}p{own}: {}", label(placed)));
    }
    lines.join("\n")
}

fn dot(tree: &[Placed<'_>]) -> String {
    let mut lines = vec!["digraph trace {".to_owned(), "    rankdir=LR;".to_owned()];
    for (place, placed) in tree.iter().enumerate() {
        let shape = match placed.node {
            Node::Message(_) => "box",
            Node::Span(_) => "box, style=rounded",
        };
        let is_error = matches!(placed.node, Node::Span(Span { is_error: true, .. }));
        let colour = match is_error || is_broken(placed) {
            true => ", color=red",
            false => "",
        };
        let (name, label) = (safe(actor(placed)), label(placed));
        lines.push(format!(
            "    n{place} [shape={shape}, label=\"{name}\\n{label}\"{colour}];"
        ));
    }
    for (place, placed) in tree.iter().enumerate() {
        if let Some(parent) = placed.parent {
            let waited = placed.waited.map(duration).unwrap_or_default();
            lines.push(format!("    n{parent} -> n{place} [label=\"{waited}\"];"));
        }
    }
    lines.push("}".to_owned());
    lines.join("\n")
}

fn in_json(id: TraceId, tree: &[Placed<'_>]) -> String {
    let below = |placed: &Placed<'_>| {
        let parent = placed.parent.and_then(|parent| tree.get(parent))?;
        Some(match parent.node {
            Node::Message(hop) => json!({
                "destination": &*hop.seen.destination,
                "place": hop.seen.place.to_string(),
            }),
            Node::Span(span) => json!({
                "trace_id": span.id.0.to_string(),
                "span_id": span.id.1.to_string(),
            }),
        })
    };
    let (mut hops, mut spans) = (Vec::new(), Vec::new());
    for placed in tree {
        let gaps: Vec<_> = placed.gaps.iter().map(|gap| gap.text()).collect();
        let (below, gaps) = (("below", json!(below(placed))), ("gaps", json!(gaps)));
        match placed.node {
            Node::Message(hop) => hops.push(with(super::hop_in_json(hop), [below, gaps])),
            Node::Span(span) => {
                let waited = placed.waited.map(|waited| waited.as_millis() as u64);
                let waited = ("waited_ms", json!(waited));
                spans.push(with(span_in_json(span), [below, waited, gaps]));
            }
        }
    }
    let told = json!({ "trace_id": id.to_string(), "hops": hops, "spans": spans });
    output::pretty(&told)
}

fn span_in_json(span: &Span) -> Value {
    let links = span.links.iter();
    let links = links
        .map(|(trace, span)| json!({"trace_id": trace.to_string(), "span_id": span.to_string()}));
    json!({
        "trace_id": span.id.0.to_string(),
        "span_id": span.id.1.to_string(),
        "parent_span_id": span.parent.map(|parent| parent.to_string()),
        "links": links.collect::<Vec<_>>(),
        "service": &*span.service,
        "name": span.name,
        "kind": span.kind.name(),
        "time": time(span.start),
        "duration_ms": span.duration.as_secs_f64() * 1_000.0,
        "is_error": span.is_error,
    })
}
