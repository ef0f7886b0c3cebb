//! Ctrl-C, and what is left then.

use std::time::Duration;

use async_nats::jetstream;
use futures::TryStreamExt as _;
use integration::{amqp, kafka, nats};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::programs::{EXAMPLES, program};

/// How far an example gets.
#[derive(Clone, Copy, Debug)]
enum When {
    /// To what it makes at the broker.
    AtStart,
    /// To its first message.
    InTheMiddle,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_at_the_start_ends_each_example_and_leaves_nothing_behind() {
    for (name, broker) in EXAMPLES {
        let (run, _) = interrupted(name, When::AtStart).await;
        assert_eq!(left(broker, &run).await, [""; 0], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_in_the_middle_ends_an_example_and_leaves_nothing_behind() {
    for (name, broker) in [
        ("amqp_roundtrip", "RabbitMQ"),
        ("jetstream_worker", "nats-server"),
        ("kafka_concurrent", "Kafka cluster"),
        ("kafka_roundtrip", "Kafka cluster"),
    ] {
        let (run, said) = interrupted(name, When::InTheMiddle).await;
        assert_eq!(left(broker, &run).await, [""; 0], "{name}");
        let last = said.last().expect("some words");
        assert_eq!(last, "Interrupted.", "{name}: {said:#?}");
        let is_drawn = said.iter().any(|line| line.starts_with("trace "));
        assert!(is_drawn, "what there was is drawn: {said:#?}");
    }
}

/// Starts an example, presses Ctrl-C, and returns what its names have in them and what it says.
async fn interrupted(name: &str, when: When) -> (String, Vec<String>) {
    let mut running = program(name).spawn().expect("it starts");
    let output = running.stdout.take().expect("its output");
    let mut lines = BufReader::new(output).lines();
    let (mut run, mut said) = (String::new(), Vec::new());
    let mut is_running = true;
    while let Some(line) = lines.next_line().await.expect("text") {
        if let Some(rest) = line.strip_prefix("What this run makes there has ") {
            run = rest.split(' ').next().expect("a word").to_owned();
        }
        let is_now = match when {
            When::AtStart => !run.is_empty(),
            When::InTheMiddle => line.starts_with("  "),
        };
        if is_running && is_now {
            is_running = false;
            let id = running.id().expect("a process").to_string();
            let pressed = Command::new("kill").args(["-INT", &id]).status();
            assert!(pressed.await.expect("a program").success());
        }
        said.push(line);
    }
    let ended = timeout(Duration::from_secs(20), running.wait_with_output());
    let output = ended.await.expect("it ends in time").expect("it has run");
    assert!(output.status.success(), "{name}: {output:?}\n{said:#?}");
    assert!(!run.is_empty(), "{name}: {said:#?}");
    (run, said)
}

/// What the broker still has of a run.
async fn left(broker: &str, run: &str) -> Vec<String> {
    match broker {
        "RabbitMQ" => queues_left(run).await,
        "nats-server" => streams_left(run).await,
        _ => topics_and_groups_left(run).await,
    }
}

async fn queues_left(run: &str) -> Vec<String> {
    let queues = ["orders", "payments", "dead-letters", "stock"];
    amqp::those_there(queues.map(|queue| format!("{queue}-{run}"))).await
}

async fn streams_left(run: &str) -> Vec<String> {
    let context = jetstream::new(nats::client().await);
    let names: Vec<_> = context.stream_names().try_collect().await.expect("names");
    names
        .into_iter()
        .filter(|name| name.contains(run))
        .collect()
}

async fn topics_and_groups_left(run: &str) -> Vec<String> {
    let client: BaseConsumer = kafka::config().create().expect("a client");
    let is_of_run = |name: &&str| name.ends_with(&format!("-{run}"));
    let mut left = Vec::new();
    // What is deleted stays in the metadata for a moment.
    for _ in 0..50 {
        let metadata = client
            .fetch_metadata(None, kafka::PATIENCE)
            .expect("topics");
        let groups = client
            .fetch_group_list(None, kafka::PATIENCE)
            .expect("groups");
        let topics = metadata.topics().iter().map(|topic| topic.name());
        let groups = groups.groups().iter().map(|group| group.name());
        let names = topics.chain(groups).filter(is_of_run);
        left = names.map(str::to_owned).collect();
        if left.is_empty() {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    left
}
