//! A RabbitMQ, and the daemon that it is found by.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use integration::unique;
use tokio::process::{Child, Command};

use crate::program::{Program, Room, free_port, setting};
use crate::proxy::Proxy;

/// A broker that clients reach over a proxy.
pub(crate) struct Server {
    /// Its process.
    pub(crate) program: Program,
    /// The clients' way.
    pub(crate) proxy: Proxy,
    /// Where its data is.
    pub(crate) room: Room,
    _daemon: Child,
}

impl Server {
    /// Starts one.
    pub(crate) async fn start() -> Self {
        let [port, distribution, daemon_port] = [(); 3].map(|()| free_port());
        let room = Room::of_megabytes(192).await;
        let proxy = Proxy::to(port);
        let daemon = daemon(daemon_port);
        let ports = vec![port, distribution, daemon_port];
        let mut program = Program::new("rabbitmq", READY, ports, server);
        program.start(&room).await;
        Self {
            program,
            proxy,
            room,
            _daemon: daemon,
        }
    }

    /// Where clients find it.
    pub(crate) fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.proxy.port())
    }

    /// Where it is without the proxy.
    pub(crate) fn direct_url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.program.port(0))
    }

    /// Has it evaluate an expression of Erlang.
    pub(crate) async fn evaluate(&self, expression: &str) -> String {
        evaluate(&self.program, &self.room, expression).await
    }
}

/// What a broker writes when it takes connections.
pub(crate) const READY: &str = "Server startup complete";

/// The daemon by which brokers find each other.
pub(crate) fn daemon(port: u16) -> Child {
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--", "epmd", "-port"])
        .arg(port.to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("epmd")
}

/// Has a broker evaluate an expression of Erlang: what comes of it.
pub(crate) async fn evaluate(program: &Program, room: &Room, expression: &str) -> String {
    let server = PathBuf::from(setting("RABBITMQ_SERVER"));
    let control = server.with_file_name("rabbitmqctl");
    let ports = [0, 1, 2].map(|at| program.port(at));
    let mut command = command(room, &ports, &control.to_string_lossy());
    command.args(["eval", expression]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = command.output().await.expect("a program");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{expression}: {told}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The name of a broker, by the port of its clients.
fn name(port: u16) -> String {
    format!("chaos-{port}@localhost")
}

/// Nothing of the machine's own configuration is read, as in `integration/native/rabbitmq.sh`.
fn command(room: &Room, ports: &[u16], program: &str) -> Command {
    let [port, distribution, daemon, cluster @ ..] = ports else {
        unreachable!("three ports");
    };
    let data = room.folder().join("rabbitmq");
    let seen = room.seen().join("rabbitmq");
    fs::create_dir_all(&seen).expect("a folder");
    let plugins = seen.join("enabled_plugins");
    if !plugins.exists() {
        fs::write(plugins, "[].\n").expect("a file");
        // The first time a consumer is too slow is seen within half a second.
        let settings = "[{rabbit, [{channel_tick_interval, 500}]}].\n";
        fs::write(seen.join("advanced.config"), settings).expect("a file");
        // All that are in a room know each other by it.
        let cookie = seen.join(".erlang.cookie");
        fs::write(&cookie, unique("chaos")).expect("a file");
        fs::set_permissions(cookie, Permissions::from_mode(0o400)).expect("a file");
    }
    if let [joined] = cluster {
        let mut peers = "cluster_formation.peer_discovery_backend = classic_config\n".to_owned();
        for peer in [port, joined] {
            peers += &format!(
                "cluster_formation.classic_config.nodes.{peer} = {}\n",
                name(*peer)
            );
        }
        let includes = seen.join(format!("conf.d-{port}"));
        fs::create_dir_all(&includes).expect("a folder");
        fs::write(includes.join("peers.conf"), peers).expect("a file");
    }
    let of = |file: &str| data.join(file);
    let configuration = concat!(env!("CARGO_MANIFEST_DIR"), "/rabbitmq/rabbitmq.conf");
    let mut command = room.command(program);
    command
        .env("HOME", &data)
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("ERL_EPMD_PORT", daemon.to_string())
        .env("RABBITMQ_NODENAME", name(*port))
        .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_NODE_PORT", port.to_string())
        .env("RABBITMQ_DIST_PORT", distribution.to_string())
        .env(
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "-kernel inet_dist_use_interface {127,0,0,1}",
        )
        .env("RABBITMQ_MNESIA_BASE", of("mnesia"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", of("enabled_plugins"))
        .env("RABBITMQ_LOG_BASE", of("log"))
        .env("RABBITMQ_LOGS", "-")
        .env("RABBITMQ_PID_FILE", of(&format!("pid-{port}")))
        .env("RABBITMQ_CONFIG_FILE", configuration)
        .env("RABBITMQ_CONFIG_FILES", of(&format!("conf.d-{port}")))
        .env("RABBITMQ_ADVANCED_CONFIG_FILE", of("advanced.config"))
        .env("RABBITMQ_CONF_ENV_FILE", "/dev/null");
    command
}

/// The command that has a broker run, with its data in the room. The script becomes the broker, so that its process is
/// what is killed. The ports are those of its clients, of its cluster and of the daemon. That of the clients of a broker
/// whose cluster it joins may follow.
pub(crate) fn server(room: &Room, ports: &[u16]) -> Command {
    let mut command = command(room, ports, &setting("RABBITMQ_SERVER"));
    command.env("RABBITMQ_ALLOW_INPUT", "1");
    command.args(["-noinput", "+B", "i"]);
    command
}
