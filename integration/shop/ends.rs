//! The end of the shop.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use integration::programs::{program, run, text};
use integration::{amqp, kafka, unique};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(40);

/// A shop that has begun.
struct Shop {
    running: Child,
    said: Lines<BufReader<ChildStdout>>,
    suffix: String,
}

impl Shop {
    /// Begins, and waits for a line that starts like this.
    async fn until(line: &str, arguments: &[&str]) -> Self {
        let suffix = unique("t");
        let mut running = program("shop")
            .args(["--suffix", &suffix])
            .args(arguments)
            // As a terminal does it, so that Ctrl-C is for all that are not in groups of their own.
            .process_group(0)
            .spawn()
            .expect("it starts");
        let output = running.stdout.take().expect("its output");
        let mut said = BufReader::new(output).lines();
        let saying = async {
            loop {
                let said = said.next_line().await.expect("text");
                if said.expect("such a line").starts_with(line) {
                    break;
                }
            }
        };
        timeout(PATIENCE, saying).await.expect("in time");
        Self {
            running,
            said,
            suffix,
        }
    }

    async fn open(arguments: &[&str]) -> Self {
        let shop = Self::until("Orders are taken at http://", arguments).await;
        let services = services(&shop.suffix);
        let names: Vec<_> = services.keys().map(String::as_str).collect();
        assert_eq!(names, ["billing", "orders", "shipping", "stock"]);
        shop
    }

    /// Sends a signal to the program, or with `-` before the id to the group that it leads.
    async fn signal(&self, signal: &str, before: &str) {
        let id = self.running.id().expect("a process");
        kill(signal, &format!("{before}{id}")).await;
    }

    /// Waits for the end, and returns what is said last, and of errors.
    async fn ended(&mut self) -> (bool, String, String) {
        let mut errors = self.running.stderr.take().expect("its errors");
        let (mut last, mut told) = (String::new(), String::new());
        let ending = async {
            while let Some(line) = self.said.next_line().await.expect("text") {
                last = line;
            }
            errors.read_to_string(&mut told).await.expect("text");
            self.running.wait().await.expect("an end")
        };
        let status = timeout(PATIENCE, ending).await.expect("an end in time");
        (status.success(), last, told)
    }
}

async fn kill(signal: &str, id: &str) {
    let killed = Command::new("kill").args([signal, "--", id]).status();
    assert!(killed.await.expect("a program").success());
}

/// The services of a run that are there, by their names. They have its suffix on their command lines.
fn services(suffix: &str) -> BTreeMap<String, u32> {
    let mut services = BTreeMap::new();
    for process in fs::read_dir("/proc").expect("processes") {
        let name = process.expect("a process").file_name();
        let Ok(id) = name.to_string_lossy().parse() else {
            continue;
        };
        // It may have ended meanwhile; one that has ended, and nobody has asked how, has none.
        let line = fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let words: Vec<_> = line.split('\0').collect();
        if let [_, "--child", service, rest @ ..] = &*words
            && rest.contains(&suffix)
        {
            services.insert((*service).to_owned(), id);
        }
    }
    services
}

