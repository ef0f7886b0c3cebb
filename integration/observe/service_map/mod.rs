//! Which edges between services the back ends draw, and with which counts: the table of `src/guide/service_map.md`.

mod constructs;
mod service;

use std::collections::BTreeMap;

use integration::unique;

use self::constructs::{CONSTRUCTS, Construct, Counts};
pub(crate) use self::service::Service;
use crate::{jaeger, prometheus, until};

/// How the services are called that send; the names of one run are its own.
const PRODUCERS: [&str; 3] = ["shop", "web", "partner"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_edges_that_the_back_ends_draw_are_those_of_the_table() {
    let run = unique("map");
    let mut producers = Vec::new();
    for name in PRODUCERS {
        producers.push(Service::start(&format!("{name}-{run}")).await);
    }

    let mut sent = Vec::new();
    for construct in CONSTRUCTS {
        sent.push(run_one(construct, &producers).await);
    }
    // What was counted last is there: so is all before it.
    let marker = run_one(CONSTRUCTS[0], &producers).await;
    for producer in &producers {
        producer.flush();
    }
    let whole = Counts::whole(&marker.messages);
    until("edges in Jaeger", || {
        (edges_in_jaeger(&marker, &producers) == whole).then_some(())
    })
    .await;
    until("edges in Prometheus", || {
        (edges_in_graph(&marker, &producers) == whole).then_some(())
    })
    .await;
    until("spans in Prometheus", || {
        (processed(&marker) == marker.messages.iter().sum::<u64>()).then_some(())
    })
    .await;

    let page = include_str!("../../../src/guide/service_map.md");
    let mut rows = Vec::new();
    for sent in &sent {
        let jaeger = edges_in_jaeger(sent, &producers).verdict(sent);
        let graph = edges_in_graph(sent, &producers).verdict(sent);
        let spans = sent.verdict_on_spans(processed(sent));
        rows.push(format!(
            "| {} | {jaeger} | {graph} | {spans} |",
            sent.construct.title
        ));
    }
    let missing: Vec<_> = rows
        .iter()
        .filter(|row| !page.contains(row.as_str()))
        .collect();
    assert!(
        missing.is_empty(),
        "rows that were measured, and are not in the page:\n{missing:#?}"
    );
    let table = page.lines().skip_while(|line| *line != rows[0]);
    let in_table = table.take_while(|line| !line.is_empty()).count();
    assert_eq!(in_table, rows.len(), "no row that was not measured");
}

/// What was sent, and who handled it.
struct Sent {
    construct: Construct,
    consumers: Vec<Service>,
    /// How many messages each producer sent.
    messages: Vec<u64>,
    /// Under how many calls or requests of it.
    groups: Vec<u64>,
}

async fn run_one(construct: Construct, producers: &[Service]) -> Sent {
    let names = construct.consumers();
    let mut consumers = Vec::new();
    for name in names {
        consumers.push(Service::start(&unique(name)).await);
    }
    let subject = unique(construct.subject);
    let (messages, groups) = construct.run(&subject, producers, &consumers).await;
    for service in producers.iter().chain(&consumers) {
        service.flush();
    }
    Sent {
        construct,
        consumers,
        messages,
        groups,
    }
}

fn edges_in_jaeger(sent: &Sent, producers: &[Service]) -> Counts {
    let dependencies = jaeger::dependencies(&crate::given("UNSAMPLED_JAEGER_URL"));
    counts(sent, producers, |producer, consumer| {
        let edge = (producer.to_owned(), consumer.to_owned());
        dependencies.get(&edge).copied().unwrap_or_default()
    })
}

fn edges_in_graph(sent: &Sent, producers: &[Service]) -> Counts {
    let found = prometheus::query("sum by (client, server) (traces_service_graph_request_total)");
    let edges: BTreeMap<_, _> = found
        .iter()
        .map(|one| ((one.label("client"), one.label("server")), one.value as u64))
        .collect();
    counts(sent, producers, |producer, consumer| {
        edges
            .get(&(producer, consumer))
            .copied()
            .unwrap_or_default()
    })
}

/// The edges from each producer to all that handle its messages, and those back.
fn counts(sent: &Sent, producers: &[Service], calls: impl Fn(&str, &str) -> u64) -> Counts {
    let to = |producer: &Service| {
        let calls = sent
            .consumers
            .iter()
            .map(|one| calls(&producer.name, &one.name));
        calls.sum()
    };
    let back = |producer: &Service| {
        let calls = sent
            .consumers
            .iter()
            .map(|one| calls(&one.name, &producer.name));
        calls.sum::<u64>()
    };
    Counts {
        calls: producers.iter().map(to).collect(),
        back: producers.iter().map(back).sum(),
    }
}

/// How many spans of processing were counted.
fn processed(sent: &Sent) -> u64 {
    let count = |consumer: &Service| {
        let name = &consumer.name;
        let query = format!(
            "sum(traces_span_metrics_calls_total{{service_name=\"{name}\", messaging_operation_type=\"process\"}})"
        );
        prometheus::query(&query)
            .iter()
            .map(|one| one.value as u64)
            .sum::<u64>()
    };
    sent.consumers.iter().map(count).sum()
}
