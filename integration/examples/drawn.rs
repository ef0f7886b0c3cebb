//! What an example says of what it has drawn.

use futures::future::join_all;

use crate::programs::{EXAMPLES, program, run, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_to_be_read_in_a_drawing_is_called_as_it_is_drawn() {
    let told = join_all(EXAMPLES.map(|(name, _)| async move {
        let output = run(&mut program(name)).await;
        assert!(output.status.success(), "{name}: {output:?}");
        (name, text(output.stdout))
    }));
    for (name, said) in told.await {
        let (drawn, guide) = said.split_once("How to read it").expect("a guide");
        let names: Vec<_> = guide.split('`').skip(1).step_by(2).collect();
        let missing: Vec<_> = names
            .iter()
            .filter(|name| !drawn.contains(**name))
            .collect();
        assert!(missing.is_empty(), "{name}: {missing:?} not in\n{drawn}");
        // One has names in it that brokers make up, and so no names of its own.
        assert!(!names.is_empty() || name == "amqp_request_reply", "{name}");
    }
}

#[tokio::test]
async fn the_readme_shows_what_the_first_command_draws() {
    let readme = include_str!("../../README.md");
    let shown = readme.split("```text\n").nth(1).expect("a drawing");
    let (shown, _) = shown.split_once("```").expect("an end");

    assert_eq!(first_trace("kafka_roundtrip").await, lines(shown));
}

#[tokio::test]
async fn a_message_that_was_stored_in_a_database_stays_in_the_trace() {
    let expected = "\
POST /orders            SERVER    shop
└─ send orders          PRODUCER  relay
   └─ process orders    CONSUMER  billing
      │  ⇠ link to send orders
      └─ commit orders  CLIENT    billing
            ⇠ link to send orders
";
    assert_eq!(first_trace("outbox").await, lines(expected));
}

/// The first trace that an example draws without a broker, but for how long each span took.
async fn first_trace(name: &str) -> Vec<String> {
    let embedded = &mut program(name);
    let output = run(embedded.env_remove("KAFKA_BROKERS")).await;
    let said = text(output.stdout);
    let mut traces = said.split("\ntrace ");
    let first = traces.nth(1).expect("a trace");
    let drawn = first.lines().skip(1).take_while(|line| !line.is_empty());
    // It is the last column.
    let drawn = drawn.map(|line| match line.rfind("  ") {
        Some(column) if !line.contains('⇠') => line.get(..column).unwrap_or(line).trim_end(),
        _ => line,
    });
    drawn.map(str::to_owned).collect()
}

fn lines(drawn: &str) -> Vec<String> {
    drawn.lines().map(str::to_owned).collect()
}
