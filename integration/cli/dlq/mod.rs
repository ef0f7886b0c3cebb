//! Dead letters: found, named, and sent again.

mod jetstream;
mod kafka;
mod peeked;
mod rabbitmq;

use std::time::Duration;

use integration::unique;
use opentelemetry_sdk::trace::SpanData;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::command::{command, ended, refused};
use crate::failures::interrupt;
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

/// That the span goes on with the trace of [`traceparent`] and is linked to it alone.
fn assert_goes_on(span: &SpanData, number: u8) {
    let origin = origin(number);
    let trace = span.span_context.trace_id().to_string();
    assert_eq!((trace, span.parent_span_id.to_string()), origin);
    let links = span.links.iter().map(|link| &link.span_context);
    let links = links.map(|link| (link.trace_id().to_string(), link.span_id().to_string()));
    assert_eq!(links.collect::<Vec<_>>(), [origin]);
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
        (
            vec!["dlq", "--peek", "--since", "30m", "rabbitmq-queue:dead"],
            "a queue does not tell since when",
        ),
        (
            vec![
                "dlq",
                "--redrive",
                "rabbitmq:shop",
                "--firehose",
                "rabbitmq-firehose:#",
            ],
            "is what is published from now on",
        ),
        (
            vec![
                "dlq",
                "--redrive",
                "rabbitmq:shop/orders.*",
                "rabbitmq-stream:dead",
            ],
            "a message is sent to one routing key, not to a pattern",
        ),
    ] {
        refused(&arguments, part).await;
    }
}

#[tokio::test]
async fn what_is_known_is_summed_up_at_an_interrupt() {
    let subject = unique("dead");
    let name = format!("nats:{subject}");
    let mut command = command(&["dlq", "--json", "--unmarked", "--for", "60s", &name]);
    let mut program = command.spawn().expect("it starts");
    let mut lines = BufReader::new(program.stdout.take().expect("its output")).lines();
    let client = integration::nats::client().await;
    // Until it listens.
    let publishing = async {
        loop {
            let sent = client.publish(subject.clone(), "two books".into());
            sent.await.expect("a publish");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        line = lines.next_line() => assert!(line.expect("a line").is_some()),
        () = publishing => {}
    }
    interrupt(&program);
    let mut summary = Value::Null;
    while let Some(line) = lines.next_line().await.expect("a line") {
        summary = serde_json::from_str(&line).expect("JSON");
    }
    assert_eq!(summary["summary"]["was_interrupted"], true);
    assert!(summary["summary"]["dead"].as_u64() > Some(0), "{summary}");
    assert!(program.wait().await.expect("an end").success());
}

fn redriven(to: &str, is_to_write: bool, sent: u64, left_out: u64) -> Value {
    json!({ "to": to, "write": is_to_write, "sent": sent, "left_out": left_out, "before": 0 })
}
