//! Drawing of recorded spans as text.

mod branch;
mod page;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::SystemTime;

use opentelemetry::trace::TraceId;
use opentelemetry_sdk::trace::SpanData;

use self::branch::Node;
use self::page::{Page, Style, readable};

/// A drawing of recorded spans of one or more services, with a tree for each trace.
///
/// Children are below their parents, in the order of their starts. Links are on lines of their own
/// below their span, at most eight of them; of further links the number is shown. Spans of one name in
/// a trace have numbers if one of them is linked to.
///
/// # Examples
///
/// ```
/// use otel_messaging::testing::{Recorder, TraceTree};
/// use opentelemetry::trace::{Tracer, TracerProvider};
///
/// let recorder = Recorder::new();
/// let tracer = recorder.tracer_provider().tracer("shop");
/// tracer.in_span("POST /orders", |_| tracer.in_span("send orders", |_| ()));
///
/// println!("{}", TraceTree::new().service("shop", recorder.spans()));
/// ```
///
/// prints
///
/// ```text
/// trace 0af7651916cd43dd8448eb211c80319c (2 spans, 1 service, 23.4 ms)
/// POST /orders    INTERNAL  shop   23.4 ms
/// └─ send orders  INTERNAL  shop   21.9 ms
/// ```
///
/// [`ids_and_times`](Self::ids_and_times) leaves out what differs from run to run, so that a test
/// can compare the text.
#[derive(Clone, Debug)]
#[must_use]
pub struct TraceTree {
    services: Vec<(String, Vec<SpanData>)>,
    style: Style,
}

impl TraceTree {
    /// A drawing without spans.
    pub const fn new() -> Self {
        Self {
            services: Vec::new(),
            style: Style {
                color: false,
                ids_and_times: true,
            },
        }
    }

    /// Adds the spans of the service of this name.
    pub fn service(
        mut self,
        name: impl Into<String>,
        spans: impl IntoIterator<Item = SpanData>,
    ) -> Self {
        self.services
            .push((name.into(), spans.into_iter().collect()));
        self
    }

    /// Sets whether errors are red and kinds dim, by ANSI escape codes. Unset: no.
    pub const fn color(mut self, color: bool) -> Self {
        self.style.color = color;
        self
    }

    /// Sets whether ids of traces and spans, and durations, are drawn. Unset: yes.
    ///
    /// Without them the text is the same in each run, as long as spans start in the same order, and
    /// traces have numbers. That is for snapshots, here with the crate `insta`:
    ///
    /// ```
    /// use opentelemetry::trace::{Tracer, TracerProvider};
    /// use otel_messaging::testing::{Recorder, TraceTree};
    ///
    /// let recorder = Recorder::new();
    /// let tracer = recorder.tracer_provider().tracer("shop");
    /// tracer.in_span("POST /orders", |_| tracer.in_span("send orders", |_| ()));
    ///
    /// let tree = TraceTree::new().ids_and_times(false).service("shop", recorder.spans());
    /// insta::assert_snapshot!(tree, @r"
    /// trace 1 (2 spans, 1 service)
    /// POST /orders    INTERNAL  shop
    /// └─ send orders  INTERNAL  shop
    /// ");
    /// ```
    pub const fn ids_and_times(mut self, ids_and_times: bool) -> Self {
        self.style.ids_and_times = ids_and_times;
        self
    }

    /// Traces and the spans of each, in order of start.
    fn traces(&self) -> Vec<Trace<'_>> {
        let mut traces = HashMap::new();
        for (service, spans) in &self.services {
            for span in spans {
                let id = span.span_context.trace_id();
                let place = traces.len();
                let trace = traces.entry(id).or_insert(Trace {
                    id,
                    place,
                    start: span.start_time,
                    end: span.end_time,
                    nodes: Vec::new(),
                });
                trace.start = trace.start.min(span.start_time);
                trace.end = trace.end.max(span.end_time);
                trace.nodes.push(Node { service, span });
            }
        }

        let mut traces: Vec<_> = traces.into_values().collect();
        traces.sort_by_key(|trace| (trace.start, trace.place));
        for trace in &mut traces {
            trace.nodes.sort_by_key(|node| node.span.start_time);
        }
        traces
    }
}

impl fmt::Display for TraceTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let traces = self.traces();
        if traces.is_empty() {
            return f.write_str("no spans recorded");
        }

        let drawn: Vec<_> = traces
            .iter()
            .map(|trace| (trace, branch::rows(&trace.nodes)))
            .collect();
        let page = Page::new(drawn.iter().flat_map(|(_, rows)| rows), self.style);

        let mut lines = Vec::new();
        for (trace, rows) in &drawn {
            if !lines.is_empty() {
                lines.push(String::new());
            }
            lines.push(trace.heading(&page));
            for row in rows {
                lines.push(page.span_line(row));
                lines.extend(page.link_lines(row));
            }
        }
        f.write_str(&lines.join("\n"))
    }
}

impl Default for TraceTree {
    fn default() -> Self {
        Self::new()
    }
}

