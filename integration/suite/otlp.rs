//! A receiver of OTLP.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::logs::v1::ResourceLogs;
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use prost::Message as _;

/// Takes OTLP over HTTP, as long as the process runs.
#[derive(Clone, Debug, Default)]
pub struct Receiver(Arc<Mutex<Received>>);

#[derive(Debug, Default)]
struct Received {
    spans: Vec<ResourceSpans>,
    metrics: Vec<ResourceMetrics>,
    logs: Vec<ResourceLogs>,
}

impl Receiver {
    /// Starts one, and says where it listens.
    pub fn start() -> (Self, String) {
        let receiver = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let taking = receiver.clone();
        thread::spawn(move || {
            for connection in listener.incoming() {
                let taking = taking.clone();
                let connection = connection.expect("a connection");
                thread::spawn(move || while taking.take(&connection).is_some() {});
            }
        });
        (receiver, format!("http://{address}"))
    }

    /// Takes one request and answers it; `None` when the client is gone.
    fn take(&self, connection: &TcpStream) -> Option<()> {
        let mut request = BufReader::new(connection);
        let mut length = 0;
        let mut target = String::new();
        request.read_line(&mut target).ok()?;
        loop {
            let mut line = String::new();
            request.read_line(&mut line).ok().filter(|read| *read > 0)?;
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(("content-length", value)) = line.split_once(": ") {
                length = value.parse().expect("a length");
            }
        }
        let mut body = vec![0; length];
        request.read_exact(&mut body).ok()?;
        if target.contains("/v1/metrics") {
            let request = ExportMetricsServiceRequest::decode(&*body).expect("OTLP");
            self.received().metrics.extend(request.resource_metrics);
        } else if target.contains("/v1/logs") {
            let request = ExportLogsServiceRequest::decode(&*body).expect("OTLP");
            self.received().logs.extend(request.resource_logs);
        } else {
            let request = ExportTraceServiceRequest::decode(&*body).expect("OTLP");
            self.received().spans.extend(request.resource_spans);
        }
        let answer =
            b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
        let mut connection = connection;
        connection.write_all(answer).ok()
    }

    fn received(&self) -> MutexGuard<'_, Received> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Spans that came so far.
    pub fn spans(&self) -> Vec<ScopeSpans> {
        let spans = self.spans_of_resources().into_iter();
        spans.flat_map(|all| all.scope_spans).collect()
    }

    /// The same, by what they are of.
    pub fn spans_of_resources(&self) -> Vec<ResourceSpans> {
        self.received().spans.clone()
    }

    /// Metrics that came so far, as often as they came.
    pub fn metrics(&self) -> Vec<ScopeMetrics> {
        let metrics = self.metrics_of_resources().into_iter();
        metrics.flat_map(|all| all.scope_metrics).collect()
    }

    /// The same, by what they are of.
    pub fn metrics_of_resources(&self) -> Vec<ResourceMetrics> {
        self.received().metrics.clone()
    }

    /// Log records that came so far, by what they are of.
    pub fn logs_of_resources(&self) -> Vec<ResourceLogs> {
        self.received().logs.clone()
    }
}
