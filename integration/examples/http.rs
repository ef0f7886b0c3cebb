//! A request that becomes a message.

use std::collections::BTreeMap;
use std::time::Duration;

use integration::otlp::Receiver;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{sleep, timeout};

use crate::programs::program;

const PATIENCE: Duration = Duration::from_secs(30);

/// A service that takes orders.
struct Shop {
    running: Child,
    said: Lines<BufReader<ChildStdout>>,
    receiver: Receiver,
    address: String,
    orders: String,
}

impl Shop {
    async fn open() -> Self {
        let (receiver, endpoint) = Receiver::start();
        let mut running = program("http")
            .args(["--serve", "127.0.0.1:0"])
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
            .spawn()
            .expect("it starts");
        let output = running.stdout.take().expect("its output");
        let mut said = BufReader::new(output).lines();
        let mut orders = "orders".to_owned();
        let address = loop {
            let line = said.next_line().await.expect("text").expect("an address");
            if let Some(rest) = line.strip_prefix("What this run makes there has ") {
                orders = format!("orders-{}", rest.split(' ').next().expect("a word"));
            }
            if let Some((_, rest)) = line.split_once("http://") {
                break rest.trim_end_matches("/orders").to_owned();
            }
        };
        Self {
            running,
            said,
            receiver,
            address,
            orders,
        }
    }

    /// A request up to its body, which the handler waits for then.
    async fn begin(&self, trace: &str) -> TcpStream {
        let mut request = TcpStream::connect(&self.address).await.expect("a server");
        let head = format!(
            "POST /orders HTTP/1.1\r\nHost: {}\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\
            traceparent: 00-{trace}-00f067aa0ba902b7-01\r\nConnection: close\r\n\r\n",
            self.address
        );
        request.write_all(head.as_bytes()).await.expect("a request");
        let expected = b"HTTP/1.1 100 Continue\r\n\r\n";
        let mut answer = vec![0; expected.len()];
        let read = timeout(PATIENCE, request.read_exact(&mut answer)).await;
        read.expect("in time").expect("an answer");
        assert_eq!(answer, expected);
        request
    }

    /// The rest of it, and the answer.
    async fn finish(mut request: TcpStream) -> String {
        let mut answer = String::new();
        request.write_all(b"two books").await.expect("a body");
        let read = timeout(PATIENCE, request.read_to_string(&mut answer)).await;
        read.expect("in time").expect("an answer");
        answer.lines().next().unwrap_or_default().to_owned()
    }

    async fn press_ctrl_c(&self) {
        let id = self.running.id().expect("a process").to_string();
        let pressed = Command::new("kill").args(["-INT", &id]).status();
        assert!(pressed.await.expect("a program").success());
    }

    async fn no_request_is_taken(&self) {
        let refusing = async {
            while TcpStream::connect(&self.address).await.is_ok() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, refusing).await.expect("in time");
    }

    /// Waits for the end, and returns what the program has said.
    async fn ended(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        let ending = async {
            while let Some(line) = self.said.next_line().await.expect("text") {
                said.push(line);
            }
            self.running.wait().await.expect("an end")
        };
        let status = timeout(PATIENCE, ending).await.expect("an end in time");
        assert!(status.success(), "{status}: {said:#?}");
        said
    }

    /// Asserts that these are the spans of a trace, and that all were exported.
    fn assert_whole(&self, trace: &str) {
        let spans = self.receiver.spans().into_iter().flat_map(|all| all.spans);
        let in_trace: Vec<_> = spans
            .filter(|span| hexadecimal(&span.trace_id) == trace)
            .collect();
        let names: BTreeMap<_, _> = in_trace
            .iter()
            .map(|span| (hexadecimal(&span.span_id), span.name.as_str()))
            .collect();
        let place = |span: &Span| {
            let parent = hexadecimal(&span.parent_span_id);
            let parent = names.get(&parent).map_or(parent, ToString::to_string);
            (span.name.clone(), span.kind(), parent)
        };
        let mut places: Vec<_> = in_trace.iter().map(place).collect();
        places.sort_by(|one, other| one.0.cmp(&other.0));
        let (send, process) = (
            format!("send {}", self.orders),
            format!("process {}", self.orders),
        );
        let expected = [
            ("POST /orders", SpanKind::Server, "00f067aa0ba902b7"),
            ("charge card", SpanKind::Internal, &process),
            (&process, SpanKind::Consumer, &send),
            (&send, SpanKind::Producer, "POST /orders"),
        ];
        let expected =
            expected.map(|(name, kind, parent)| (name.to_owned(), kind, parent.to_owned()));
        assert_eq!(places, expected);
        assert!(
            in_trace.iter().all(|span| span.end_time_unix_nano > 0),
            "{in_trace:#?}"
        );
    }
}

fn hexadecimal(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_the_parent_of_what_its_handler_sends_and_a_child_of_the_callers() {
    let mut shop = Shop::open().await;
    let traces = [
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "80e1afed08e019fc1110464cfa66635c",
    ];
    for trace in traces {
        let answer = Shop::finish(shop.begin(trace).await).await;
        assert_eq!(answer, "HTTP/1.1 202 Accepted");
    }
    shop.press_ctrl_c().await;

    shop.ended().await;
    for trace in traces {
        shop.assert_whole(trace);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_there_when_the_service_stops_is_answered_billed_and_exported() {
    let mut shop = Shop::open().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = shop.begin(trace).await;

    shop.press_ctrl_c().await;
    shop.no_request_is_taken().await;
    let answer = Shop::finish(request).await;
    let said = shop.ended().await;

    assert_eq!(answer, "HTTP/1.1 202 Accepted");
    assert!(
        said.contains(&"  billing: two books".to_owned()),
        "{said:#?}"
    );
    assert_eq!(said.last().map(String::as_str), Some("Interrupted."));
    shop.assert_whole(trace);
}
