//! Servers of which each has all of a stream.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::Config;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::config;
use super::server::{READY, command, name};
use super::sides::context;
use crate::load::PATIENCE;
use crate::program::{Program, Room, free_port};

/// Servers of a cluster, which clients reach without a proxy.
pub(crate) struct Cluster {
    servers: [Program; 3],
    room: Room,
}

impl Cluster {
    /// Starts them.
    pub(crate) async fn start() -> Self {
        let ports = [(); 3].map(|()| [free_port(), free_port()]);
        let room = Room::of_megabytes(512).await;
        let mut servers = ports.map(|[port, own]| {
            let others = ports.iter().map(|[_, route]| *route);
            let others = others.filter(|route| *route != own);
            let ports = [port, own].into_iter().chain(others);
            Program::new("nats-cluster", READY, ports.collect(), command)
        });
        for server in &mut servers {
            server.start(&room).await;
        }
        Self { servers, room }
    }

    /// Where clients find them, with one of them first.
    pub(crate) fn urls(&self, first: usize) -> Vec<String> {
        let ports = self.servers.iter().map(|server| server.port(0));
        let urls = ports.map(|port| format!("nats://127.0.0.1:{port}"));
        let mut urls: Vec<_> = urls.collect();
        let first = first % urls.len();
        urls.rotate_left(first);
        urls
    }

    /// Makes streams that each of them has.
    pub(crate) async fn make_streams(&self, streams: &[String; 2]) {
        let context = context(&self.urls(0)).await;
        let deadline = Instant::now() + PATIENCE;
        for stream in streams {
            let config = || Config {
                num_replicas: self.servers.len(),
                ..config(stream)
            };
            // Until they have found each other, there is no place for it.
            while let Err(error) = context.create_stream(config()).await {
                assert!(Instant::now() < deadline, "no stream: {error}");
                sleep(AGAIN).await;
            }
        }
    }

    /// Waits until each stream has a leader, and the others have all that it has: the names of the leaders.
    pub(crate) async fn leaders(&self, streams: &[String; 2]) -> [String; 2] {
        let context = context(&self.urls(0)).await;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let [first, second] = streams;
            let leaders = [
                leader(&context, first).await,
                leader(&context, second).await,
            ];
            if let [Some(first), Some(second)] = leaders {
                return [first, second];
            }
            assert!(Instant::now() < deadline, "they have {leaders:?}");
            sleep(AGAIN).await;
        }
    }

    /// Waits until one of them leads both streams, and the others have all that it has: which one.
    pub(crate) async fn leader(&self, streams: &[String; 2]) -> usize {
        let context = context(&self.urls(0)).await;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let [first, second] = self.leaders(streams).await;
            if first == second {
                let mut names = self.servers.iter().map(|server| name(server.port(0)));
                return names.position(|name| name == first).expect("one of them");
            }
            assert!(Instant::now() < deadline, "{first} and {second} lead");
            // Whoever follows is left to chance. That there was no answer is seen by what there is next.
            let [stream, _] = streams;
            let subject = format!("STREAM.LEADER.STEPDOWN.{stream}");
            let _: Result<Value, _> = context.request(subject, &json!({})).await;
            sleep(AGAIN).await;
        }
    }

    /// One of them, and where its data is.
    pub(crate) fn parts(&mut self, server: usize) -> (&mut Program, &Room) {
        let server = self.servers.get_mut(server).expect("one of them");
        (server, &self.room)
    }
}

/// Who leads a stream, if all others have what it has.
async fn leader(context: &Context, stream: &str) -> Option<String> {
    let stream = context.get_stream(stream).await.ok()?;
    let cluster = stream.cached_info().cluster.as_ref()?;
    let mut others = cluster.replicas.iter();
    let leader = cluster.leader.clone();
    leader.filter(|_| others.all(|other| other.current && !other.offline))
}

/// Before the next attempt.
const AGAIN: Duration = Duration::from_millis(100);
