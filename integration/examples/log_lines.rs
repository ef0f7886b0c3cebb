//! What the example for users of `tracing` writes.

use serde_json::Value;

use crate::programs::{program, run, text};

/// A log line: which ids it has, and what it says.
struct Line {
    ids: [String; 2],
    said: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_lines_have_the_ids_of_the_spans_that_are_drawn_as_text_and_as_json() {
    for as_json in [false, true] {
        let mut command = program("kafka_tracing");
        command.env_remove("KAFKA_BROKERS");
        if as_json {
            command.arg("--json");
        }
        let output = run(&mut command).await;
        assert!(output.status.success(), "{output:?}");
        let told = text(output.stdout);
        let (log, drawn) = told.split_once("\ntrace ").expect("a drawing");
        let lines = log.lines().filter(|line| line.contains("trace_id"));
        let lines: Vec<_> = match as_json {
            true => lines.map(of_json).collect(),
            false => lines.map(of_text).collect(),
        };

        let expected = [
            "INFO order taken in take_order",
            "INFO order taken in take_order",
            "INFO order received in process",
            "INFO order packed in pack",
            "INFO order received in process",
            "INFO order packed in pack",
            "ERROR no more boxes in process",
        ];
        let said: Vec<_> = lines.iter().map(|line| &*line.said).collect();
        assert_eq!(said, expected, "{log}");
        let [first, second, received, packed, last, packed_last, marked] = &lines[..] else {
            unreachable!("as many as were compared");
        };
        for line in [received, packed] {
            assert_eq!(line.ids[0], first.ids[0], "the first order's trace");
        }
        for line in [last, packed_last, marked] {
            assert_eq!(line.ids[0], second.ids[0], "the second order's trace");
        }
        assert_eq!(last.ids, marked.ids, "both are in the process span");
        let spans = [first, second, received, packed, last, packed_last];
        let mut spans: Vec<_> = spans.iter().map(|line| &line.ids[1]).collect();
        spans.sort_unstable();
        spans.dedup();
        assert_eq!(spans.len(), 6, "each in a span of its own");

        let failed = drawn.lines().filter(|line| line.ends_with("error"));
        let failed: Vec<_> = failed
            .map(|line| line.trim_start_matches([' ', '└', '─']))
            .collect();
        assert_eq!(failed.len(), 1, "{drawn}");
        let is_of_processing = failed
            .first()
            .is_some_and(|one| one.starts_with("process orders"));
        assert!(is_of_processing, "{drawn}");
    }
}

fn of_json(line: &str) -> Line {
    let line: Value = serde_json::from_str(line).expect("JSON");
    let text = |pointer| {
        line.pointer(pointer)
            .and_then(Value::as_str)
            .expect(pointer)
    };
    let (level, message) = (text("/level"), text("/fields/message"));
    Line {
        ids: ["/trace_id", "/span_id"].map(|pointer| text(pointer).to_owned()),
        said: format!("{level} {message} in {}", text("/span/name")),
    }
}

/// `trace_id=… span_id=…  INFO pack_orders:process:pack{order="order 1"}: order packed`
fn of_text(line: &str) -> Line {
    let mut words = line.split_whitespace();
    let mut next = || words.next().expect("one more word");
    let ids = [next(), next()];
    let ids = ids.map(|id| id.split_once('=').expect("a key").1.to_owned());
    let level = next();
    let (spans, message) = line.rsplit_once(": ").expect("spans");
    let span = spans.rsplit_once(level).expect("a level").1.trim();
    let span = span.split('{').next().expect("a name");
    let span = span.rsplit(':').next().expect("a name");
    let message = message.split(" order=").next().expect("a message");
    Line {
        ids,
        said: format!("{level} {message} in {span}"),
    }
}
