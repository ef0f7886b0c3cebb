//! Lines of a drawn tree, in columns.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use opentelemetry::trace::{Link, SpanContext, SpanId, Status, TraceId};
use opentelemetry_sdk::trace::SpanData;

use super::branch::Row;
use crate::testing::ERROR_TYPE;

/// What is drawn beside names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) color: bool,
    pub(super) ids_and_times: bool,
}

/// What a line has to know of all the other lines.
pub(super) struct Page<'a> {
    names: HashMap<(TraceId, SpanId), Cow<'a, str>>,
    /// Numbers of the traces, in their order.
    traces: HashMap<TraceId, usize>,
    name_width: usize,
    service_width: usize,
    style: Style,
}

impl<'a> Page<'a> {
    pub(super) fn new(rows: impl Iterator<Item = &'a Row<'a>> + Clone, style: Style) -> Self {
        let mut page = Self {
            names: names(rows.clone().map(|row| row.node.span)),
            traces: HashMap::new(),
            name_width: 0,
            service_width: 0,
            style,
        };
        for Row { node, branch, .. } in rows {
            let number = page.traces.len() + 1;
            let trace = node.span.span_context.trace_id();
            page.traces.entry(trace).or_insert(number);

            let name = page.name(node.span);
            let name_width = branch.chars().count() + name.chars().count();
            page.name_width = page.name_width.max(name_width.min(MAX_NAME_WIDTH));
            let service_width = node.service.chars().count();
            page.service_width = page.service_width.max(service_width.min(MAX_SERVICE_WIDTH));
        }
        page
    }

    pub(super) const fn has_times(&self) -> bool {
        self.style.ids_and_times
    }

    /// The id of a trace, or its number.
    pub(super) fn trace_text(&self, trace: TraceId) -> String {
        if self.style.ids_and_times {
            return format!("trace {trace}");
        }
        let number = self.traces.get(&trace);
        number.map_or_else(
            || "another trace".to_owned(),
            |number| format!("trace {number}"),
        )
    }

    pub(super) fn span_line(&self, row: &Row<'_>) -> String {
        let span = row.node.span;
        let name = format!("{}{}", row.branch, self.name(span));
        let kind = format!("{:?}", span.span_kind).to_uppercase();
        let mut line = format!(
            "{name:<name_width$}  {kind}  {service:<service_width$}",
            name_width = self.name_width,
            kind = self.paint(DIM, &format!("{kind:<8}")),
            service = row.node.service,
            service_width = self.service_width,
        );
        if self.style.ids_and_times {
            line += &format!("  {:>8}", readable(span.start_time, span.end_time));
        }
        if let Some(error) = error(span) {
            line += "  ";
            line += &self.paint(RED, &error);
        }
        if let Some(note) = row.note {
            line += "  ";
            line += note;
        }
        line.truncate(line.trim_end().len());
        line
    }

    fn name<'s>(&'s self, span: &'s SpanData) -> &'s str {
        self.names
            .get(&id(&span.span_context))
            .unwrap_or(&span.name)
    }

    pub(super) fn link_lines(&self, row: &Row<'_>) -> Vec<String> {
        let links = &row.node.span.links;
        let mut texts: Vec<_> = links
            .iter()
            .take(MAX_LINKS)
            .map(|link| self.link_text(row.node.span, link))
            .collect();
        if links.len() > MAX_LINKS {
            texts.push(format!("and {} more links", links.len() - MAX_LINKS));
        }
        let lines = texts.iter().map(|text| format!("{}⇠ {text}", row.rail));
        lines.collect()
    }

