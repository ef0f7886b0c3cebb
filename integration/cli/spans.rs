//! Spans beside messages: a real run of a shop and of who bills for it.

use std::fs;
use std::path::PathBuf;

use integration::kafka::{consumer, next, producer, topic};
use integration::unique;
use opentelemetry::trace::{TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, trace::FutureExt as _};
use opentelemetry_proto::tonic::trace::v1::TracesData;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use otel_messaging::testing::Recorder;
use rdkafka::producer::FutureRecord;
use serde_json::{Value, json};

use crate::command::{ended, json};
use crate::faults::traceparent;
use crate::kafka::{scanned_name, send};

/// What was sent, and the spans of it in a file.
struct Run {
    orders: String,
    payments: String,
    invoices: String,
    trace: String,
    file: PathBuf,
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

/// The lines that the Collector's file exporter would write.
fn lines(services: &[(&str, &Recorder)]) -> String {
    let lines = services.iter().map(|(service, recorder)| {
        let resource = Resource::builder_empty().with_service_name((*service).to_owned());
        let spans = recorder.spans();
        let resource_spans = group_spans_by_resource_and_scope(spans, &(&resource.build()).into());
        let line = serde_json::to_string(&TracesData { resource_spans });
        line.expect("JSON") + "\n"
    });
    lines.collect()
}

/// An order that is billed: the payment is sent in the same trace, and taken by nobody; the invoice begins a new one.
async fn run() -> Run {
    let (orders, payments, invoices) = (
        topic("orders").await,
        topic("payments").await,
        topic("invoices").await,
    );
    let [shop, billing] = [Recorder::new(), Recorder::new()];
    let tracer = shop.tracer_provider().tracer("shop");
    let request = Context::new().with_span(tracer.start("POST /orders"));
    let trace = request.span().span_context().trace_id().to_string();
    let order = FutureRecord::<str, _>::to(&orders).payload("two books");
    let id =
        integration::kafka::raw_headers(&[(b"message-id".to_vec(), Some(b"order-8".to_vec()))]);
    let order = order.headers(id.expect("a header"));
    let sender = producer(&shop.telemetry());
    let sent = sender.send(order, integration::kafka::PATIENCE);
    let sent = sent.with_context(request.clone()).await;
    sent.map_err(|(error, _)| error).expect("it is sent");
    request.span().end();

    let telemetry = billing.telemetry();
    let (taker, sender) = (consumer(&telemetry, &orders), producer(&telemetry));
    let order = next(&taker).await;
    order
        .process(async |_| {
            let payment = FutureRecord::<str, str>::to(&payments).payload("7 euros");
            let sent = sender.send(payment, integration::kafka::PATIENCE).await;
            sent.map(drop).map_err(|(error, _)| error)
        })
        .await
        .expect("it is sent");
    drop(order);
    let restarted: [(&str, &[u8]); 2] = [
        ("traceparent", &traceparent(61).into_bytes()),
        ("message-id", b"order-8"),
    ];
    send(&crate::kafka::producer(), &invoices, &restarted).await;

    let file = std::env::temp_dir().join(unique("spans"));
    let spans = lines(&[("shop", &shop), ("billing", &billing)]);
    fs::write(&file, spans).expect("a file");
    Run {
        orders,
        payments,
        invoices,
        trace,
        file,
    }
}

/// For each message and span: what it is, what it is below, and what is missing.
fn tree(drawn: &Value) -> Vec<(String, String, Vec<String>)> {
    let [hops, spans] = ["hops", "spans"].map(|part| drawn[part].as_array().expect("a list"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = |one: &Value| match one["destination"].is_string() {
        true => format!("{} {}", text(&one["destination"]), text(&one["place"])),
        false => {
            let [service, name, kind] = ["service", "name", "kind"].map(|part| text(&one[part]));
            format!("{service}: {name} {kind}")
        }
    };
    let all = hops.iter().chain(spans);
    let mut told: Vec<_> = all
        .map(|one| {
            let below = &one["below"];
            let above = spans
                .iter()
                .find(|span| span["span_id"] == below["span_id"]);
            let gaps = one["gaps"].as_array().expect("gaps").iter();
            (
                name(one),
                match below.is_null() {
                    true => String::new(),
                    false => name(above.unwrap_or(below)),
                },
                gaps.map(text).collect(),
            )
        })
        .collect();
    told.sort();
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_and_messages_of_a_trace_are_one_picture() {
    let run = run().await;
    let file = run.file.to_str().expect("a name");
    let names = [&run.orders, &run.payments, &run.invoices].map(|topic| scanned_name(topic));
    let [of_orders, of_payments, of_invoices] = names.each_ref().map(String::as_str);
    let (orders, payments) = (&run.orders, &run.payments);
    let all = [
        "trace",
        &run.trace,
        "--spans",
        file,
        of_orders,
        of_payments,
        of_invoices,
    ];
    let with = |format| [&all, &["--format", format][..]].concat();

    let drawn = json(&with("json")).await;
    let at = |name: &str, below: &str, gaps: &[&str]| {
        let gaps = gaps.iter().map(|gap| (*gap).to_owned()).collect();
        (name.to_owned(), below.to_owned(), gaps)
    };
    let order = format!("{of_orders} 0/0");
    let sent = format!("shop: send {orders} producer");
    let processed = format!("billing: process {orders} consumer");
    let paid = format!("billing: send {payments} producer");
    let none = "";
    let breaks = "here the trace breaks: the id is that of another message of it";
    let unsent = "no span here says who sent it";
    let untaken = "no span here says who took it";
    let mut expected = [
        at("shop: POST /orders internal", none, &[]),
        at(&sent, "shop: POST /orders internal", &[]),
        at(&order, &sent, &[]),
        at(&processed, &order, &[]),
        at(&paid, &processed, &[]),
        at(&format!("{of_payments} 0/0"), &paid, &[untaken]),
        at(
            &format!("{of_invoices} 0/0"),
            none,
            &[breaks, unsent, untaken],
        ),
    ];
    expected.sort();
    assert_eq!(tree(&drawn), expected, "{drawn:#}");
    let spans = drawn["spans"].as_array().expect("spans");
    let waited = spans.iter().filter(|span| span["waited_ms"].is_u64());
    assert_eq!(waited.count(), 1, "{drawn:#}");

    for (format, begin, parts) in [
        ("text", "trace ", ["in the queue", breaks]),
        ("mermaid", "sequenceDiagram", ["in the queue", "--x"]),
        ("dot", "digraph", ["style=rounded", "color=red"]),
    ] {
        let (code, drawn, error) = ended(&with(format)).await;
        assert_eq!((code, error.as_str()), (Some(0), ""));
        assert!(drawn.starts_with(begin), "{drawn}");
        for part in parts.iter().chain(&[of_payments, "billing"]) {
            assert!(drawn.contains(part), "no {part} in {drawn}");
        }
    }

    // Spans alone; and messages, where there are no spans of them.
    let drawn = json(&["trace", &run.trace, "--spans", file, "--format", "json"]).await;
    assert_eq!(drawn["hops"], json!([]));
    let mut expected = [
        at("shop: POST /orders internal", none, &[]),
        at(&sent, "shop: POST /orders internal", &[]),
        at(&processed, &sent, &[]),
        at(&paid, &processed, &[]),
    ];
    expected.sort();
    assert_eq!(tree(&drawn), expected, "{drawn:#}");
    let other = &traceparent(62)[3..35];
    let (code, out, error) = ended(&["trace", other, "--spans", file]).await;
    assert_eq!(code, Some(0));
    assert!(out.contains("in none of these"), "{out}");
    assert!(error.contains("there is no span of this trace"), "{error}");
}

#[tokio::test]
async fn what_is_no_file_of_spans_is_told_with_its_line() {
    let id = &traceparent(63)[3..35];
    let file = std::env::temp_dir().join(unique("spans"));
    let name = file.to_str().expect("a name");
    fs::write(&file, "{\"resourceSpans\":[]}\n{\"resourceSpans\":[{]}\n").expect("a file");
    for (source, part) in [
        (name, "key must be a string at line 2 column 20"),
        ("/nowhere/spans.json", "/nowhere/spans.json: No such file"),
        ("http://127.0.0.1:1", "Jaeger: io: Connection refused"),
        ("https://jaeger", "there is no TLS here"),
    ] {
        let (code, out, error) = ended(&["trace", id, "--spans", source]).await;
        assert_eq!((code, out.as_str()), (Some(2), ""), "{error}");
        assert!(error.contains(part), "no {part} in {error}");
    }
    fs::remove_file(&file).expect("it is there");
    let (code, _, error) = ended(&["trace", id]).await;
    assert_eq!(code, Some(2));
    assert!(error.contains("DESTINATION"), "{error}");
}
