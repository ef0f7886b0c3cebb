//! A Collector of the test's own, by the program that `OTELCOL` names: to be stopped, started and held up.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use integration::unique;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(30);

/// The Collector; it goes with its output when it is dropped.
#[derive(Debug)]
pub(crate) struct Collector {
    output: PathBuf,
    port: u16,
    running: Option<Child>,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let mut collector = Self {
            output: env::temp_dir().join(unique("collector")),
            port: free_port(),
            running: None,
        };
        collector.start_again().await;
        collector
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Stops it, as an operator would.
    pub(crate) async fn stop(&mut self) {
        let mut running = self.running.take().expect("a Collector that runs");
        signal(&running, "-TERM").await;
        let ended = timeout(PATIENCE, running.wait()).await;
        ended.expect("in time").expect("it ends");
    }

    /// Starts it under the same address, and waits until it listens.
    pub(crate) async fn start_again(&mut self) {
        let program = env::var("OTELCOL")
            .expect("OTELCOL names no program: run `integration/run`, which has one");
        let mut options = OpenOptions::new();
        let output = options.create(true).append(true).open(&self.output);
        let running = Command::new(program)
            .arg("--config")
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/outage/collector.yaml"
            ))
            .env("OTLP_PORT", self.port.to_string())
            .stdin(Stdio::null())
            .stdout::<File>(output.expect("a file"))
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        self.running = Some(running.expect("the program starts"));
        let listens = async {
            while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, listens).await.expect("it listens");
    }

    /// Takes its processor away: connections are made, and nothing is answered.
    pub(crate) async fn hold(&self) {
        signal(self.running.as_ref().expect("it runs"), "-STOP").await;
    }

    /// How many spans it has got since the first start.
    pub(crate) fn spans(&self) -> usize {
        let output = fs::read_to_string(&self.output).expect("its output");
        let counts = output
            .lines()
            .filter_map(|line| line.split_once("\"spans\": "));
        let counts = counts.map(|(_, rest)| rest.trim_end_matches('}').parse::<usize>());
        counts.map(|count| count.expect("a number")).sum()
    }

    /// Waits until it has got so many.
    pub(crate) async fn has(&self, spans: usize) {
        let has = async {
            while self.spans() < spans {
                sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = timeout(PATIENCE, has).await;
        assert!(waited.is_ok(), "{} of {spans} spans came", self.spans());
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.output);
    }
}

async fn signal(process: &Child, signal: &str) {
    let id = process.id().expect("a process").to_string();
    let sent = Command::new("kill").args([signal, &id]).status().await;
    assert!(sent.expect("a program").success(), "{signal} is sent");
}

/// Below the ports that connections go out from, and nobody listens on it.
pub(crate) fn free_port() -> u16 {
    let digits = unique("").bytes().fold(0_u16, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u16::from(byte))
    });
    (0..12000)
        .map(|step| 20000 + (digits % 12000 + step) % 12000)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a port that nobody listens on")
}
