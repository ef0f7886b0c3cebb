//! Order of spans in a drawn trace, and the branches left of their names.

use std::collections::{HashMap, HashSet};

use opentelemetry::trace::SpanId;
use opentelemetry_sdk::trace::SpanData;

/// Span and the service that recorded it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'a> {
    pub(super) service: &'a str,
    pub(super) span: &'a SpanData,
}

impl Node<'_> {
    fn id(&self) -> SpanId {
        self.span.span_context.span_id()
    }

    fn parent(&self) -> SpanId {
        self.span.parent_span_id
    }
}

/// Node at its place in the tree.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) node: Node<'a>,
    /// Why a span that has a parent is drawn as a root.
    pub(super) note: Option<&'static str>,
    /// What stands left of the name.
    pub(super) branch: String,
    /// What stands left of further lines about the span.
    pub(super) rail: String,
}

/// Places the spans of one trace: each once, in the given order, children below their parents.
pub(super) fn rows<'a>(trace: &[Node<'a>]) -> Vec<Row<'a>> {
    let recorded: HashSet<SpanId> = trace.iter().map(Node::id).collect();
    let is_root = |node: &&Node<'_>| !recorded.contains(&node.parent());
    let mut children: HashMap<SpanId, Vec<Node<'a>>> = HashMap::new();
    for node in trace {
        children.entry(node.parent()).or_default().push(*node);
    }

    let mut rows = Vec::with_capacity(trace.len());
    // Taking the children out of the map ends every walk, even around a circle of parents. No root
    // leads into such a circle, so its spans are still there after all roots and start afresh.
    for start in trace.iter().filter(is_root).chain(trace) {
        let note = if start.parent() == SpanId::INVALID {
            None
        } else if is_root(&start) {
            Some("parent not recorded")
        } else {
            Some("circular parents")
        };
        for root in children.remove(&start.parent()).unwrap_or_default() {
            grow(root, note, &mut children, &mut rows);
        }
    }
    rows
}

fn grow<'a>(
    root: Node<'a>,
    note: Option<&'static str>,
    children: &mut HashMap<SpanId, Vec<Node<'a>>>,
    rows: &mut Vec<Row<'a>>,
) {
    // A stack of our own: recursion would end the process on a very deep trace.
    let mut stack = vec![Row {
        node: root,
        note,
        branch: String::new(),
        rail: String::new(),
    }];
    while let Some(mut row) = stack.pop() {
        let below = children.remove(&row.node.id()).unwrap_or_default();
        let indent = row.rail.clone();
        row.rail += if below.is_empty() { GAP } else { RAIL };
        rows.push(row);

        for (from_last, node) in below.into_iter().rev().enumerate() {
            let (corner, rail) = if from_last == 0 {
                (LAST, GAP)
            } else {
                (CHILD, RAIL)
            };
            stack.push(Row {
                node,
                note: None,
                branch: format!("{indent}{corner}"),
                rail: format!("{indent}{rail}"),
            });
        }
    }
}

const CHILD: &str = "├─ ";
const LAST: &str = "└─ ";
const RAIL: &str = "│  ";
const GAP: &str = "   ";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::sample::{NO_PARENT, TRACE, span};

    fn drawn(spans: &[SpanData]) -> Vec<String> {
        let service = "shop";
        let trace: Vec<_> = spans.iter().map(|span| Node { service, span }).collect();
        let lines = rows(&trace).into_iter().map(|row| {
            let note = row
                .note
                .map(|note| format!(" ({note})"))
                .unwrap_or_default();
            format!("{}{}{note}", row.branch, row.node.span.name)
        });
        lines.collect()
    }

    #[test]
    fn children_stand_below_their_parents() {
        let spans = [
            span("POST", (TRACE, 1, NO_PARENT), 0, 9),
            span("send", (TRACE, 2, 1), 1, 2),
            span("process", (TRACE, 3, 2), 2, 5),
            span("settle", (TRACE, 4, 3), 3, 4),
            span("render", (TRACE, 5, 1), 8, 9),
            span("GET", (TRACE, 6, NO_PARENT), 9, 9),
        ];

        assert_eq!(
            drawn(&spans),
            [
                "POST",
                "├─ send",
                "│  └─ process",
                "│     └─ settle",
                "└─ render",
                "GET",
            ]
        );
    }

    #[test]
    fn a_span_whose_parent_was_not_recorded_is_a_root_with_a_note() {
        let spans = [
            span("process", (TRACE, 2, 1), 0, 3),
            span("settle", (TRACE, 3, 2), 1, 2),
        ];

        assert_eq!(
            drawn(&spans),
            ["process (parent not recorded)", "└─ settle"]
        );
    }

    #[test]
    fn circles_of_parents_are_drawn_once() {
        let spans = [
            span("own parent", (TRACE, 1, 1), 0, 1),
            span("hen", (TRACE, 2, 3), 1, 2),
            span("egg", (TRACE, 3, 2), 2, 3),
            span("chick", (TRACE, 4, 3), 3, 4),
        ];

        assert_eq!(
            drawn(&spans),
            [
                "own parent (circular parents)",
                "hen (circular parents)",
                "└─ egg",
                "chick (circular parents)",
            ]
        );
    }

    #[test]
    fn a_span_given_twice_has_its_children_once() {
        let parent = span("process", (TRACE, 1, NO_PARENT), 0, 3);
        let child = span("settle", (TRACE, 2, 1), 1, 2);

        assert_eq!(
            drawn(&[parent.clone(), parent, child]),
            ["process", "└─ settle", "process"]
        );
    }

    #[test]
    fn a_wide_and_a_deep_trace_are_drawn_whole() {
        let wide: Vec<_> = (1..50_000)
            .map(|id| span("wide", (TRACE, id, 1), id, id))
            .collect();
        let deep: Vec<_> = (1..5_000)
            .map(|id| span("deep", (TRACE, id, id - 1), id, id))
            .collect();

        assert_eq!(drawn(&wide).len(), wide.len());
        assert_eq!(drawn(&deep).len(), deep.len());
    }
}
