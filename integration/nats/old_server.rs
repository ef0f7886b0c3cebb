//! A server from before there were headers. There is none to be had any more, so it is a few lines
//! here.

use integration::nats::in_time;
use integration::whole;
use opentelemetry::trace::SpanKind;
use otel_messaging::nats::Producer;
use otel_messaging::testing::Recorder;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Its port, and the lines that its client sends.
async fn old_server() -> (u16, UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let (lines, heard) = unbounded_channel();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let mut stream = BufReader::new(stream);
        let info = format!(
            r#"INFO {{"server_id":"old","version":"2.1.9","host":"127.0.0.1","port":{port},"proto":1,"max_payload":1048576,"client_id":1}}"#
        );
        stream.write_all(info.as_bytes()).await.expect("a client");
        stream.write_all(b"\r\n").await.expect("a client");
        let mut line = String::new();
        while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
            let line = std::mem::take(&mut line);
            if line == "PING\r\n" {
                stream.write_all(b"PONG\r\n").await.expect("a client");
            } else {
                let _ = lines.send(line);
            }
        }
    });
    (port, heard)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_a_server_that_knows_no_headers_messages_go_as_they_are() {
    let recorder = Recorder::new();
    let (port, mut heard) = old_server().await;
    let client = async_nats::connect(format!("nats://127.0.0.1:{port}")).await;
    let producer = Producer::wrap(&recorder.telemetry(), client.expect("a connection"));

    for payload in ["one", "two"] {
        producer
            .publish("orders", payload.into())
            .await
            .expect("a publish");
    }
    producer.flush().await.expect("a connection");

    let mut sent = String::new();
    while !sent.ends_with("two\r\n") {
        sent += &in_time(heard.recv()).await.expect("a line");
    }
    let published = sent.find("PUB").map(|at| &sent[at..]);
    assert_eq!(
        published,
        Some("PUB orders 3\r\none\r\nPUB orders 3\r\ntwo\r\n")
    );
    let spans = recorder.spans();
    assert_eq!(spans.len(), 2);
    for span in &spans {
        whole::span("publish orders", SpanKind::Producer)
            .attribute("messaging.system.name", "nats")
            .attribute("messaging.operation.name", "publish")
            .attribute("messaging.operation.type", "send")
            .attribute("messaging.destination.name", "orders")
            .assert(span);
    }
    assert_eq!(recorder.counter_total("otel_messaging.context.problems"), 2);
}

/// What is not known when the client is wrapped is learnt when it has connected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_connects_later_learns_what_its_server_knows() {
    let recorder = Recorder::new();
    let (port, mut heard) = old_server().await;
    let client = async_nats::ConnectOptions::new()
        .retry_on_initial_connect()
        .connect(format!("nats://127.0.0.1:{port}"))
        .await
        .expect("a client that goes on trying");
    let producer = Producer::wrap(&recorder.telemetry(), client.clone());
    in_time(async {
        // The client says that it is connected before it knows its server.
        while client.try_server_info().is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await;

    producer
        .publish("orders", "two books".into())
        .await
        .expect("a publish");

    let mut sent = String::new();
    while !sent.ends_with("two books\r\n") {
        sent += &in_time(heard.recv()).await.expect("a line");
    }
    assert!(sent.ends_with("PUB orders 9\r\ntwo books\r\n"), "{sent}");
    assert_eq!(recorder.counter_total("otel_messaging.context.problems"), 1);
}
