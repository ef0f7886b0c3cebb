//! What cannot be done, and what ends the command early.

use std::process::Stdio;
use std::time::Duration;

use async_nats::RequestErrorKind;
use integration::kafka::topic;
use integration::unique;
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::process::Child;
use tokio::time::timeout;

use crate::command::{command, refused, run, until};

#[tokio::test]
async fn what_was_wrong_is_named() {
    let missing = unique("missing");
    for (arguments, part) in [
        (
            vec!["scan", "orders"],
            "a destination is one of kafka:TOPIC",
        ),
        (vec!["scan", "redis:orders"], "\"redis\" is no system"),
        (
            vec!["scan", "rabbitmq:amq.rabbitmq.trace"],
            "the firehose is rabbitmq-firehose:KEY",
        ),
        (
            vec!["scan", "rabbitmq-firehose:publish.#"],
            "the firehose is read with --firehose alone",
        ),
        (
            vec!["scan", "--since", "10x", "kafka:orders"],
            "a duration is a number with ms, s, m, h or d",
        ),
        (
            vec!["scan", "--last", "7", "rabbitmq:orders"],
            "rabbitmq:orders: it is read from now on",
        ),
        (
            vec!["tap", "--since", "30m", "rabbitmq-firehose:#"],
            "rabbitmq-firehose:#: it is read from now on",
        ),
        (
            vec!["trace", &"1".repeat(32), "--all", "nats:orders"],
            "nats:orders: it is read from now on",
        ),
        (
            vec!["scan", "-X", "group.id", "kafka:orders"],
            "a property is KEY=VALUE",
        ),
        (
            vec!["scan", "-X", "sasl.pass=hunter2", "kafka:orders"],
            "sasl.pass: No such configuration property",
        ),
        (
            vec!["scan", &format!("kafka:{missing}")],
            "no topic has this name",
        ),
        (
            vec!["scan", &format!("jetstream:{missing}")],
            "stream not found",
        ),
        (
            vec!["scan", "--nats-url", "127.0.0.1:1", "nats:orders"],
            "Connection refused",
        ),
        (
            vec![
                "scan",
                "--amqp-url",
                "amqp://127.0.0.1:1",
                "rabbitmq:orders",
            ],
            "Connection refused",
        ),
        (
            vec![
                "scan",
                "--amqp-url",
                "amqp:shop:hunter2@localhost",
                "rabbitmq:orders",
            ],
            "the address is no URL of AMQP",
        ),
        (
            vec!["scan", "--brokers", "127.0.0.1:1", "kafka:orders"],
            "no broker of 127.0.0.1:1 answers",
        ),
        (
            vec!["scan", "--config", "/nowhere/kafka.conf", "kafka:orders"],
            "/nowhere/kafka.conf: No such file",
        ),
        (
            vec!["trace", "0af7", "kafka:orders"],
            "is no trace id: 32 hexadecimal digits",
        ),
        (
            vec!["trace", "orders/x/7", "kafka:orders"],
            "a message is TOPIC/PARTITION/OFFSET",
        ),
        (
            vec!["tap", "--link", "http://jaeger", "kafka:orders"],
            "there is no {trace_id} in it",
        ),
    ] {
        let error = refused(&arguments, part).await;
        assert!(!error.contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn addresses_come_from_nowhere_else() {
    for (destination, variable) in [
        ("kafka:orders", "KAFKA_BROKERS"),
        ("rabbitmq:orders", "AMQP_URL"),
        ("nats:orders", "NATS_URL"),
    ] {
        let output = run(command(&["scan", destination]).env_remove(variable)).await;
        let error = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2));
        assert!(error.contains(variable), "{error}");
    }
}

/// As the terminal does it.
pub(crate) fn interrupt(program: &Child) {
    let id = program.id().expect("it runs").to_string();
    let sent = std::process::Command::new("kill")
        .args(["-INT", &id])
        .status();
    assert!(sent.expect("kill").success());
}

#[tokio::test]
async fn what_is_known_is_printed_at_an_interrupt() {
    let mut pause = Duration::from_millis(50);
    loop {
        let (name, told) = interrupted(pause).await;
        assert_eq!(told["was_interrupted"], true);
        assert_eq!(told["destinations"][0]["destination"], name);
        // Nobody can see what it has read but by what it prints at last: on a slow machine that takes longer.
        if told["destinations"][0]["messages"].as_u64() > Some(0) {
            break;
        }
        assert!(pause < Duration::from_secs(60), "{told:#}");
        pause *= 4;
    }
}

/// What is printed by a scan that would go on for an hour, so long after there was a message for it.
async fn interrupted(pause: Duration) -> (String, Value) {
    let subject = unique("orders");
    let name = format!("nats:{subject}");
    let mut command = command(&["scan", "--json", "--for", "1h", &name]);
    let mut program = command.spawn().expect("it starts");
    let client = integration::nats::client().await;
    // As long as it does not listen, the server says at once that nobody does.
    let is_heard = async || {
        let asked = client.request(subject.clone(), "two books".into());
        let unheard = RequestErrorKind::NoResponders;
        asked.await.is_err_and(|error| error.kind() != unheard)
    };
    until(is_heard).await;
    tokio::time::sleep(pause).await;
    interrupt(&program);
    let status = timeout(Duration::from_secs(120), program.wait()).await;
    assert!(status.expect("in time").expect("an end").success());
    let mut text = String::new();
    let mut out = program.stdout.take().expect("its output");
    out.read_to_string(&mut text).await.expect("text");
    (name, serde_json::from_str(&text).expect("JSON"))
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_error() {
    let topic = topic("orders").await;
    for subcommand in ["scan", "dlq"] {
        let mut command = command(&[subcommand, &format!("kafka:{topic}")]);
        let mut program = command.stdout(Stdio::piped()).spawn().expect("it starts");
        drop(program.stdout.take());
        let output = timeout(Duration::from_secs(120), program.wait_with_output()).await;
        let output = output.expect("in time").expect("an end");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(String::from_utf8(output.stderr).expect("text"), "");
    }
}