/// Waits until no service of a run is there any more.
async fn no_service_goes_on(suffix: &str) {
    let ending = async {
        while !services(suffix).is_empty() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let ended = timeout(PATIENCE, ending).await;
    assert!(ended.is_ok(), "{:?}", services(suffix));
}

/// What the brokers still have of a run.
pub(crate) async fn left(suffix: &str) -> Vec<String> {
    let suffix = format!("-{suffix}");
    let queues = ["shop.shipments", "shop.dead-letters"];
    let mut left = amqp::those_there(queues.map(|queue| format!("{queue}{suffix}"))).await;
    let client: BaseConsumer = kafka::config().create().expect("a client");
    let gone = async {
        // What is deleted stays in the metadata for a moment.
        while let Some(name) = topic_or_group(&client, &suffix) {
            sleep(Duration::from_millis(100)).await;
            drop(name);
        }
    };
    if timeout(Duration::from_secs(5), gone).await.is_err() {
        left.extend(topic_or_group(&client, &suffix));
    }
    left
}

fn topic_or_group(client: &BaseConsumer, suffix: &str) -> Option<String> {
    let metadata = client.fetch_metadata(None, kafka::PATIENCE);
    let metadata = metadata.expect("topics");
    let groups = client.fetch_group_list(None, kafka::PATIENCE);
    let groups = groups.expect("groups");
    let topics = metadata.topics().iter().map(|topic| topic.name());
    let groups = groups.groups().iter().map(|group| group.name());
    let mut names = topics.chain(groups);
    let name = names.find(|name| name.ends_with(suffix));
    name.map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_ends_all_services_and_leaves_nothing_behind() {
    for shop in [
        Shop::until("  NATS of ", &[]).await,
        Shop::open(&[]).await,
        Shop::open(&["--load", "100000"]).await,
    ] {
        let mut shop = shop;
        shop.signal("-INT", "-").await;
        let (is_well, last, errors) = shop.ended().await;

        assert!(is_well, "{errors}");
        assert_eq!((last.as_str(), errors.as_str()), ("Interrupted.", ""));
        assert_eq!(services(&shop.suffix), BTreeMap::new());
        assert_eq!(left(&shop.suffix).await, [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_dies_is_named_and_the_others_are_stopped() {
    let mut shop = Shop::open(&[]).await;

    let services_there = services(&shop.suffix);
    let orders = services_there.get("orders").expect("a service");
    kill("-KILL", &orders.to_string()).await;
    let (is_well, _, errors) = shop.ended().await;

    assert!(!is_well);
    let expected = "Error: orders has ended by itself: signal: 9 (SIGKILL)\n";
    assert_eq!(errors, expected);
    assert_eq!(services(&shop.suffix), BTreeMap::new());
    assert_eq!(left(&shop.suffix).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_is_killed_leaves_no_service_behind() {
    let mut shop = Shop::open(&[]).await;

    shop.signal("-KILL", "").await;
    shop.running.wait().await.expect("an end");

    no_service_goes_on(&shop.suffix).await;
    assert_eq!(left(&shop.suffix).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_brokers_and_without_an_engine_it_says_what_to_set_or_to_install() {
    let mut shop = program("shop");
    for variable in ["KAFKA_BROKERS", "AMQP_URL", "NATS_URL"] {
        shop.env_remove(variable);
    }
    // Of brokers that Docker Compose has started for the tests.
    for variable in ["KAFKA_PORT", "AMQP_PORT", "NATS_PORT"] {
        shop.env_remove(variable);
    }
    // Where no program is.
    let output = run(shop.env("PATH", "/nonexistent")).await;

    assert!(!output.status.success());
    assert_eq!(
        text(output.stderr),
        "Error: not set: KAFKA_BROKERS, AMQP_URL, NATS_URL. There is no Docker engine with Compose either, that would \
        start these brokers. Set what is not set, such as KAFKA_BROKERS=127.0.0.1:9092 \
        AMQP_URL=amqp://guest:guest@127.0.0.1:5672/%2f NATS_URL=nats://127.0.0.1:4222; or install Docker, \
        https://docs.docker.com/engine/install/\n"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_not_there_is_named_soon_and_nothing_goes_on() {
    // Free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    for (variable, value, broker, service) in [
        (
            "KAFKA_BROKERS",
            format!("{address}"),
            "Kafka cluster",
            "billing",
        ),
        (
            "AMQP_URL",
            format!("amqp://guest:guest@{address}/%2f"),
            "RabbitMQ",
            "shipping",
        ),
        (
            "NATS_URL",
            format!("nats://{address}"),
            "nats-server",
            "stock",
        ),
    ] {
        let suffix = unique("t");
        let mut shop = program("shop");
        let output = run(shop.args(["--suffix", &suffix]).env(variable, value)).await;

        assert!(!output.status.success());
        let said = text(output.stderr);
        let expected = format!("Error: no {broker} answers at {address}. ");
        assert!(said.starts_with(&expected), "{said}");
        let expected = format!("Error: {service} has ended by itself: exit status: 1");
        assert_eq!(said.lines().last(), Some(expected.as_str()), "{said}");
        assert_eq!(left(&suffix).await, [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_not_named_is_started_by_compose_at_the_port_that_is_set() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    // Says what it was asked, and starts nothing.
    let folder = env::temp_dir().join(unique("docker"));
    fs::create_dir(&folder).expect("a folder");
    let docker = folder.join("docker");
    fs::write(&docker, "#!/bin/sh\necho \"docker $*\"\n").expect("a program");
    fs::set_permissions(&docker, Permissions::from_mode(0o755)).expect("a program");

    let mut shop = program("shop");
    shop.args(["--suffix", &unique("t")])
        .env_remove("NATS_URL")
        .env("NATS_PORT", address.port().to_string())
        .env("PATH", format!("{}:/bin", folder.display()));
    let output = run(&mut shop).await;
    fs::remove_dir_all(folder).expect("an empty place");

    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docker-compose.yml");
    let file = file.replace("integration", "examples");
    let said = text(output.stdout);
    let asked: Vec<_> = said
        .lines()
        .filter(|line| line.starts_with("docker "))
        .collect();
    let up = format!("docker compose --file {file} up --wait nats");
    assert_eq!(asked, [up], "{said}");
    let said = text(output.stderr);
    let expected = format!("Error: no nats-server answers at {address}. ");
    assert!(said.starts_with(&expected), "{said}");
}
