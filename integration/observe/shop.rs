//! The example `shop`, and what is to be seen of it: in a Jaeger that has all, in one that is behind a Collector that
//! samples, and in Prometheus.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::time::Duration;

use integration::programs::{program, tool};
use integration::unique;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{interval, timeout};

use crate::jaeger::{self, Trace};
use crate::{PATIENCE, given, http, prometheus, until};

/// Who takes part in an order, in its order.
const SERVICES: [&str; 4] = ["orders", "billing", "shipping", "stock"];

/// Requests at a time.
const CUSTOMERS: usize = 4;

/// A run of the shop.
struct Run {
    running: Child,
    /// What it says of errors, until its end.
    errors: JoinHandle<String>,
    address: String,
    /// Of the names of what it makes at the brokers.
    suffix: String,
}

impl Run {
    /// Starts it, with its spans sent as this variable says.
    async fn start(variable: &str, endpoint: String) -> Self {
        let suffix = unique("run");
        let mut command = program("shop");
        for (name, _) in env::vars().filter(|(name, _)| name.starts_with("OTEL_")) {
            command.env_remove(name);
        }
        command
            .args(["--suffix", &suffix])
            .env(variable, endpoint)
            .env("OTEL_METRIC_EXPORT_INTERVAL", "1000");
        let mut running = command.spawn().expect("it starts");
        let output = running.stdout.take().expect("its output");
        let mut errors = running.stderr.take().expect("its errors");
        let errors = tokio::spawn(async move {
            let mut said = String::new();
            errors.read_to_string(&mut said).await.expect("text");
            said
        });
        let mut said = BufReader::new(output).lines();
        let address = async {
            loop {
                let line = said.next_line().await.expect("text").expect("an address");
                if let Some(address) = line.strip_prefix("Orders are taken at ") {
                    return address.trim_end_matches("/orders").to_owned();
                }
            }
        };
        let address = timeout(PATIENCE, address).await.expect("in time");
        tokio::spawn(async move { while let Ok(Some(_)) = said.next_line().await {} });
        Self {
            running,
            errors,
            address,
            suffix,
        }
    }

    /// Orders so many of a kind, not faster than the shop handles them: in a queue they would all be slow.
    async fn order(&self, kind: &str, orders: usize) {
        let wish = format!("{{\"item\": \"two books\", \"kind\": \"{kind}\"}}");
        let mut pace = interval(Duration::from_millis(10));
        let mut asked = JoinSet::new();
        for _ in 0..orders {
            pace.tick().await;
            let (address, wish) = (self.address.clone(), wish.clone());
            asked.spawn_blocking(move || http::post(&address, "/orders", &wish));
            while asked.len() >= CUSTOMERS {
                asked
                    .join_next()
                    .await
                    .expect("an answer")
                    .expect("no panic");
            }
        }
        asked.join_all().await;
    }

    /// Ends it in order, when it has nothing more to do: all that it has is exported.
    async fn end(&mut self) {
        let id = self.running.id().expect("a process").to_string();
        let pressed = Command::new("kill").args(["-INT", &id]).status().await;
        assert!(pressed.expect("a program").success());
        let ended = timeout(PATIENCE, self.running.wait()).await;
        let status = ended.expect("in time").expect("an end");
        let errors = (&mut self.errors).await.expect("no panic");
        assert!(status.success(), "{status}: {errors}");
    }

    /// Traces in this Jaeger that have a span of this service and name, with the suffix left out of names.
    fn traces(&self, jaeger: &str, service: &str, name: &str) -> Vec<Trace> {
        let suffix = format!("-{}", self.suffix);
        let mut traces = jaeger::traces(jaeger, service, &format!("{name}{suffix}"));
        for span in traces.iter_mut().flat_map(|trace| &mut trace.spans) {
            span.name = span.name.replace(&suffix, "");
        }
        traces
    }

    fn orders(&self, jaeger: &str) -> Vec<Trace> {
        self.traces(jaeger, "orders", "send shop.orders")
    }

