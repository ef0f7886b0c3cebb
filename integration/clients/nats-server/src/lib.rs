//! Stands in for the package `nats-server` that the tests of async-nats depend on, which is not published: it starts the
//! program that `NATS_SERVER` names.
//!
//! Only what the tests call is here. A server goes when it is dropped, or when the process of the test is gone.
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "a test panics where it has no server"
)]

use std::env;
use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio, id};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Far more than a server takes to start.
const LIMIT: Duration = Duration::from_secs(20);

/// What runs a server: it ends it at the first line that it reads, or when there is nobody to write one. Then it takes
/// the folder away too. Signals are for whoever runs the test.
const KEEPER: &str = r#"
trap '' HUP INT TERM
folder=$1
shift
"$@" </dev/null &
server=$!
line=
read -r line
kill "$server"
wait "$server"
[ "$line" ] || rm -rf "$folder"
"#;

/// A server of the test's own.
#[derive(Debug)]
pub struct Server {
    folder: PathBuf,
    arguments: Vec<String>,
    port: u16,
    keeper: Child,
}

/// Three servers that know each other.
#[derive(Debug)]
pub struct Cluster {
    servers: Vec<Server>,
}

/// Starts a server without configuration.
#[must_use]
pub fn run_basic_server() -> Server {
    run_server("")
}

/// Starts a server with this file of configuration, on a port that is free.
#[must_use]
pub fn run_server(configuration: &str) -> Server {
    run_server_with_port(configuration, None)
}

/// Starts a server with this file of configuration, if there is one, on this port, if there is one.
#[must_use]
pub fn run_server_with_port(configuration: &str, port: Option<&str>) -> Server {
    let port = port.map(|port| port.parse().expect("the number of a port"));
    Server::start(configuration, port, &[])
}

/// Starts three servers with this file of configuration.
#[must_use]
pub fn run_cluster(configuration: &str) -> Cluster {
    let free = [free_port(), free_port(), free_port()];
    let routes = free
        .map(|port| format!("nats://127.0.0.1:{port}"))
        .join(",");
    let servers = free.iter().enumerate().map(|(number, port)| {
        let of_cluster = [
            "--cluster_name",
            "cluster",
            "--cluster",
            &format!("nats://127.0.0.1:{port}"),
            "--routes",
            &routes,
            "--name",
            &format!("node{number}"),
        ];
        Server::start(configuration, None, &of_cluster)
    });
    Cluster {
        servers: servers.collect(),
    }
}

/// Tells a server to send its clients away.
pub fn set_lame_duck_mode(server: &Server) {
    let id = fs::read_to_string(server.folder.join("pid")).expect("a file with the id");
    let told = Command::new(program())
        .arg("--signal")
        .arg(format!("ldm={}", id.trim()))
        .status();
    assert!(told.expect("a program").success(), "it is told");
}

impl Server {
    fn start(configuration: &str, port: Option<u16>, more: &[&str]) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("clients-nats-{}-{number}", id()));
        fs::create_dir_all(&folder).expect("a folder");
        let mut arguments: Vec<String> = more.iter().map(|&argument| argument.to_owned()).collect();
        if !configuration.is_empty() {
            arguments.extend(["-c".to_owned(), configuration.to_owned()]);
        }
        let keeper = keeper(&folder, &arguments, port);
        let mut server = Self {
            folder,
            arguments,
            port: port.unwrap_or_default(),
            keeper,
        };
        server.port = server.wait();
        server
    }

    /// The address for a client.
    #[must_use]
    pub fn client_url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The port for a client.
    #[must_use]
    pub const fn client_port(&self) -> u16 {
        self.port
    }

    /// Stops it and starts it again under its address, with what its streams have on disk.
    pub fn restart(&mut self) {
        let mut line = self.keeper.stdin.take().expect("a pipe");
        writeln!(line, "stop").expect("somebody who reads");
        self.keeper.wait().expect("a child");
        let _ = fs::remove_dir_all(self.folder.join("ports"));
        self.keeper = keeper(&self.folder, &self.arguments, Some(self.port));
        self.wait();
    }

    /// The port, when clients can connect.
    fn wait(&self) -> u16 {
        let started = Instant::now();
        loop {
            if let Some(port) = self.told().filter(|port| answers(*port)) {
                return port;
            }
            assert!(
                started.elapsed() < LIMIT,
                "nats-server does not start: {}",
                self.log()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The port as the server writes it into a file, when it has one.
    fn told(&self) -> Option<u16> {
        let mut files = fs::read_dir(self.folder.join("ports")).ok()?;
        let text = fs::read(files.next()?.ok()?.path()).ok()?;
        let told: Value = serde_json::from_slice(&text).ok()?;
        let url = told.get("nats")?.get(0)?.as_str()?;
        url.rsplit(':').next()?.parse().ok()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

impl Cluster {
    /// The address of one of them for a client.
    #[must_use]
    pub fn client_url(&self) -> String {
        self.servers.first().expect("three servers").client_url()
    }
}

fn keeper(folder: &PathBuf, arguments: &[String], port: Option<u16>) -> Child {
    fs::create_dir_all(folder.join("ports")).expect("a folder");
    let port = port.map_or_else(|| "-1".to_owned(), |port| port.to_string());
    Command::new("sh")
        .args(["-c", KEEPER, "sh"])
        .arg(folder)
        .arg(program())
        .args(["-a", "127.0.0.1", "-p", &port])
        .arg("-sd")
        .arg(folder.join("data"))
        .arg("-P")
        .arg(folder.join("pid"))
        .arg("-l")
        .arg(folder.join("log"))
        .arg("--ports_file_dir")
        .arg(folder.join("ports"))
        .args(arguments)
        .stdin(Stdio::piped())
        .spawn()
        .expect("a shell")
}

fn program() -> String {
    env::var("NATS_SERVER").unwrap_or_else(|_| panic!("NATS_SERVER names no program"))
}

fn answers(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}
