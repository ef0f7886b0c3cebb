//! Brokers of which each has all of a queue.

use futures::future::join_all;
use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Connection, ConnectionProperties};
use tokio::process::Child;
use tokio::time::Instant;

use super::server::{READY, daemon, evaluate, server};
use crate::load::PATIENCE;
use crate::program::{Program, Room, free_port};

/// Brokers of a cluster, which clients reach without a proxy.
pub(crate) struct Cluster {
    brokers: [Program; 3],
    room: Room,
    _daemon: Child,
}

impl Cluster {
    /// Starts them.
    pub(crate) async fn start() -> Self {
        let daemon_port = free_port();
        let first = free_port();
        let broker = |port, joins: &[u16]| {
            let ports = [port, free_port(), daemon_port];
            let ports = [&ports, joins].concat();
            Program::new("rabbitmq-cluster", READY, ports, server)
        };
        let room = Room::of_megabytes(768).await;
        let daemon = daemon(daemon_port);
        let mut brokers = [
            broker(first, &[]),
            broker(free_port(), &[first]),
            broker(free_port(), &[first]),
        ];
        // The others join the first one, which has to be there.
        let [first, others @ ..] = &mut brokers;
        first.start(&room).await;
        join_all(others.iter_mut().map(|broker| broker.start(&room))).await;
        let all = "length(rabbit_nodes:all_running()).";
        assert_eq!(evaluate(first, &room, all).await, "3", "not all joined");
        Self {
            brokers,
            room,
            _daemon: daemon,
        }
    }

    /// Where clients find them, with one of them first.
    pub(crate) fn urls(&self, first: usize) -> Vec<String> {
        let ports = self.brokers.iter().map(|broker| broker.port(0));
        let urls = ports.map(|port| format!("amqp://guest:guest@127.0.0.1:{port}/%2f"));
        let mut urls: Vec<_> = urls.collect();
        urls.rotate_left(first);
        urls
    }

    /// Makes queues that each of them has, with their leader on the first one, where they are declared.
    pub(crate) async fn make_queues(&self, queues: &[ShortString; 2]) {
        let urls = self.urls(0);
        let first = urls.first().expect("one of them");
        let connection = Connection::connect(first, ConnectionProperties::default()).await;
        let connection = connection.expect("a connection");
        let channel = connection.create_channel().await.expect("a channel");
        for queue in queues {
            let options = QueueDeclareOptions::durable();
            let declared = channel.queue_declare(queue.clone(), options, quorum());
            declared.await.expect("a queue");
        }
    }

    /// Has the first one lead both queues, as it does from the beginning if nobody held an election since.
    pub(crate) async fn first_leads(&self, [bare, wrapped]: &[ShortString; 2]) {
        let [first, ..] = &self.brokers;
        let expression = format!(
            "lists:usort([begin \
                {{ok, Queue}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, Name)), \
                Members = maps:get(nodes, amqqueue:get_type_state(Queue)), \
                {{rabbit_quorum_queue:transfer_leadership(Queue, node()), length(Members)}} \
            end || Name <- [<<\"{bare}\">>, <<\"{wrapped}\">>]])."
        );
        let deadline = Instant::now() + PATIENCE;
        loop {
            let told = evaluate(first, &self.room, &expression).await;
            if told == "[{{not_migrated,already_leader},3}]" {
                return;
            }
            assert!(Instant::now() < deadline, "the first does not lead: {told}");
        }
    }

    /// The first one, and where its data is.
    pub(crate) fn first(&mut self) -> (&mut Program, &Room) {
        let [first, ..] = &mut self.brokers;
        (first, &self.room)
    }
}

/// What makes a queue one that several brokers have.
pub(crate) fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    let quorum = AMQPValue::LongString("quorum".into());
    arguments.insert("x-queue-type".into(), quorum);
    arguments
}
