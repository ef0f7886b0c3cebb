//! The brokers: those that the environment names, and for the others those of `docker-compose.yml`.

use std::process::Stdio;

use anyhow::{Context as _, Result, bail, ensure};
use examples::telemetry::variable;
use tokio::process::Command;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docker-compose.yml");

/// One of them.
struct Broker {
    /// As `docker-compose.yml` calls it.
    service: &'static str,
    variable: &'static str,
    /// Before and after the port.
    address: (&'static str, &'static str),
    /// The port, and the variable that sets another one.
    port: (&'static str, &'static str),
}

const BROKERS: [Broker; 3] = [
    Broker {
        service: "kafka",
        variable: "KAFKA_BROKERS",
        address: ("127.0.0.1:", ""),
        port: ("9092", "KAFKA_PORT"),
    },
    Broker {
        service: "rabbitmq",
        variable: "AMQP_URL",
        address: ("amqp://guest:guest@127.0.0.1:", "/%2f"),
        port: ("5672", "AMQP_PORT"),
    },
    Broker {
        service: "nats",
        variable: "NATS_URL",
        address: ("nats://127.0.0.1:", ""),
        port: ("4222", "NATS_PORT"),
    },
];

impl Broker {
    fn address(&self) -> String {
        let (before, after) = self.address;
        let (default, port) = self.port;
        let port = variable(port).unwrap_or_else(|| default.to_owned());
        format!("{before}{port}{after}")
    }
}

/// Variables for the services, each with where its broker is.
pub(super) async fn find() -> Result<Vec<(&'static str, String)>> {
    let missing = BROKERS.iter();
    let missing = missing.filter(|broker| variable(broker.variable).is_none());
    let missing: Vec<_> = missing.collect();
    if !missing.is_empty() {
        start(&missing).await?;
    }
    let address = |broker: &Broker| variable(broker.variable).unwrap_or_else(|| broker.address());
    let found = BROKERS
        .each_ref()
        .map(|broker| (broker.variable, address(broker)));
    Ok(found.into())
}

async fn start(missing: &[&Broker]) -> Result<()> {
    let unset: Vec<_> = missing.iter().map(|broker| broker.variable).collect();
    let unset = unset.join(", ");
    if !has_engine().await {
        let example = missing.iter();
        let example = example.map(|broker| format!("{}={}", broker.variable, broker.address()));
        let example: Vec<_> = example.collect();
        bail!(
            "not set: {unset}. There is no Docker engine with Compose either, that would start these brokers. \
            Set what is not set, such as {}; or install Docker, https://docs.docker.com/engine/install/",
            example.join(" ")
        );
    }
    let services = missing.iter().map(|broker| broker.service);
    let services: Vec<_> = services.collect();
    let names = services.join(" ");
    println!("Not set: {unset}. So these brokers are started: docker compose up --wait {names}");
    let status = Command::new("docker")
        .args(["compose", "--file", FILE, "up", "--wait"])
        .args(&services)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .status();
    let status = status.await.context("docker compose")?;
    ensure!(
        status.success(),
        "docker compose up --wait {names}: {status}"
    );
    println!("They go on when this program has ended: docker compose down");
    Ok(())
}

async fn has_engine() -> bool {
    for arguments in [&["version"][..], &["compose", "version"]] {
        let status = Command::new("docker")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .status();
        if !status.await.is_ok_and(|status| status.success()) {
            return false;
        }
    }
    true
}
