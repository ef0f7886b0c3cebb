//! A node of Kafka, and one beside it for what moves from one to the other.

use std::fs;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::sides::{PREFIX, config};
use crate::load::PATIENCE;
use crate::program::{Program, Room, free_port, setting};
use crate::proxy::Proxy;

/// What all nodes of the suites are set up with.
const PROPERTIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/kafka/server.properties");

/// What a node writes when it takes requests.
const READY: &str = "Kafka Server started";

/// A node that clients reach over a proxy.
pub(crate) struct Server {
    /// Its process.
    pub(crate) program: Program,
    /// The clients' way.
    pub(crate) proxy: Proxy,
    /// Where its data is.
    pub(crate) room: Room,
    admin: AdminClient<DefaultClientContext>,
}

impl Server {
    /// Starts one, which is broker and controller.
    pub(crate) async fn start() -> Self {
        let [direct, behind, controller] = [(); 3].map(|()| free_port());
        let room = Room::of_megabytes(192).await;
        let proxy = Proxy::to(behind);
        let ports = vec![direct, behind, controller, proxy.port(), controller];
        let mut program = Program::new("kafka", READY, ports, |room, ports| node(room, ports, 1));
        program.start(&room).await;
        let admin = config(&format!("127.0.0.1:{direct}")).create();
        Self {
            admin: admin.expect("an admin client"),
            program,
            proxy,
            room,
        }
    }

    /// Starts another node in the same cluster, which is a broker alone.
    pub(crate) async fn second(&self) -> (Program, Proxy) {
        let [direct, behind] = [(); 2].map(|()| free_port());
        let proxy = Proxy::to(behind);
        let controller = self.program.port(2);
        let ports = vec![direct, behind, 0, proxy.port(), controller];
        let mut program = Program::new("kafka-2", READY, ports, |room, ports| node(room, ports, 2));
        program.start(&self.room).await;
        (program, proxy)
    }

    /// Waits until the first node knows of no other: what is asked of the cluster may go to any that it knows.
    pub(crate) async fn is_alone(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let metadata = self
                .admin
                .inner()
                .fetch_metadata(None, Duration::from_secs(1));
            if metadata.is_ok_and(|metadata| metadata.brokers().len() == 1) {
                return;
            }
            assert!(Instant::now() < deadline, "a node that was killed is there");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Where clients find it.
    pub(crate) fn servers(&self) -> String {
        format!("127.0.0.1:{}", self.proxy.port())
    }

    /// Makes a topic of some partitions, with its leader on the first of these nodes.
    pub(crate) async fn make_topic(&self, topic: &str, partitions: i32, nodes: &[i32]) {
        let assignment = vec![nodes; usize::try_from(partitions).expect("a few")];
        let new = NewTopic::new(topic, partitions, TopicReplication::Variable(&assignment));
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let made = self.admin.create_topics([&new], &options).await;
        assert_eq!(made.expect("an answer"), [Ok(topic.to_owned())]);
    }

    /// Deletes what there is of others.
    pub(crate) async fn delete_all_topics(&self) {
        let metadata = self.admin.inner().fetch_metadata(None, PATIENCE);
        let metadata = metadata.expect("an answer");
        let names = metadata.topics().iter().map(|topic| topic.name());
        for name in names.filter(|name| name.starts_with(PREFIX)) {
            self.delete_topic(name).await;
        }
    }

    /// Deletes it with all that it has.
    pub(crate) async fn delete_topic(&self, topic: &str) {
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let deleted = self.admin.delete_topics(&[topic], &options).await;
        assert_eq!(deleted.expect("an answer"), [Ok(topic.to_owned())]);
    }
}

/// The command that has a node run, with its data in the room. The first time, it makes the place for the data.
fn node(room: &Room, ports: &[u16], id: u8) -> Command {
    let [direct, behind, own_controller, proxy, controller] = ports else {
        unreachable!("five ports");
    };
    let properties = room.beside().join(format!("kafka-{id}.properties"));
    let data = room.folder().join(format!("kafka-{id}"));
    let mut lines = fs::read_to_string(PROPERTIES).expect("a file");
    let mut listeners = format!("PLAINTEXT://127.0.0.1:{direct},NETWORK://127.0.0.1:{behind}");
    let advertised = format!("PLAINTEXT://127.0.0.1:{direct},NETWORK://127.0.0.1:{proxy}");
    if id == 1 {
        listeners += &format!(",CONTROLLER://127.0.0.1:{own_controller}");
    } else {
        lines = lines.replace("broker,controller", "broker");
    }
    lines = lines.replace("node.id=1", &format!("node.id={id}"));
    lines += include_str!("node.properties");
    lines += &format!(
        "listeners={listeners}\nadvertised.listeners={advertised}\n\
        controller.quorum.voters=1@127.0.0.1:{controller}\nlog.dirs={}\n",
        data.display()
    );
    fs::write(&properties, lines).expect("a file");
    let libraries = setting("KAFKA_LIBS");
    let java = "java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.level=INFO";
    let run = format!(
        "test -e {data}/meta.properties || {java} -cp '{libraries}/*' kafka.tools.StorageTool format \
        -t otelMessagingScratch0Q -c {properties} || exit; exec {java} -cp '{libraries}/*' kafka.Kafka {properties}",
        data = data.display(),
        properties = properties.display()
    );
    let mut command = room.command("sh");
    command.args(["-c", &run]);
    command
}