    fn batches(&self, jaeger: &str) -> Vec<Trace> {
        self.traces(jaeger, "billing", "process shop.orders")
    }
}

/// What Jaeger returns of an order that nothing happens to; `src/guide/service_map.md` shows it.
const SHIPPED: &str = "\
POST /orders SERVER                         orders
  send shop.orders PRODUCER                 orders   CHILD_OF
    create shop.shipments PRODUCER          billing  CHILD_OF
      process shop.shipments CONSUMER       shipping FOLLOWS_FROM
        request shop.stock PRODUCER         shipping CHILD_OF
          process shop.stock CONSUMER       stock    FOLLOWS_FROM
            publish _INBOX PRODUCER         stock    CHILD_OF
        ack shop.shipments CLIENT           shipping CHILD_OF, FOLLOWS_FROM create shop.shipments
";

/// And of one that fails, comes again, and fails again.
const FAILED: &str = "\
POST /orders SERVER                         orders
  send shop.orders PRODUCER                 orders   CHILD_OF
    create shop.shipments PRODUCER          billing  CHILD_OF
      process shop.shipments CONSUMER       shipping FOLLOWS_FROM
        request shop.stock PRODUCER         shipping CHILD_OF
          process shop.stock CONSUMER       stock    FOLLOWS_FROM
            publish _INBOX PRODUCER         stock    CHILD_OF
        nack shop.shipments CLIENT          shipping CHILD_OF, FOLLOWS_FROM create shop.shipments
      process shop.shipments CONSUMER       shipping FOLLOWS_FROM
        request shop.stock PRODUCER         shipping CHILD_OF
          process shop.stock CONSUMER       stock    FOLLOWS_FROM
            publish _INBOX PRODUCER         stock    CHILD_OF
        nack shop.shipments CLIENT          shipping CHILD_OF, FOLLOWS_FROM create shop.shipments
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_one_tree_over_three_brokers_and_a_call_on_each_edge() {
    const ORDERS: usize = 20;
    const FAILING: usize = 3;
    let jaeger = given("UNSAMPLED_JAEGER_URL");
    let before = jaeger::dependencies(&jaeger);
    let endpoint = format!("{}/v1/traces", given("UNSAMPLED_JAEGER_OTLP_URL"));
    let mut run = Run::start("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint).await;
    run.order("ordinary", ORDERS - FAILING).await;
    run.order("failing", FAILING).await;
    until("all are handled", || {
        let orders = run.orders(&jaeger);
        let spans: usize = orders.iter().map(|order| order.spans.len()).sum();
        let expected =
            SHIPPED.lines().count() * (ORDERS - FAILING) + FAILED.lines().count() * FAILING;
        (spans == expected).then_some(())
    })
    .await;
    assert_joined(&run, &jaeger).await;
    run.end().await;
    let orders = run.orders(&jaeger);
    assert_eq!(orders.len(), ORDERS);

    let (failed, shipped): (Vec<_>, Vec<_>) =
        orders.iter().partition(|order| kind(order) == "failing");
    assert_eq!(failed.len(), FAILING);
    for (orders, drawn) in [(shipped, SHIPPED), (failed, FAILED)] {
        for order in orders {
            assert_eq!(order.drawn(), drawn);
        }
    }
    assert!(
        include_str!("../../src/guide/service_map.md").contains(SHIPPED),
        "the page shows:\n{SHIPPED}"
    );
    assert_resources(&orders);
    assert_linked(&run.batches(&jaeger), &orders);

    // What is delivered once more is one call more; what is settled, received and answered is none.
    let after = jaeger::dependencies(&jaeger);
    let calls = |from: &str, to: &str| {
        let edge = (from.to_owned(), to.to_owned());
        let count = |all: &BTreeMap<_, u64>| all.get(&edge).copied().unwrap_or_default();
        usize::try_from(count(&after) - count(&before)).expect("a small number")
    };
    let called: Vec<_> = SERVICES
        .iter()
        .flat_map(|from| SERVICES.iter().map(move |to| (*from, *to)))
        .map(|(from, to)| (from, to, calls(from, to)))
        .filter(|(.., calls)| *calls > 0)
        .collect();
    let expected = [
        ("orders", "billing", ORDERS),
        ("billing", "shipping", ORDERS + FAILING),
        ("shipping", "stock", ORDERS + FAILING),
    ];
    assert_eq!(called, expected);
}

/// The command has the message of an order between the span that sent it and the service that billed it.
async fn assert_joined(run: &Run, jaeger: &str) {
    let topic = format!("kafka:shop.orders-{}", run.suffix);
    let orders = run.orders(jaeger);
    let order = orders.first().expect("an order");
    let sent = order.span("send shop.orders");
    let trace = [
        "trace", &sent.id.0, "--spans", jaeger, "--format", "json", &topic,
    ];
    let mut command = Command::new(tool());
    let output = timeout(PATIENCE, command.args(trace).output()).await;
    let output = output.expect("in time").expect("it starts");
    assert!(output.status.success(), "{output:?}");
    let drawn: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let message = &drawn["hops"][0];
    assert_eq!(message["destination"], topic, "{drawn:#}");
    assert_eq!(message["below"]["span_id"], sent.id.1, "{drawn:#}");
    let spans = drawn["spans"].as_array().expect("spans");
    assert_eq!(spans.len(), order.spans.len(), "{drawn:#}");
    let below = |span: &&Value| span["below"]["destination"] == topic;
    let below: Vec<_> = spans.iter().filter(below).collect();
    assert_eq!(below.len(), 1, "{drawn:#}");
    assert_eq!(below[0]["service"], "billing", "{drawn:#}");
    assert!(below[0]["waited_ms"].is_u64(), "{drawn:#}");
}

/// Each service tells what it is, and each run of it is an instance of its own.
fn assert_resources(orders: &[Trace]) {
    let mut known: BTreeMap<&str, BTreeSet<&BTreeMap<String, String>>> = BTreeMap::new();
    for span in orders.iter().flat_map(|order| &order.spans) {
        known
            .entry(&span.service)
            .or_default()
            .insert(&span.resource);
    }
    let mut instances = BTreeSet::new();
    assert_eq!(known.len(), SERVICES.len(), "{known:?}");
    for (service, resources) in known {
        assert_eq!(
            resources.len(),
            1,
            "one process of {service}: {resources:?}"
        );
        for resource in resources {
            assert_eq!(resource["service.namespace"], "shop");
            assert_eq!(resource["service.version"], "0.0.0");
            assert_eq!(resource["deployment.environment.name"], "development");
            assert!(
                instances.insert(&resource["service.instance.id"]),
                "{service}"
            );
        }
    }
}

/// Each batch is a trace of its own, and together they link to each order once: to where it was sent.
fn assert_linked(batches: &[Trace], orders: &[Trace]) {
    let processes = batches
        .iter()
        .map(|batch| batch.span("process shop.orders"));
    let links = processes.flat_map(|process| &process.references);
    let mut linked: Vec<_> = links.map(|link| (&*link.kind, &link.to)).collect();
    linked.sort();
    let sends = orders.iter().map(|order| order.span("send shop.orders"));
    let mut expected: Vec<_> = sends.map(|send| ("FOLLOWS_FROM", &send.id)).collect();
    expected.sort();
    assert_eq!(linked, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_collector_keeps_each_error_each_slow_order_and_each_batch_and_a_tenth_of_the_rest() {
    const ORDINARY: usize = 1000;
    const FAILING: usize = 10;
    const SLOW: usize = 10;
    const ORDERS: usize = ORDINARY + FAILING + SLOW;
    let jaeger = given("JAEGER_URL");
    let endpoint = given("OTEL_EXPORTER_OTLP_ENDPOINT");
    let before = EDGES.map(calls);
    let mut run = Run::start("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint).await;
    run.order("ordinary", ORDINARY).await;
    run.order("failing", FAILING).await;
    run.order("slow", SLOW).await;
    let handled = format!(
        "messaging_process_duration_seconds_count{{job=\"shop/shipping\", messaging_destination_name=\"shop.shipments-{}\"}}",
        run.suffix
    );
    let handled = || sum(&handled) as usize;
    until("all are handled", || {
        (handled() == ORDERS + FAILING).then_some(())
    })
    .await;
    run.end().await;

    // They are made last, and so decided on last.
    let of_kind =
        |orders: &[Trace], name| orders.iter().filter(|order| kind(order) == name).count();
    let orders = until(
        "all that fail or are slow, and what else is kept in whole",
        || {
            let orders = run.orders(&jaeger);
            let are_there =
                of_kind(&orders, "failing") == FAILING && of_kind(&orders, "slow") == SLOW;
            let is_whole = |order: &Trace| order.spans.len() >= SHIPPED.lines().count();
            (are_there && orders.iter().all(is_whole)).then_some(orders)
        },
    )
    .await;
    let ordinary = orders.iter().filter(|order| kind(order) == "ordinary");
    // A machine that is busy makes some slow that should not be.
    let (slow, kept): (Vec<_>, Vec<_>) = ordinary.partition(|order| order.duration() > 1_000_000);
    println!(
        "of {ORDINARY} ordinary orders {} are kept, and {} that were slow all the same",
        kept.len(),
        slow.len()
    );
    // Four standard deviations: of 1,000 from 62 to 138.
    let decided = (ORDINARY - slow.len()) as f64;
    let off = (kept.len() as f64 - decided / 10.0).abs();
    assert!(off <= 4.0 * (decided * 0.1 * 0.9).sqrt(), "{off} off");
    for order in kept {
        assert_eq!(order.drawn(), SHIPPED, "what is kept is kept whole");
    }

    // All batches, whatever became of the orders in them. Their spans come from billing, later than those of orders.
    until("all batches", || {
        (billed(&run.batches(&jaeger)) == ORDERS).then_some(())
    })
    .await;

    // What is counted is counted before. Billing handles batches, and what it sends on is no span of handling; an order
    // that comes once more is no call to who handles it, and one more to whom that asks.
    let counted = [0, ORDERS, ORDERS + FAILING];
    let mut expected = before;
    for (calls, more) in expected.iter_mut().zip(counted) {
        *calls += more as f64;
    }
    until("the calls of all orders", || {
        (EDGES.map(calls) == expected).then_some(())
    })
    .await;
    let sent = format!(
        "messaging_client_sent_messages_total{{job=\"shop/orders\", messaging_destination_name=\"shop.orders-{}\"}}",
        run.suffix
    );
    until("the metrics of all orders", || {
        (sum(&sent) as usize == ORDERS).then_some(())
    })
    .await;
}

/// How many orders were in these batches.
fn billed(batches: &[Trace]) -> usize {
    let processes = batches
        .iter()
        .map(|batch| batch.span("process shop.orders"));
    let counts = processes.map(|process| &process.tags["messaging.batch.message_count"]);
    counts
        .map(|count| count.parse::<usize>().expect("a number"))
        .sum()
}

const EDGES: [[&str; 2]; 3] = [
    ["orders", "billing"],
    ["billing", "shipping"],
    ["shipping", "stock"],
];

/// Calls that the Collector has counted on an edge.
fn calls([client, server]: [&str; 2]) -> f64 {
    let edge = format!("client=\"{client}\", server=\"{server}\"");
    sum(&format!("traces_service_graph_request_total{{{edge}}}"))
}

fn sum(query: &str) -> f64 {
    let found = prometheus::query(query);
    found.iter().map(|series| series.value).sum()
}

/// The kind of order that a trace is about.
fn kind(order: &Trace) -> &str {
    &order.span("POST /orders").tags["shop.order.kind"]
}
