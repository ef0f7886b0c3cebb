//! The examples as programs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

/// The examples, each with the name that its broker has in messages to the user.
pub(crate) const EXAMPLES: [(&str, &str); 13] = [
    ("amqp_batch", "RabbitMQ"),
    ("amqp_request_reply", "RabbitMQ"),
    ("amqp_roundtrip", "RabbitMQ"),
    ("http", "Kafka cluster"),
    ("jetstream_batch", "nats-server"),
    ("jetstream_worker", "nats-server"),
    ("kafka_batch", "Kafka cluster"),
    ("kafka_concurrent", "Kafka cluster"),
    ("kafka_roundtrip", "Kafka cluster"),
    ("kafka_tracing", "Kafka cluster"),
    ("nats_roundtrip", "nats-server"),
    ("outbox", "Kafka cluster"),
    ("policy", "Kafka cluster"),
];

/// An example, ready to be run in the environment of this process.
pub(crate) fn program(name: &str) -> Command {
    let mut command = Command::new(built().get(name).expect("an example of this name"));
    command
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs one to its end.
pub(crate) async fn run(program: &mut Command) -> Output {
    let output = timeout(Duration::from_secs(60), program.output()).await;
    output.expect("it ends in time").expect("it starts")
}

pub(crate) fn text(output: Vec<u8>) -> String {
    String::from_utf8(output).expect("text")
}

/// The programs, which cargo builds once.
fn built() -> &'static BTreeMap<String, PathBuf> {
    static BUILT: OnceLock<BTreeMap<String, PathBuf>> = OnceLock::new();
    BUILT.get_or_init(|| {
        let output = integration::cargo()
            .args([
                "build",
                "--quiet",
                "--package",
                "examples",
                "--all-features",
            ])
            .args(["--examples", "--message-format", "json"])
            .stderr(Stdio::inherit())
            .output()
            .expect("cargo");
        assert!(output.status.success(), "the examples compile");
        let lines = text(output.stdout);
        let messages = lines.lines().map(serde_json::from_str::<Value>);
        let messages = messages.map(|message| message.expect("JSON"));
        let programs = messages.filter_map(|message| {
            let path = message.get("executable")?.as_str()?.into();
            let name = message.get("target")?.get("name")?.as_str()?.to_owned();
            Some((name, path))
        });
        programs.collect()
    })
}

#[test]
fn each_example_is_tried() {
    let names: Vec<_> = built().keys().map(String::as_str).collect();
    assert_eq!(names, EXAMPLES.map(|(name, _)| name));
}
