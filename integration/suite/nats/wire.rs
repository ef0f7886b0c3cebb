//! The protocol of NATS, spoken by hand: what no client would send, and what each of them did send.

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::{in_time, url};
use crate::Header;

/// A connection of its own.
#[derive(Debug)]
pub struct Wire(BufReader<TcpStream>);

/// A message as it is on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireMessage {
    /// Subject.
    pub subject: String,
    /// Where an answer goes.
    pub reply: Option<String>,
    /// The block of headers, with its first line and the empty last one; empty if there is none.
    pub block: Vec<u8>,
    /// Body.
    pub payload: Vec<u8>,
}

impl WireMessage {
    /// The headers in their order.
    pub fn headers(&self) -> Vec<Header> {
        let block = String::from_utf8_lossy(&self.block);
        let lines = block.split("\r\n").skip(1);
        lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.as_bytes().to_vec(), Some(value.as_bytes().to_vec())))
            .collect()
    }
}

impl Wire {
    /// Connects to the server of `NATS_URL`.
    pub async fn connect() -> Self {
        let url = url();
        let address = url.trim_start_matches("nats://");
        let stream = TcpStream::connect(address).await.expect("a connection");
        let mut wire = Self(BufReader::new(stream));
        assert!(wire.line().await.starts_with("INFO "));
        wire.write(
            br#"CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}"#,
        )
        .await;
        wire.write(b"\r\n").await;
        wire
    }

    /// Subscribes, and waits until it is so.
    pub async fn subscribe(&mut self, subject: &str) {
        self.write(format!("SUB {subject} 1\r\n").as_bytes()).await;
        self.settled().await;
    }

    /// Publishes a message with this block of headers, whatever it holds, and waits until the server
    /// has it.
    pub async fn publish(&mut self, subject: &str, block: &[u8], payload: &[u8]) {
        let (headers, total) = (block.len(), block.len() + payload.len());
        self.write(format!("HPUB {subject} {headers} {total}\r\n").as_bytes())
            .await;
        self.write(&[block, payload, b"\r\n"].concat()).await;
        self.settled().await;
    }

    /// The next message.
    pub async fn next(&mut self) -> WireMessage {
        let line = loop {
            let line = self.line().await;
            if line != "PING" {
                break line;
            }
            self.write(b"PONG\r\n").await;
        };
        // MSG subject number [reply] total, or HMSG subject number [reply] headers total.
        let mut words = line.split(' ');
        let kind = words.next();
        assert!(matches!(kind, Some("MSG" | "HMSG")), "no message: {line}");
        let subject = words.next().expect("a subject").to_owned();
        let mut rest: Vec<&str> = words.skip(1).collect();
        let mut size = || rest.pop().map_or(0, |size| size.parse().expect("a size"));
        let total: usize = size();
        let headers = if kind == Some("HMSG") { size() } else { 0 };

        let mut block = vec![0; total];
        in_time(self.0.read_exact(&mut block))
            .await
            .expect("a body");
        assert_eq!(self.line().await, "");
        let payload = block.split_off(headers);
        let reply = rest.pop().map(str::to_owned);
        WireMessage {
            subject,
            reply,
            block,
            payload,
        }
    }

    /// Waits until the server has dealt with all that was written.
    async fn settled(&mut self) {
        self.write(b"PING\r\n").await;
        let line = self.line().await;
        assert_eq!(line, "PONG");
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        in_time(self.0.read_line(&mut line)).await.expect("a line");
        line.trim_end().to_owned()
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("a connection");
    }
}

/// A block of headers, each on a line as it is written here.
pub fn block(lines: &[&str]) -> Vec<u8> {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    format!("NATS/1.0\r\n{lines}\r\n").into_bytes()
}
