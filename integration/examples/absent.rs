//! A broker that is not there, or that does not let the user in.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use futures::future::join_all;
use integration::amqp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use crate::programs::{EXAMPLES, program, run, text};

/// How long a user is left without an answer, at most: two seconds for a broker, and what a busy machine adds.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_not_there_is_named_soon() {
    // Free a moment ago.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);

    each_names_it(address).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_says_nothing_is_named_soon() {
    // The system accepts for it.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");

    each_names_it(address).await;
}

async fn each_names_it(address: SocketAddr) {
    let told = join_all(EXAMPLES.map(|(name, broker)| async move {
        let said = failed(at(&mut program(name), address)).await;
        (name, broker, said)
    }));
    for (name, broker, said) in told.await {
        let (problem, hint) = said.split_once(". ").expect("a problem and a hint");
        assert_eq!(problem, format!("Error: no {broker} answers at {address}"));
        for word in ["_URL right?", "KAFKA_BROKERS right?"] {
            let is_of_kafka = broker.starts_with("Kafka");
            let is_meant = word.starts_with("KAFKA") == is_of_kafka;
            assert_eq!(hint.contains(word), is_meant, "{name}: {said}");
        }
        assert!(
            hint.contains("`docker compose up --wait "),
            "{name}: {said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_for_rabbitmq_is_named_soon() {
    let right = amqp::url();
    let (user, rest) = with_user(&right);
    let url = format!("amqp://{user}:not-the-password@{rest}");

    for (name, _) in EXAMPLES.iter().filter(|(_, broker)| *broker == "RabbitMQ") {
        let said = failed(program(name).env("AMQP_URL", &url)).await;

        let (at, _) = rest.split_once('/').expect("a virtual host");
        let expected = format!("Error: the RabbitMQ at {at} refuses the login. ");
        assert!(said.starts_with(&expected), "{name}: {said}");
        assert!(!said.contains("not-the-password"), "{name}: {said}");
    }
}

/// The user of a URL, and what is behind the password.
fn with_user(url: &str) -> (&str, &str) {
    let (_, rest) = url.split_once("://").expect("a scheme");
    let (login, rest) = rest.split_once('@').expect("a login");
    let (user, _) = login.split_once(':').expect("a password");
    (user, rest)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_nats_refuses_is_named_soon() {
    let address = refusing_nats().await;

    for (name, _) in EXAMPLES
        .iter()
        .filter(|(_, broker)| *broker == "nats-server")
    {
        let url = format!("nats://shop:not-the-password@{address}");
        let said = failed(program(name).env("NATS_URL", url)).await;

        let expected = format!("Error: the nats-server at {address} refuses the login. ");
        assert!(said.starts_with(&expected), "{name}: {said}");
        assert!(!said.contains("not-the-password"), "{name}: {said}");
    }
}

/// A server that says of each login what a nats-server says of a wrong one.
async fn refusing_nats() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let info = r#"{"server_id":"S","version":"2.11.0","proto":1,"host":"127.0.0.1","port":4222,
                    "headers":true,"max_payload":1048576,"auth_required":true}"#;
                let info = info.replace(['\n', ' '], "");
                client
                    .write_all(format!("INFO {info}\r\n").as_bytes())
                    .await?;
                let mut login = [0; 1024];
                let _ = client.read(&mut login).await?;
                client
                    .write_all(b"-ERR 'Authorization Violation'\r\n")
                    .await
            });
        }
    });
    address
}

/// All brokers at one address.
fn at(program: &mut Command, address: SocketAddr) -> &mut Command {
    program
        .env("KAFKA_BROKERS", address.to_string())
        .env("AMQP_URL", format!("amqp://guest:guest@{address}/%2f"))
        .env("NATS_URL", format!("nats://{address}"))
}

/// Runs a program that fails, soon, and returns what it says of that.
async fn failed(program: &mut Command) -> String {
    let start = Instant::now();
    let output = run(program).await;
    let elapsed = start.elapsed();
    assert!(!output.status.success(), "{output:?}");
    assert!(elapsed < PATIENCE, "after {elapsed:?}: {output:?}");
    text(output.stderr)
}
