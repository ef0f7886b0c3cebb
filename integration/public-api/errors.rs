//! What the compiler says to a user whose handler is none.

use std::env;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[test]
fn a_handler_that_returns_no_outcome_is_told_what_it_may_return() {
    let told = told("order.process(async |_| 7_u32).await");

    for line in [
        "error[E0277]: a handler cannot return `u32`, which does not say whether it succeeded",
        "returns `u32`, which is no `Outcome`",
        "return `()`, a `Result` whose error is `Debug`, a `ControlFlow`, or a type of your own that \
         implements `Outcome`",
        "to return a value and no error: `Ok::<_, std::convert::Infallible>(value)`; a future lacks \
         its `.await`",
    ] {
        assert!(told.contains(line), "{line:?} is not in:\n{told}");
    }
}

/// The compiler's own words, which may change; but it has to name what a handler is called with.
#[test]
fn a_function_of_the_clients_message_is_told_that_a_handler_takes_the_received_one() {
    let told_of_function = told("order.process(handle::<M>).await");

    assert!(
        told_of_function.contains("error[E0631]"),
        "{told_of_function}"
    );
    assert!(
        told_of_function.contains("Received<M>"),
        "{told_of_function}"
    );
    assert_eq!(
        told("order.process(async |order| handle::<M>(order).await).await"),
        ""
    );
}

/// What the compiler says of a program with this expression about an `order`.
fn told(expression: &str) -> String {
    let program = format!(
        "use otel_messaging::{{Message, Received}};
         pub async fn handle<M: Message>(_: &M) {{}}
         pub async fn run<M: Message>(order: &Received<M>) {{ let _ = {expression}; }}"
    );
    let dependencies = dependencies();
    let mut compiler = Command::new("rustc")
        .args([
            "--edition",
            "2024",
            "--crate-type",
            "lib",
            "--crate-name",
            "program",
        ])
        .args([
            "--emit",
            "metadata",
            "--out-dir",
            env!("CARGO_TARGET_TMPDIR"),
        ])
        .arg("--extern")
        .arg(format!(
            "otel_messaging={}",
            newest(&dependencies).display()
        ))
        .arg("-L")
        .arg(format!("dependency={}", dependencies.display()))
        .arg("-")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a compiler");
    let mut input = compiler.stdin.take().expect("its input");
    input.write_all(program.as_bytes()).expect("it reads");
    drop(input);
    let output = compiler.wait_with_output().expect("it ends");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Where cargo has put what this test needs, and it itself.
fn dependencies() -> PathBuf {
    let this = env::current_exe().expect("the test's own program");
    this.parent().expect("its folder").to_owned()
}

/// The crate as it was compiled last.
fn newest(dependencies: &Path) -> PathBuf {
    let entries = fs::read_dir(dependencies).expect("the folder");
    let compiled = entries.map(|entry| entry.expect("an entry").path());
    let compiled = compiled.filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libotel_messaging-") && name.ends_with(".rlib")
    });
    let newest =
        compiled.max_by_key(|path| fs::metadata(path).and_then(|data| data.modified()).ok());
    newest.expect("the crate")
}
