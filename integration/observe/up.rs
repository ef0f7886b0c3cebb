//! The command that starts the back end in containers, with a program in the place of `docker`: what it says, and when.

use std::env;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use integration::unique;

/// The variables that set the ports at which it asks whether the services answer.
const ASKED: [&str; 4] = [
    "COLLECTOR_HEALTH_PORT",
    "JAEGER_PORT",
    "PROMETHEUS_PORT",
    "GRAFANA_PORT",
];

#[test]
fn without_an_engine_it_says_so_and_starts_nothing() {
    let docker = Docker::that("exit 1");
    let output = docker.up(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"");
    let told = String::from_utf8(output.stderr).expect("text");
    assert_eq!(
        told,
        "integration/observe/up: no Docker engine answers: docker version\n"
    );
}

#[test]
fn when_all_answer_it_says_where_to_look_and_where_to_send() {
    let docker = Docker::that("echo \"$@\" >>\"${0%/*}/called\"");
    let mut ports: Vec<_> = ASKED.map(|variable| (variable, answering())).into();
    ports.push(("OTLP_HTTP_PORT", "4444".to_owned()));
    let output = docker.up(&ports);

    let told = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{told}");
    for (variable, port) in &ports {
        let is_told = told.contains(&format!("http://127.0.0.1:{port}"));
        assert_eq!(
            is_told,
            *variable != "COLLECTOR_HEALTH_PORT",
            "{variable}: {told}"
        );
    }
    let called = fs::read_to_string(docker.folder.join("called")).expect("calls");
    assert!(
        called.contains("compose --profile observe up -d --wait\n"),
        "{called}"
    );
}

/// A program that is found as `docker`.
struct Docker {
    folder: PathBuf,
}

impl Docker {
    fn that(does: &str) -> Self {
        let folder = env::temp_dir().join(unique("docker"));
        fs::create_dir(&folder).expect("a folder");
        let program = folder.join("docker");
        fs::write(&program, format!("#!/bin/sh\n{does}\n")).expect("a file");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a program");
        Self { folder }
    }

    fn up(&self, ports: &[(&str, String)]) -> Output {
        let path = env::var("PATH").expect("a path");
        Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("observe/up"))
            .env("PATH", format!("{}:{path}", self.folder.display()))
            .envs(ports.iter().map(|(name, port)| (name, port)))
            .output()
            .expect("it starts")
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A port at which each question is answered.
fn answering() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.expect("a connection");
            let _ = connection.read(&mut [0; 1024]);
            let _ = connection
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    port.to_string()
}
