//! Python programs, as services with OpenTelemetry's official instrumentation.
//!
//! `PYTHON` names an interpreter that has `python/requirements.txt` installed; `integration/run`
//! makes one.

use std::env;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

/// Runs one of our Python programs and returns the JSON object that it prints.
pub async fn python(program: &str, arguments: &[&str]) -> Value {
    let interpreter = env::var("PYTHON")
        .expect("PYTHON names no interpreter: run `integration/run`, which prepares one");
    let run = Command::new(interpreter)
        .arg(format!("{}/python/{program}", env!("CARGO_MANIFEST_DIR")))
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(90), run)
        .await
        .expect("the program ends in time")
        .expect("the program starts");
    assert!(
        output.status.success(),
        "{program} failed: {}",
        output.status
    );
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

/// A text of an object.
pub fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get(field).and_then(Value::as_str).expect("a text")
}

/// A list of an object.
pub fn list<'a>(object: &'a Value, field: &str) -> &'a [Value] {
    object.get(field).and_then(Value::as_array).expect("a list")
}

/// The values of a header, as a program reported them.
pub fn header<'a>(report: &'a Value, name: &str) -> Vec<&'a str> {
    list(report, "headers")
        .iter()
        .filter(|header| text(header, "name") == name)
        .map(|header| text(header, "value"))
        .collect()
}

/// Asserts which headers of context a program was given: those of a sampled span without a
/// tracestate, each once.
pub fn assert_carries(report: &Value, trace_id: &str, span_id: &str, baggage: &str) {
    assert_eq!(
        header(report, "traceparent"),
        [format!("00-{trace_id}-{span_id}-01")]
    );
    assert_eq!(
        header(report, "tracestate"),
        [""; 0],
        "none rather than an empty one"
    );
    assert_eq!(header(report, "baggage"), [baggage]);
}
