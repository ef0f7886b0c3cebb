//! Dead letters: found, named, and sent again.

mod jetstream;
mod kafka;
mod rabbitmq;

use opentelemetry::trace::{SpanContext, SpanId};
use opentelemetry_sdk::trace::SpanData;
use serde_json::{Value, json};

use crate::command::ended;
use crate::faults::traceparent;

/// Exit code, and what `dlq --json` says of each message and in the end.
async fn dlq(arguments: &[&str]) -> (Option<i32>, Vec<Value>, Value) {
    let (code, out, error) = ended(&[&["dlq", "--json"], arguments].concat()).await;
    let lines = out.lines().map(serde_json::from_str);
    let mut lines: Vec<Value> = lines.map(|line| line.expect("JSON")).collect();
    let summary = lines.pop();
    assert!(summary.is_some(), "{arguments:?}: {error}");
    let mut summary = summary.expect("a summary");
    (code, lines, summary["summary"].take())
}

/// These parts of what is said of a message.
fn parts(message: &Value, names: &[&str]) -> Value {
    names
        .iter()
        .map(|name| ((*name).to_owned(), message[*name].clone()))
        .collect()
}

/// By number, the trace and the span that a message of [`traceparent`] comes from, as they are printed.
fn origin(number: u8) -> (String, String) {
    let text = traceparent(number);
    (text[3..35].to_owned(), text[36..52].to_owned())
}

/// Trace, parent and links of a span.
fn relations(span: &SpanData) -> (String, SpanId, Vec<SpanContext>) {
    let links = span.links.iter().map(|link| link.span_context.clone());
    let trace = span.span_context.trace_id().to_string();
    (trace, span.parent_span_id, links.collect())
}

/// That the span goes on with the trace of [`traceparent`] and is linked to it alone.
fn assert_goes_on(span: &SpanData, number: u8) {
    let (trace, parent) = origin(number);
    let (found, found_parent, links) = relations(span);
    assert_eq!(
        (found, found_parent.to_string()),
        (trace.clone(), parent.clone())
    );
    let links = links.iter();
    let links: Vec<_> = links
        .map(|link| (link.trace_id().to_string(), link.span_id().to_string()))
        .collect();
    assert_eq!(links, [(trace, parent)]);
}

#[tokio::test]
async fn what_cannot_be_sent_again_is_said_before_anything_is_read() {
    for (arguments, part) in [
        (vec!["dlq", "--write", "kafka:dead"], "--redrive <TO>"),
        (
            vec!["dlq", "--redrive", "kafka:dead", "kafka:dead"],
            "that is what is read by kafka:dead",
        ),
        (
            vec!["dlq", "--redrive", "kafka:orders", "kafka:*"],
            "that is what is read by kafka:*",
        ),
        (
            vec!["dlq", "--redrive", "kafka:orders", "rabbitmq-stream:dead"],
            "rabbitmq-stream:dead is of another system",
        ),
        (
            vec!["dlq", "--redrive", "rabbitmq:/orders", "rabbitmq:dead"],
            "is what is published from now on",
        ),
        (
            vec!["dlq", "--redrive", "nats:orders", "jetstream:DEAD"],
            "core NATS does not confirm",
        ),
        (
            vec![
                "dlq",
                "--redrive",
                "kafka:orders",
                "kafka:dead",
                "kafka:dead",
            ],
            "kafka:dead is named twice",
        ),
        (vec!["dlq", "rabbitmq-queue:dead"], "--peek"),
    ] {
        let (code, out, error) = ended(&arguments).await;
        assert_eq!(
            (code, out.as_str()),
            (Some(2), ""),
            "{arguments:?}: {error}"
        );
        assert!(error.contains(part), "no {part:?} in {error:?}");
    }
}

fn redriven(to: &str, is_to_write: bool, sent: u64, left_out: u64) -> Value {
    json!({ "to": to, "write": is_to_write, "sent": sent, "left_out": left_out })
}
