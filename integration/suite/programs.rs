//! The examples, and the command, as programs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

/// An example, ready to be run in the environment of this process.
pub fn program(name: &str) -> Command {
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
pub async fn run(program: &mut Command) -> Output {
    let output = timeout(Duration::from_secs(60), program.output()).await;
    output.expect("it ends in time").expect("it starts")
}

/// What one has said.
pub fn text(output: Vec<u8>) -> String {
    String::from_utf8(output).expect("text")
}

/// The programs, which cargo builds once.
pub fn built() -> &'static BTreeMap<String, PathBuf> {
    static BUILT: OnceLock<BTreeMap<String, PathBuf>> = OnceLock::new();
    BUILT.get_or_init(|| build(&["--package", "examples", "--all-features", "--examples"]))
}

/// The command `otel-messaging`, which cargo builds once.
pub fn tool() -> &'static PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let name = "otel-messaging";
        let mut built = build(&["--package", name, "--bin", name, "--features", "cli"]);
        built.remove(name).expect("a program")
    })
}

/// Programs by their names.
fn build(what: &[&str]) -> BTreeMap<String, PathBuf> {
    let output = crate::cargo()
        .args(["build", "--quiet", "--message-format", "json"])
        .args(what)
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo");
    assert!(output.status.success(), "{what:?} compiles");
    let lines = text(output.stdout);
    let messages = lines.lines().map(serde_json::from_str::<Value>);
    let messages = messages.map(|message| message.expect("JSON"));
    let programs = messages.filter_map(|message| {
        let path = message.get("executable")?.as_str()?.into();
        let name = message.get("target")?.get("name")?.as_str()?.to_owned();
        Some((name, path))
    });
    programs.collect()
}
