//! A nats-server of the test's own, by the program that `NATS_SERVER` names: to be stopped and
//! started, and to be set up in other ways.

use std::env;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use super::in_time;
use crate::unique;

/// The server; it goes with its folder when it is dropped.
#[derive(Debug)]
pub struct Server {
    folder: PathBuf,
    port: u16,
    running: Option<Child>,
}

impl Server {
    /// Starts a server with these lines of configuration.
    pub async fn start(configuration: &str) -> Self {
        let folder = env::temp_dir().join(unique("nats"));
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("nats.conf"), configuration).expect("a file");
        let mut server = Self {
            folder,
            port: free_port(),
            running: None,
        };
        server.start_again().await;
        server
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Stops it, as an operator would: what its streams have is on disk then.
    pub async fn stop(&mut self) {
        let mut running = self.running.take().expect("a server that runs");
        let id = running.id().expect("a process");
        let asked = Command::new("kill").arg(id.to_string()).status().await;
        assert!(asked.expect("a program").success(), "it is asked to end");
        in_time(running.wait()).await.expect("it ends");
    }

    /// Starts it with what streams have on disk, under the same address.
    pub async fn start_again(&mut self) {
        let program = env::var("NATS_SERVER")
            .expect("NATS_SERVER names no program: run `integration/run`, which has one");
        let running = Command::new(program)
            .args(["-a", "127.0.0.1", "-p", &self.port.to_string(), "-c"])
            .arg(self.folder.join("nats.conf"))
            .arg("-sd")
            .arg(self.folder.join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        self.running = Some(running.expect("the program starts"));
        let url = self.url();
        in_time(async {
            while async_nats::connect(&url).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(running) = &mut self.running {
            let _ = running.start_kill();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Below the ports that connections go out from: a client that waits for its server would connect
/// to itself.
fn free_port() -> u16 {
    (0..)
        .map(|_| {
            let digits = unique("").bytes().fold(0_u16, |sum, byte| {
                sum.wrapping_mul(31).wrapping_add(u16::from(byte))
            });
            20000 + digits % 12000
        })
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a port that nobody listens on")
}
