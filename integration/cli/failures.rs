//! What cannot be done, and what ends the command early.

use std::process::Stdio;
use std::time::Duration;

use integration::kafka::topic;
use integration::unique;
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::process::Child;
use tokio::time::timeout;

use crate::command::{command, ended, run};

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
            vec!["scan", "--since", "10x", "kafka:orders"],
            "a duration is a number with ms, s, m, h or d",
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
        let (code, out, error) = ended(&arguments).await;
        assert_eq!(
            (code, out.as_str()),
            (Some(2), ""),
            "{arguments:?}: {error}"
        );
        assert!(error.contains(part), "no {part:?} in {error:?}");
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
    // It would wait for a minute.
    let subject = unique("orders");
    let name = format!("nats:{subject}");
    let mut command = command(&["scan", "--json", "--for", "60s", &name]);
    let mut program = command.spawn().expect("it starts");
    let client = integration::nats::client().await;
    // It listens once it has answered; nobody can see that but by what it prints, so that it is told until it must have.
    let mut own = client
        .subscribe(subject.clone())
        .await
        .expect("a subscription");
    for _ in 0..50 {
        client
            .publish(subject.clone(), "two books".into())
            .await
            .expect("a publish");
        futures::StreamExt::next(&mut own).await.expect("a message");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    interrupt(&program);
    let status = timeout(Duration::from_secs(10), program.wait()).await;
    assert!(status.expect("at once").expect("an end").success());
    let mut text = String::new();
    program
        .stdout
        .take()
        .expect("its output")
        .read_to_string(&mut text)
        .await
        .expect("text");
    let told: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(told["was_interrupted"], true);
    assert_eq!(told["destinations"][0]["destination"], name);
    assert!(
        told["destinations"][0]["messages"].as_u64() > Some(0),
        "{text}"
    );
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_error() {
    let topic = topic("orders").await;
    for subcommand in ["scan", "dlq"] {
        let mut command = command(&[subcommand, &format!("kafka:{topic}")]);
        let mut program = command.stdout(Stdio::piped()).spawn().expect("it starts");
        drop(program.stdout.take());
        let output = timeout(Duration::from_secs(30), program.wait_with_output()).await;
        let output = output.expect("in time").expect("an end");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(String::from_utf8(output.stderr).expect("text"), "");
    }
}
