//! A receiver of OTLP.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::ScopeSpans;
use prost::Message as _;

/// Takes OTLP over HTTP, as long as the process runs.
#[derive(Clone, Debug, Default)]
pub struct Receiver(Arc<Mutex<Vec<ScopeSpans>>>);

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
        (receiver, format!("http://{address}/v1/traces"))
    }

    /// Takes one request and answers it; `None` when the client is gone.
    fn take(&self, connection: &TcpStream) -> Option<()> {
        let mut request = BufReader::new(connection);
        let mut length = 0;
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
        let request = ExportTraceServiceRequest::decode(&*body).expect("OTLP");
        let scopes = request
            .resource_spans
            .into_iter()
            .flat_map(|all| all.scope_spans);
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.extend(scopes);
        drop(taken);
        let answer =
            b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
        let mut connection = connection;
        connection.write_all(answer).ok()
    }

    /// What came so far.
    pub fn scopes(&self) -> Vec<ScopeSpans> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