    fn link_text(&self, span: &SpanData, link: &Link) -> String {
        let (trace, span_id) = id(&link.span_context);
        let mut text = match self.names.get(&(trace, span_id)) {
            Some(name) => format!("link to {name}"),
            None if self.style.ids_and_times => {
                format!("link to unrecorded span {}", short(span_id))
            }
            None => "link to unrecorded span".to_owned(),
        };
        if trace != span.span_context.trace_id() {
            let trace = match self.style.ids_and_times {
                true => format!("trace {}", short(trace)),
                false => self.trace_text(trace),
            };
            text += &format!(" in {trace}");
        }
        text
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.style.color {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

fn id(context: &SpanContext) -> (TraceId, SpanId) {
    (context.trace_id(), context.span_id())
}

/// What spans are called. Where a link would not tell which of several in a trace it leads to, they have numbers.
fn names<'a>(
    spans: impl Iterator<Item = &'a SpanData> + Clone,
) -> HashMap<(TraceId, SpanId), Cow<'a, str>> {
    let links = spans.clone().flat_map(|span| span.links.iter());
    let linked: HashSet<_> = links.map(|link| id(&link.span_context)).collect();
    // The spans of a name in a trace, each once, and whether one of them is linked to.
    let mut named = HashMap::<_, (Vec<_>, bool)>::new();
    let mut seen = HashSet::new();
    for span in spans {
        let id = id(&span.span_context);
        if seen.insert(id) {
            let (ids, is_linked) = named.entry((id.0, span.name.as_ref())).or_default();
            ids.push(id);
            *is_linked |= linked.contains(&id);
        }
    }
    let names = named.into_iter().flat_map(|((_, name), (ids, is_linked))| {
        let has_numbers = is_linked && ids.len() > 1;
        ids.into_iter().zip(1..).map(move |(id, number)| {
            let numbered = || format!("{name} #{number}").into();
            (id, if has_numbers { numbered() } else { name.into() })
        })
    });
    names.collect()
}

fn error(span: &SpanData) -> Option<String> {
    let Status::Error { description } = &span.status else {
        return None;
    };
    let attributes = &mut span.attributes.iter();
    let error_type = attributes.find(|attribute| attribute.key.as_str() == ERROR_TYPE);
    let error = match error_type {
        Some(attribute) => attribute.value.as_str(),
        None => description.as_ref().into(),
    };
    // A description may have several lines, or none.
    let line = error.lines().next();
    Some(line.map_or_else(|| "error".to_owned(), |line| format!("error: {line}")))
}

pub(super) fn readable(start: SystemTime, end: SystemTime) -> String {
    // The end is before the start when the clock was set back.
    let elapsed = end.duration_since(start).unwrap_or_default();
    let seconds = elapsed.as_secs_f64();
    match elapsed.as_nanos() {
        0..1_000_000 => format!("{:.1} µs", seconds * 1e6),
        1_000_000..1_000_000_000 => format!("{:.1} ms", seconds * 1e3),
        _ => format!("{seconds:.1} s"),
    }
}

/// Start of an id: enough to find it on the page.
fn short(id: impl ToString) -> String {
    format!("{:.8}…", id.to_string())
}

const MAX_NAME_WIDTH: usize = 44;
const MAX_SERVICE_WIDTH: usize = 16;
const MAX_LINKS: usize = 8;
const DIM: &str = "2";
const RED: &str = "31";

#[cfg(test)]
mod tests {
    use super::super::branch::{self, Node};
    use super::*;
    use crate::testing::sample::{NO_PARENT, OTHER_TRACE, TRACE, failed, linked, span};

    fn drawn(spans: &[SpanData], color: bool) -> Vec<String> {
        styled(
            spans,
            Style {
                color,
                ids_and_times: true,
            },
        )
    }

    fn styled(spans: &[SpanData], style: Style) -> Vec<String> {
        let service = "shop";
        let trace: Vec<_> = spans.iter().map(|span| Node { service, span }).collect();
        let rows = branch::rows(&trace);
        let page = Page::new(rows.iter(), style);
        let lines = rows.iter().flat_map(|row| {
            let mut lines = vec![page.span_line(row)];
            lines.extend(page.link_lines(row));
            lines
        });
        lines.collect()
    }

    #[test]
    fn colours_come_only_when_asked_for() {
        let send = failed(span("send", (TRACE, 1, NO_PARENT), 0, 1), "timeout");

        assert_eq!(
            drawn(std::slice::from_ref(&send), false),
            ["send  INTERNAL  shop    1.0 µs  error: timeout"]
        );
        assert_eq!(
            drawn(&[send], true),
            ["send  \x1b[2mINTERNAL\x1b[0m  shop    1.0 µs  \x1b[31merror: timeout\x1b[0m"]
        );
    }

    #[test]
    fn an_error_without_a_type_shows_the_first_line_of_its_description() {
        let mut described = span("a", (TRACE, 1, NO_PARENT), 0, 0);
        described.status = Status::error("refused\nby the broker");
        let mut bare = span("b", (TRACE, 2, NO_PARENT), 0, 0);
        bare.status = Status::error("");

        assert_eq!(
            drawn(&[described, bare], false),
            [
                "a  INTERNAL  shop    0.0 µs  error: refused",
                "b  INTERNAL  shop    0.0 µs  error",
            ]
        );
    }

