//! A stand-in for a NATS server with one stream and one consumer, in the process of the test. It acknowledges whatever is
//! published, always has as many messages as are fetched, takes every acknowledgement, and keeps nothing.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, BufWriter, Error, Read as _, Result, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

pub(crate) const NAME: &str = "ORDERS";
pub(crate) const CONSUMER: &str = "billing";
/// Messages that are fetched together.
pub(crate) const FETCHED: usize = 100;

const INFO: &str = concat!(
    r#"{"server_id":"memory","server_name":"memory","version":"2.10.0","go":"","#,
    r#""host":"127.0.0.1","port":4222,"headers":true,"max_payload":1048576,"proto":1}"#,
);
const CONSUMER_INFO: &str = concat!(
    r#"{"stream_name":"ORDERS","name":"billing","created":"2026-01-01T00:00:00Z","#,
    r#""config":{"durable_name":"billing","deliver_policy":"all","ack_policy":"explicit"},"#,
    r#""delivered":{"consumer_seq":0,"stream_seq":0},"ack_floor":{"consumer_seq":0,"stream_seq":0},"#,
    r#""num_ack_pending":0,"num_redelivered":0,"num_waiting":0,"num_pending":0}"#,
);
const HEADERS: &str = concat!(
    "NATS/1.0\r\n",
    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n",
);

/// Starts one that serves one client.
pub(crate) fn start() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        let (client, _) = listener.accept()?;
        client.set_nodelay(true)?;
        let server = Server {
            reading: BufReader::new(client.try_clone()?),
            writing: BufWriter::new(client),
            subscribed: HashMap::new(),
            sequence: 0,
        };
        server.serve()
    });
    Ok(address)
}

struct Server {
    reading: BufReader<TcpStream>,
    writing: BufWriter<TcpStream>,
    /// Subscriptions by their subjects.
    subscribed: HashMap<String, String>,
    /// Of the message that was published or delivered last.
    sequence: u64,
}

impl Server {
    fn serve(mut self) -> Result<()> {
        write!(self.writing, "INFO {INFO}\r\n")?;
        let (mut line, mut payload) = (String::new(), Vec::new());
        loop {
            if self.reading.buffer().is_empty() {
                self.writing.flush()?;
            }
            line.clear();
            if self.reading.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let words: Vec<_> = line.split_whitespace().collect();
            match words[..] {
                ["PING"] => self.writing.write_all(b"PONG\r\n")?,
                ["SUB", subject, id] => {
                    self.subscribed.insert(subject.into(), id.into());
                }
                ["UNSUB", id] => self.subscribed.retain(|_, known| known != id),
                ["PUB", subject, ref reply @ .., size]
                | ["HPUB", subject, ref reply @ .., _, size] => {
                    let size: usize = size.parse().map_err(Error::other)?;
                    payload.resize(size + "\r\n".len(), 0);
                    self.reading.read_exact(&mut payload)?;
                    if let [reply] = reply {
                        self.answer(subject, reply)?;
                    }
                }
                ["CONNECT", ..] => {}
                _ => return Err(Error::other(line)),
            }
        }
    }

    fn answer(&mut self, subject: &str, reply: &str) -> Result<()> {
        let every = reply
            .rsplit_once('.')
            .map(|(inbox, _)| format!("{inbox}.*"));
        let id = self.subscribed.get(reply);
        let id = id.or_else(|| self.subscribed.get(&every?));
        let id = id.ok_or_else(|| Error::other(format!("nobody listens at {reply}")))?;
        let head = HEADERS.len();
        if subject.starts_with("$JS.API.CONSUMER.MSG.NEXT.") {
            for _ in 0..FETCHED {
                self.sequence += 1;
                let number = self.sequence;
                let ack = format!("$JS.ACK.{NAME}.{CONSUMER}.1.{number}.{number}.1.0");
                let message = format!("HMSG orders {id} {ack} {head} {head}\r\n{HEADERS}\r\n");
                self.writing.write_all(message.as_bytes())?;
            }
            return Ok(());
        }
        self.sequence += 1;
        let answer = match subject {
            "orders" => format!(r#"{{"stream":"{NAME}","seq":{}}}"#, self.sequence),
            _ if subject.starts_with("$JS.ACK.") => String::new(),
            _ if subject.starts_with("$JS.API.CONSUMER.INFO.") => CONSUMER_INFO.to_owned(),
            _ => return Err(Error::other(format!("nobody answers {subject}"))),
        };
        let size = answer.len();
        write!(self.writing, "MSG {reply} {id} {size}\r\n{answer}\r\n")
    }
}