struct Trace<'a> {
    id: TraceId,
    /// Where its first span was given: that of traces which started at once is first here too.
    place: usize,
    start: SystemTime,
    end: SystemTime,
    nodes: Vec<Node<'a>>,
}

impl Trace<'_> {
    fn heading(&self, page: &Page<'_>) -> String {
        let services: HashSet<_> = self.nodes.iter().map(|node| node.service).collect();
        let duration = page.has_times().then(|| readable(self.start, self.end));
        let facts = [
            Some(count(self.nodes.len(), "span")),
            Some(count(services.len(), "service")),
            duration,
        ];
        let facts: Vec<_> = facts.into_iter().flatten().collect();
        format!("{} ({})", page.trace_text(self.id), facts.join(", "))
    }
}

fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::SpanKind;

    use super::*;
    use crate::testing::sample::{NO_PARENT, OTHER_TRACE, TRACE, failed, linked, span};

    fn kind(span: SpanData, span_kind: SpanKind) -> SpanData {
        SpanData { span_kind, ..span }
    }

    fn two_services() -> TraceTree {
        let post = span("POST /orders", (TRACE, 1, NO_PARENT), 10_000, 33_400);
        let create = span("create orders", (TRACE, 2, 1), 10_200, 10_217);
        let send = span("send orders", (TRACE, 3, 1), 11_000, 21_100);
        let receive = linked(
            span("receive orders", (TRACE, 4, 3), 38_000, 38_900),
            TRACE,
            3,
        );
        let process = span(
            "process orders",
            (OTHER_TRACE, 5, NO_PARENT),
            39_000,
            2_541_000,
        );
        let process = linked(process, TRACE, 2);
        let insert = span("INSERT invoices", (OTHER_TRACE, 6, 5), 40_000, 2_540_000);
        let settle = span("settle orders", (OTHER_TRACE, 7, 5), 2_540_500, 2_541_000);

        TraceTree::new()
            .service(
                "billing",
                [
                    kind(receive, SpanKind::Client),
                    kind(failed(insert, "timeout"), SpanKind::Client),
                    kind(settle, SpanKind::Client),
                    kind(process, SpanKind::Consumer),
                ],
            )
            .service(
                "shop",
                [
                    kind(send, SpanKind::Producer),
                    kind(create, SpanKind::Producer),
                    kind(post, SpanKind::Server),
                ],
            )
    }

    #[test]
    fn the_traces_of_two_services_are_drawn_in_order_of_start() {
        let tree = two_services();

        let expected = "\
trace 4bf92f3577b34da6a3ce929d0e0e4736 (4 spans, 2 services, 28.9 ms)
POST /orders          SERVER    shop      23.4 ms
├─ create orders      PRODUCER  shop      17.0 µs
└─ send orders        PRODUCER  shop      10.1 ms
   └─ receive orders  CLIENT    billing  900.0 µs
         ⇠ link to send orders

trace 3fa94be1ce929d0e0e473600f067aa0b (3 spans, 1 service, 2.5 s)
process orders        CONSUMER  billing     2.5 s
│  ⇠ link to create orders in trace 4bf92f35…
├─ INSERT invoices    CLIENT    billing     2.5 s  error: timeout
└─ settle orders      CLIENT    billing  500.0 µs";
        assert_eq!(
            tree.to_string(),
            expected,
            "drawn:\n{tree}\nexpected:\n{expected}"
        );
    }

    #[test]
    fn what_differs_from_run_to_run_is_left_out_of_a_snapshot() {
        let tree = two_services().ids_and_times(false);

        insta::assert_snapshot!(tree, @r"
        trace 1 (4 spans, 2 services)
        POST /orders          SERVER    shop
        ├─ create orders      PRODUCER  shop
        └─ send orders        PRODUCER  shop
           └─ receive orders  CLIENT    billing
                 ⇠ link to send orders

        trace 2 (3 spans, 1 service)
        process orders        CONSUMER  billing
        │  ⇠ link to create orders in trace 1
        ├─ INSERT invoices    CLIENT    billing  error: timeout
        └─ settle orders      CLIENT    billing
        ");
    }

    #[test]
    fn traces_that_started_at_once_are_drawn_as_they_were_given() {
        let spans =
            || (1..=20).map(|id| span("send", (100 - u128::from(id), id, NO_PARENT), 0, id));

        let tree = TraceTree::new().service("shop", spans()).to_string();

        let headings = tree.lines().filter(|line| line.starts_with("trace "));
        let expected = spans().map(|span| format!("trace {} ", span.span_context.trace_id()));
        assert!(
            headings
                .zip(expected)
                .all(|(line, expected)| line.starts_with(&expected))
        );
    }

    #[test]
    fn colours_are_off_unless_set() {
        let plain = TraceTree::new().service("shop", [span("send", (TRACE, 1, NO_PARENT), 0, 1)]);

        let coloured = plain.clone().color(true);

        assert!(!plain.to_string().contains('\x1b'));
        assert!(coloured.to_string().contains('\x1b'));
    }

    #[test]
    fn a_tree_without_spans_says_so() {
        let tree = TraceTree::new().service("shop", []);

        assert_eq!(tree.to_string(), "no spans recorded");
    }
}