    #[test]
    fn a_link_shows_the_name_of_its_span_or_else_the_start_of_its_id() {
        let send = span("send", (TRACE, 1, NO_PARENT), 0, 1);
        let mut process = span("process", (TRACE, 2, NO_PARENT), 2, 3);
        process = linked(process, TRACE, 1);
        process = linked(process, TRACE, 0x0abc_0000_0000_0000);
        process = linked(process, OTHER_TRACE, 0x1234_5678_9abc_def0);

        assert_eq!(
            drawn(&[send, process], false),
            [
                "send     INTERNAL  shop    1.0 µs",
                "process  INTERNAL  shop    1.0 µs",
                "   ⇠ link to send",
                "   ⇠ link to unrecorded span 0abc0000…",
                "   ⇠ link to unrecorded span 12345678… in trace 3fa94be1…",
            ]
        );
    }

    #[test]
    fn without_ids_and_times_a_trace_has_a_number_and_nothing_stands_behind_the_service() {
        let send = span("send", (TRACE, 1, NO_PARENT), 0, 1);
        let mut process = failed(
            span("process", (OTHER_TRACE, 2, NO_PARENT), 2, 3),
            "timeout",
        );
        process = linked(process, TRACE, 1);
        process = linked(process, TRACE, 7);
        process = linked(process, OTHER_TRACE, 7);
        process = linked(process, 7, 7);
        let style = Style {
            color: false,
            ids_and_times: false,
        };

        assert_eq!(
            styled(&[send, process], style),
            [
                "send     INTERNAL  shop",
                "process  INTERNAL  shop  error: timeout",
                "   ⇠ link to send in trace 1",
                "   ⇠ link to unrecorded span in trace 1",
                "   ⇠ link to unrecorded span",
                "   ⇠ link to unrecorded span in another trace",
            ]
        );
    }

    #[test]
    fn spans_of_one_name_in_a_trace_have_numbers_if_one_is_linked_to() {
        let spans = [
            span("send", (TRACE, 1, NO_PARENT), 0, 1),
            span("send", (TRACE, 2, NO_PARENT), 0, 1),
            span("commit", (TRACE, 3, NO_PARENT), 0, 1),
            span("commit", (TRACE, 4, NO_PARENT), 0, 1),
            span("send", (OTHER_TRACE, 5, NO_PARENT), 0, 1),
            linked(
                linked(span("process", (TRACE, 6, NO_PARENT), 0, 1), TRACE, 2),
                OTHER_TRACE,
                5,
            ),
        ];

        assert_eq!(
            drawn(&spans, false),
            [
                "send #1  INTERNAL  shop    1.0 µs",
                "send #2  INTERNAL  shop    1.0 µs",
                "commit   INTERNAL  shop    1.0 µs",
                "commit   INTERNAL  shop    1.0 µs",
                "send     INTERNAL  shop    1.0 µs",
                "process  INTERNAL  shop    1.0 µs",
                "   ⇠ link to send #2",
                "   ⇠ link to send in trace 3fa94be1…",
            ]
        );
    }

    #[test]
    fn links_past_the_eighth_are_only_counted() {
        let mut process = span("process", (TRACE, 1, NO_PARENT), 2, 3);
        for _ in 0..10 {
            process = linked(process, TRACE, 1);
        }

        let lines = drawn(&[process], false);

        let links = lines.get(1..).unwrap_or_default();
        let mut expected = vec!["   ⇠ link to process"; 8];
        expected.push("   ⇠ and 2 more links");
        assert_eq!(links, expected);
    }

    #[test]
    fn a_very_long_name_leaves_the_columns_of_the_others_alone() {
        let spans = [
            span(
                "process a.destination.with.far.too.long.a.name",
                (TRACE, 1, NO_PARENT),
                0,
                1,
            ),
            span("settle", (TRACE, 2, NO_PARENT), 0, 1),
        ];

        assert_eq!(
            drawn(&spans, false),
            [
                "process a.destination.with.far.too.long.a.name  INTERNAL  shop    1.0 µs",
                "settle                                        INTERNAL  shop    1.0 µs",
            ]
        );
    }

    #[test]
    fn durations_have_a_readable_unit() {
        let table = [
            (0, 17, "17.0 µs"),
            (0, 23_400, "23.4 ms"),
            (1_000, 2_501_000, "2.5 s"),
            // The clock was set back.
            (5, 4, "0.0 µs"),
        ];

        for (from, to, expected) in table {
            let span = span("send", (TRACE, 1, NO_PARENT), from, to);
            assert_eq!(readable(span.start_time, span.end_time), expected);
        }
    }
}
