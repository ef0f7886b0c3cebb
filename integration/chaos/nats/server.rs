//! A nats-server.

use std::fs;

use crate::program::{Program, Room, free_port, setting};
use crate::proxy::Proxy;

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
        let mut program = Program::new("nats", "Server is ready", vec![port], |room, ports| {
            let file = room.beside().join("nats.conf");
            fs::write(&file, CONFIGURATION).expect("a file");
            let port = ports.first().expect("a port");
            let mut command = room.command(&setting("NATS_SERVER"));
            command.args(["-a", "127.0.0.1", "-p", &port.to_string(), "-c"]);
            command.arg(file).arg("-sd").arg(room.folder().join("nats"));
            command
        });
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
