//! Orders that the shop makes itself.

use std::collections::BTreeSet;
use std::process::Output;
use std::time::Duration;

use integration::otlp::Receiver;
use integration::programs::{program, run, text};
use integration::{amqp, unique};
use lapin::BasicProperties;
use lapin::options::{BasicPublishOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde_json::json;
use tokio::process::Command;

use crate::ends::left;
use crate::exported::{
    Exported, Place, attribute, of_resource, places, services_with, spans, traces, traces_of_logs,
};
use crate::told::{Sums, in_the_queue_of};

const SERVICES: [&str; 4] = ["billing", "orders", "shipping", "stock"];

fn shop(suffix: &str, load: &str) -> Command {
    let mut shop = program("shop");
    shop.args(["--suffix", suffix]).args(load.split(' '));
    shop
}

fn said(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    text(output.stdout)
}

/// What an order becomes, by its kind.
fn expected(suffix: &str, kind: &str) -> Vec<Place> {
    let (orders, shipments) = (
        format!("shop.orders-{suffix}"),
        format!("shop.shipments-{suffix}"),
    );
    let stock = format!("shop.stock-{suffix}");
    let (attempts, settled) = match kind {
        "failing" => (2, "nack"),
        _ => (1, "ack"),
    };
    let mut places = vec![
        (
            "orders",
            "POST /orders".to_owned(),
            SpanKind::Server,
            String::new(),
        ),
        (
            "orders",
            format!("send {orders}"),
            SpanKind::Producer,
            "POST /orders".to_owned(),
        ),
        (
            "billing",
            format!("create {shipments}"),
            SpanKind::Producer,
            format!("send {orders}"),
        ),
    ];
    for _ in 0..attempts {
        let process = format!("process {shipments}");
        places.extend([
            (
                "shipping",
                process.clone(),
                SpanKind::Consumer,
                format!("create {shipments}"),
            ),
            (
                "shipping",
                format!("{settled} {shipments}"),
                SpanKind::Client,
                process.clone(),
            ),
            (
                "shipping",
                format!("request {stock}"),
                SpanKind::Producer,
                process,
            ),
            (
                "stock",
                format!("process {stock}"),
                SpanKind::Consumer,
                format!("request {stock}"),
            ),
            (
                "stock",
                "publish _INBOX".to_owned(),
                SpanKind::Producer,
                format!("process {stock}"),
            ),
        ]);
    }
    let places = places.into_iter();
    let places =
        places.map(|(service, name, kind, parent)| (service.to_owned(), name, kind as i32, parent));
    let mut places: Vec<_> = places.collect();
    places.sort();
    places
}

fn kind_of(trace: &[Exported]) -> Option<String> {
    let mut kinds = trace.iter();
    kinds.find_map(|exported| attribute(&exported.span.attributes, "shop.order.kind"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_order_is_one_trace_over_all_brokers_and_none_is_lost_nor_a_span_of_it() {
    let (receiver, endpoint) = Receiver::start();
    let suffix = unique("t");
    let mut shop = shop(&suffix, "--load 100 --failing 5 --slow 2");
    let said = said(run(shop.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)).await);

    let sums = Sums::of(&said);
    let spans = spans(&receiver);
    let count = spans.len();
    assert_eq!(
        sums.line("sent"),
        "100 orders: 5 that fail, 2 that are slow"
    );
    assert_eq!(sums.line("processed"), "100 orders: 95 shipped, 5 failed");
    assert_eq!(sums.line("recorded"), format!("{count} spans"));
    let sampled = format!("{count} spans, in the traces of 100 orders");
    assert_eq!(sums.line("sampled"), sampled);
    assert_eq!(sums.line("exported"), format!("{count} spans"));
    assert_eq!(sums.line("dropped"), "0 spans");
    for broker in ["Kafka", "RabbitMQ", "NATS"] {
        assert!(in_the_queue_of(&said, broker) > 0.0, "{said}");
    }
    assert_traces(&spans, &suffix);
    assert_batches(&spans, &suffix);
    assert_services(&receiver);
    assert_logs(&receiver, &spans);
    assert_eq!(left(&suffix).await, [""; 0]);
}

fn assert_traces(spans: &[Exported], suffix: &str) {
    let mut kinds = Vec::new();
    for trace in traces(spans).values() {
        // The others are those of batches.
        let Some(kind) = kind_of(trace) else { continue };
        assert_eq!(places(trace), expected(suffix, &kind), "{kind}");
        let name = format!("process shop.shipments-{suffix}");
        for Exported { span, .. } in trace.iter().filter(|exported| exported.span.name == name) {
            let lasted = Duration::from_nanos(span.end_time_unix_nano - span.start_time_unix_nano);
            // A machine that is busy makes others slow too.
            assert!(
                lasted > Duration::from_secs(1) || kind != "slow",
                "{span:?}"
            );
            let status = span.status.clone().unwrap_or_default();
            let is_failed = status.code() == StatusCode::Error;
            assert_eq!(is_failed, kind == "failing", "{span:?}");
        }
        kinds.push(kind);
    }
    let count = |kind| kinds.iter().filter(|one| *one == kind).count();
    let counts = ["ordinary", "failing", "slow"].map(count);
    assert_eq!(counts, [93, 5, 2]);
}

/// Each order is in one batch, which is in no order's trace.
fn assert_batches(spans: &[Exported], suffix: &str) {
    let named = |name: String| {
        spans
            .iter()
            .filter(move |exported| exported.span.name == name)
    };
    let sent = named(format!("send shop.orders-{suffix}"));
    let sent: BTreeSet<_> = sent.map(|sent| &sent.span.span_id).collect();
    let mut linked = Vec::new();
    for Exported { service, span } in named(format!("process shop.orders-{suffix}")) {
        assert_eq!(
            (service.as_str(), &*span.parent_span_id),
            ("billing", &[][..])
        );
        linked.extend(span.links.iter().map(|link| &link.span_id));
    }
    assert_eq!(linked.len(), 100);
    assert_eq!(BTreeSet::from_iter(linked), sent);
}

fn assert_services(receiver: &Receiver) {
    let all = BTreeSet::from(SERVICES.map(str::to_owned));
    let (mut services, mut instances) = (BTreeSet::new(), BTreeSet::new());
    for spans in receiver.spans_of_resources() {
        let of = |key| of_resource(spans.resource.as_ref(), key);
        assert_eq!(of("service.namespace"), "shop");
        assert_eq!(of("service.version"), "0.0.0");
        assert_eq!(of("deployment.environment.name"), "development");
        services.insert(of("service.name"));
        instances.insert(of("service.instance.id"));
    }
    assert_eq!((services, instances.len()), (all.clone(), 4));

    let of = |services: &[&str]| services.iter().map(ToString::to_string).collect();
    let with = |metric| services_with(receiver, metric);
    assert_eq!(with("messaging.client.sent.messages"), all);
    assert_eq!(with("http.server.request.duration"), of(&["orders"]));
    let in_queue = "otel_messaging.message.time_in_queue";
    assert_eq!(with(in_queue), of(&["billing", "shipping"]));
}

fn assert_logs(receiver: &Receiver, spans: &[Exported]) {
    let traces_of = |kinds: &[&str]| -> BTreeSet<_> {
        let traces = traces(spans).into_iter();
        let traces = traces
            .filter(|(_, trace)| kind_of(trace).is_some_and(|kind| kinds.contains(&kind.as_str())));
        traces.map(|(trace, _)| trace).collect()
    };
    for (text, service, kinds, count) in [
        (
            "order taken",
            "orders",
            &["ordinary", "failing", "slow"][..],
            100,
        ),
        ("order shipped", "shipping", &["ordinary", "slow"], 95),
        ("messaging.process.exception", "shipping", &["failing"], 10),
    ] {
        let told = traces_of_logs(receiver, text);
        assert_eq!(told.len(), count, "{text}");
        assert!(told.iter().all(|(of, _)| of == service), "{text}");
        let told: BTreeSet<_> = told.into_iter().map(|(_, trace)| trace).collect();
        assert_eq!(told, traces_of(kinds), "{text}");
    }
}

/// Orders that another run with this suffix has not come to.
async fn left_over(suffix: &str, count: usize) {
    let channel = amqp::channel().await;
    let mut arguments = FieldTable::default();
    for (name, value) in [
        ("x-dead-letter-exchange", String::new()),
        (
            "x-dead-letter-routing-key",
            format!("shop.dead-letters-{suffix}"),
        ),
    ] {
        arguments.insert(name.into(), AMQPValue::LongString(value.into()));
    }
    let queue = format!("shop.shipments-{suffix}");
    let options = QueueDeclareOptions::durable();
    let declared = channel.queue_declare(queue.as_str().into(), options, arguments);
    declared.await.expect("a queue");
    for number in 0..count {
        let order = json!({"id": format!("left-{number}"), "kind": "ordinary", "item": "a book", "sent_at": 0});
        let body = order.to_string();
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let published = channel.basic_publish(
            "".into(),
            queue.as_str().into(),
            options,
            body.as_bytes(),
            properties,
        );
        published
            .await
            .expect("it is sent")
            .await
            .expect("it is taken");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_run_has_left_is_shipped_and_not_counted() {
    let suffix = unique("t");
    left_over(&suffix, 30).await;

    let said = said(run(&mut shop(&suffix, "--load 20 --failing 2")).await);
    let sums = Sums::of(&said);

    assert_eq!((sums.number("sent"), sums.number("processed")), (20, 20));
    assert_eq!(sums.line("processed"), "20 orders: 18 shipped, 2 failed");
    // What was left says that it was sent in 1970.
    let an_hour = 3.6e6;
    assert!(in_the_queue_of(&said, "RabbitMQ") < an_hour, "{said}");
    assert_eq!(left(&suffix).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sampler_of_the_environment_takes_whole_traces_or_none_and_no_order_is_lost() {
    let (receiver, endpoint) = Receiver::start();
    let suffix = unique("t");
    let mut shop = shop(&suffix, "--load 60");
    let shop = shop
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
        .env("OTEL_TRACES_SAMPLER_ARG", "0.5");
    let sums = Sums::of(&said(run(shop).await));

    let spans = spans(&receiver);
    let (count, traces) = (spans.len(), traces(&spans));
    let traces: Vec<_> = traces
        .values()
        .filter(|trace| kind_of(trace).is_some())
        .collect();
    for trace in &traces {
        assert_eq!(places(trace), expected(&suffix, "ordinary"));
    }
    // Neither all nor none: that would happen once in 10 to the power of 18.
    assert!((1..60).contains(&traces.len()), "{}", traces.len());
    assert_eq!(sums.line("processed"), "60 orders: 60 shipped, 0 failed");
    assert_eq!(sums.number("recorded"), count);
    let sampled = format!("{count} spans, in the traces of {} orders", traces.len());
    assert_eq!(sums.line("sampled"), sampled);
    assert_eq!(sums.number("dropped"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_that_the_batch_processor_has_no_room_for_are_counted() {
    let (receiver, endpoint) = Receiver::start();
    let mut shop = shop(&unique("t"), "--load 60");
    let shop = shop
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("OTEL_BSP_MAX_QUEUE_SIZE", "2")
        .env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2");
    let sums = Sums::of(&said(run(shop).await));

    let [recorded, exported, dropped] =
        ["recorded", "exported", "dropped"].map(|name| sums.number(name));
    assert!(dropped > 0);
    assert_eq!(exported, spans(&receiver).len());
    assert_eq!(recorded, exported + dropped);
    assert_eq!(sums.line("processed"), "60 orders: 60 shipped, 0 failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_is_exported_the_trace_of_an_order_is_drawn() {
    let suffix = unique("t");
    let mut shop = shop(&suffix, "--load 3");
    let said = said(run(shop.env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")).await);

    let sums = Sums::of(&said);
    let nowhere = "0 spans: OTEL_EXPORTER_OTLP_ENDPOINT is not set";
    assert_eq!(sums.line("exported"), nowhere);
    let drawn = said
        .split("\ntrace ")
        .find(|trace| trace.contains("\nPOST /orders"));
    let drawn = drawn.expect("a trace");
    for (service, name, ..) in expected(&suffix, "ordinary") {
        let mut lines = drawn.lines();
        let line = lines.find(|line| line.contains(&name) && !line.contains('⇠'));
        assert!(
            line.is_some_and(|line| line.contains(&service)),
            "{name}: {drawn}"
        );
    }
}
