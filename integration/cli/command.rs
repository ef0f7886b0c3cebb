//! The command as a program.

use std::collections::BTreeMap;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

/// The command with these arguments, ready to be run in the environment of this process.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(integration::programs::tool());
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Waits until something is so that nobody tells.
pub(crate) async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !is_so().await {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(120), waited)
        .await
        .expect("it comes about");
}

/// Runs it to its end.
pub(crate) async fn run(command: &mut Command) -> Output {
    let output = timeout(Duration::from_secs(120), command.output()).await;
    output.expect("it ends in time").expect("it starts")
}

/// Runs it to its end, which is to be a good one, and returns the JSON that it prints.
pub(crate) async fn json(arguments: &[&str]) -> Value {
    let output = run(&mut command(arguments)).await;
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Exit code, what it prints, and what it complains about.
pub(crate) async fn ended(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = run(&mut command(arguments)).await;
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// Runs what is to end with an error that has this in its text, which it returns, and prints nothing.
pub(crate) async fn refused(arguments: &[&str], part: &str) -> String {
    let (code, out, error) = ended(arguments).await;
    assert_eq!(
        (code, out.as_str()),
        (Some(2), ""),
        "{arguments:?}: {error}"
    );
    assert!(error.contains(part), "no {part:?} in {error:?}");
    error
}

/// The remarks on a destination: name and header, and on how many messages.
pub(crate) fn remarks(scanned: &Value, destination: &str) -> Vec<(String, u64)> {
    let found = summary(scanned, destination)["remarks"]
        .as_array()
        .expect("remarks");
    let mut found: Vec<_> = found
        .iter()
        .map(|remark| {
            let name = remark["name"].as_str().expect("a name");
            let header = remark["header"].as_str().unwrap_or_default();
            let count = remark["messages"].as_u64().expect("a number");
            (format!("{name} {header}").trim_end().to_owned(), count)
        })
        .collect();
    found.sort();
    found
}

/// What is said of a destination.
pub(crate) fn summary<'a>(scanned: &'a Value, destination: &str) -> &'a Value {
    let all = scanned["destinations"].as_array().expect("destinations");
    let found = all.iter().find(|one| one["destination"] == destination);
    assert!(found.is_some(), "no {destination} in {scanned:#}");
    found.expect("a destination")
}

/// The remarks that are expected, sorted; those of one name are added up.
pub(crate) fn expected(remarks: &[(&str, u64)]) -> Vec<(String, u64)> {
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for (name, count) in remarks {
        *expected.entry((*name).to_owned()).or_default() += count;
    }
    expected.into_iter().collect()
}
