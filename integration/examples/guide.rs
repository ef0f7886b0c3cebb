//! The commands on the pages of the guide, which is what users type.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::programs::text;

/// A command of a page, and the lines that it is said to print, or the begins of them.
struct Shown {
    page: String,
    command: String,
    lines: Vec<String>,
}

fn shown() -> Vec<Shown> {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src/guide");
    let mut shown = Vec::new();
    for page in fs::read_dir(pages).expect("a guide") {
        let page = page.expect("a page").path();
        if page.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let name = page.display().to_string();
        let written = fs::read_to_string(&page).expect("a page");
        for (begin, _) in written.match_indices("```sh\n") {
            let block = written.get(begin..).expect("a block");
            let mut fences = block.split("```");
            let command = fences.nth(1).expect("a command").trim_start_matches("sh\n");
            let output = fences.nth(1).and_then(|block| block.strip_prefix("text\n"));
            shown.push(Shown {
                page: name.clone(),
                command: command.to_owned(),
                lines: output
                    .into_iter()
                    .flat_map(str::lines)
                    .map(str::to_owned)
                    .collect(),
            });
        }
    }
    shown
}

#[tokio::test]
async fn each_command_of_the_guide_prints_what_stands_below_it() {
    let shown = shown();
    assert!(!shown.is_empty(), "the guide has commands");
    for Shown {
        page,
        command,
        lines,
    } in shown
    {
        assert!(!lines.is_empty(), "{page}: {command} prints nothing");
        let mut shell = Command::new("bash");
        shell
            .args(["-euo", "pipefail", "-c", &command])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .env_remove("KAFKA_BROKERS")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        // It may have to be compiled.
        let output = timeout(Duration::from_secs(300), shell.output()).await;
        let output = output.expect("it ends in time").expect("it starts");
        let printed = text(output.stdout);
        let succeeded = output.status.success();
        assert!(succeeded, "{page}: {command}{}", text(output.stderr));
        for line in lines {
            let is_there = printed.lines().any(|said| said.starts_with(&line));
            assert!(
                is_there,
                "{page}: {command}: no line {line:?} in\n{printed}"
            );
        }
    }
}
