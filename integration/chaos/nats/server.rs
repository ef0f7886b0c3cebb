//! A nats-server.

use std::fs;

use tokio::process::Command;

use crate::program::{Program, Room, free_port, setting};
use crate::proxy::Proxy;

/// What a server writes when it takes requests.
pub(crate) const READY: &str = "Server is ready";

/// A server that clients reach over a proxy.
pub(crate) struct Server {
    /// Its process.
    pub(crate) program: Program,
    /// The clients' way.
    pub(crate) proxy: Proxy,
    /// Where its data is.
    pub(crate) room: Room,
}

/// What a server of the suite is set up with: in lame duck mode it has no patience with those who stay.
const CONFIGURATION: &str = "jetstream: { max_file_store: 100M, max_memory_store: 100M }\n\
    lame_duck_grace_period: \"500ms\"\nlame_duck_duration: \"30s\"\nwrite_deadline: \"2s\"\n";

impl Server {
    /// Starts one.
    pub(crate) async fn start() -> Self {
        let port = free_port();
        let room = Room::of_megabytes(128).await;
        let proxy = Proxy::to(port);
        let mut program = Program::new("nats", READY, vec![port], command);
        program.start(&room).await;
        Self {
            program,
            proxy,
            room,
        }
    }

    /// Where clients find it.
    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.proxy.port())
    }

    /// Where it is without the proxy.
    pub(crate) fn direct_url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.program.port(0))
    }
}

/// The name that a server has in its cluster, by the port of its clients.
pub(crate) fn name(port: u16) -> String {
    format!("nats-{port}")
}

/// The command that has a server run, with its data in the room. A port for others of a cluster may follow that of the
/// clients, and then theirs.
pub(crate) fn command(room: &Room, ports: &[u16]) -> Command {
    let [port, cluster @ ..] = ports else {
        unreachable!("a port");
    };
    let mut configuration = CONFIGURATION.to_owned();
    if let [own, others @ ..] = cluster {
        let routes = others.iter().map(|port| format!("nats://127.0.0.1:{port}"));
        configuration += &format!(
            "server_name: {}\ncluster: {{ name: chaos, listen: \"127.0.0.1:{own}\", routes: {:?} }}\n",
            name(*port),
            routes.collect::<Vec<_>>()
        );
    }
    let file = room.beside().join(format!("{}.conf", name(*port)));
    fs::write(&file, configuration).expect("a file");
    let mut command = room.command(&setting("NATS_SERVER"));
    command.args(["-a", "127.0.0.1", "-p", &port.to_string(), "-c"]);
    command
        .arg(file)
        .arg("-sd")
        .arg(room.folder().join(name(*port)));
    command
}
