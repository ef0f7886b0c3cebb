//! `check`: headers in a file.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::command::{command, ended};
use crate::faults::traceparent;

/// Gives these headers to `check -`, and returns its exit code and what it says.
async fn checked(headers: &Value) -> (Option<i32>, Value) {
    let mut command = command(&["check", "--json", "-"]);
    let mut program = command.stdin(Stdio::piped()).spawn().expect("it starts");
    let mut input = program.stdin.take().expect("its input");
    input
        .write_all(headers.to_string().as_bytes())
        .await
        .expect("it reads");
    drop(input);
    let output = program.wait_with_output().await.expect("it ends");
    (
        output.status.code(),
        serde_json::from_slice(&output.stdout).expect("JSON"),
    )
}

fn names(told: &Value) -> Vec<String> {
    let remarks = told["remarks"].as_array().expect("remarks");
    let name = |one: &Value| {
        let [name, header] =
            ["name", "header"].map(|part| one[part].as_str().expect("a text").to_owned());
        format!("{name} {header}")
    };
    remarks.iter().map(name).collect()
}

#[tokio::test]
async fn headers_without_fault_are_well() {
    let (code, told) = checked(&json!({
        "traceparent": traceparent(1), "tracestate": "vendor=1", "baggage": "tenant=acme",
    }))
    .await;

    assert_eq!(code, Some(0));
    assert_eq!(told["creation"]["trace_id"], traceparent(1)[3..35]);
    assert_eq!(told["baggage"], json!([{"name": "tenant"}]));
    assert_eq!(names(&told), [""; 0]);
    let readers = json!([{"reader": "Rust, stock propagators", "says": "the same context"}]);
    assert_eq!(told["readers"], readers);
}

#[tokio::test]
async fn of_two_contexts_the_last_counts_and_others_read_the_first() {
    let kcat = json!({"topic": "orders", "headers": [
        "traceparent", traceparent(1), "note", null, "traceparent", traceparent(2),
    ]});
    let (code, told) = checked(&kcat).await;

    assert_eq!(code, Some(1));
    assert_eq!(told["creation"]["trace_id"], traceparent(2)[3..35]);
    assert_eq!(told["conflicting"]["trace_id"], traceparent(1)[3..35]);
    assert_eq!(names(&told), ["conflicting traceparent"]);
    let stock = format!("another trace, {}", &traceparent(1)[3..35]);
    assert_eq!(told["readers"][0]["says"], stock);
    assert_eq!(told["readers"][3]["reader"], "kafkajs");
}

#[tokio::test]
async fn what_the_stock_propagator_takes_is_still_no_context() {
    let (code, told) = checked(&json!([["traceparent", format!("{}-", traceparent(1))]])).await;

    assert_eq!(code, Some(1));
    assert_eq!(told["creation"], Value::Null);
    assert_eq!(names(&told), ["malformed traceparent"]);
    let stock = format!(
        "trace {}, where strictly there is none",
        &traceparent(1)[3..35]
    );
    assert_eq!(told["readers"][0]["says"], stock);
}

#[tokio::test]
async fn only_what_can_be_read_is_there_twice() {
    let with = |other: &str| json!([["traceparent", other], ["traceparent", traceparent(1)]]);

    let (code, told) = checked(&with(&traceparent(1))).await;
    assert_eq!(code, Some(0));
    assert_eq!(names(&told), ["duplicated traceparent"]);
    let (code, told) = checked(&with("broken")).await;
    assert_eq!(code, Some(0));
    assert_eq!(told["creation"]["trace_id"], traceparent(1)[3..35]);
    assert_eq!(names(&told), [""; 0]);
}

#[tokio::test]
async fn bytes_and_null_are_told_apart() {
    let headers = json!([
        ["traceparent", traceparent(1)],
        ["baggage", {"hex": "74656e616e743dff"}],
        ["tracestate", null],
    ]);
    let (code, told) = checked(&headers).await;

    assert_eq!(code, Some(1));
    let expected = [
        "malformed baggage",
        "not_utf8 baggage",
        "not_text tracestate",
    ];
    assert_eq!(names(&told), expected);
}

#[tokio::test]
async fn what_is_no_file_of_headers_is_an_error() {
    let (code, out, error) = ended(&["check", "/nowhere/headers.json"]).await;
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(
        error.contains("/nowhere/headers.json: No such file"),
        "{error}"
    );
}
