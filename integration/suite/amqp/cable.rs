//! A way to the broker that can be cut, or that is narrower than the client is told, or slow.

use std::collections::HashSet;
use std::mem;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lapin::types::FrameSize;
use lapin::uri::AMQPUri;
use tokio::io::{self, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::url;

/// Listens on a port of its own and passes all on to the broker.
#[derive(Debug)]
pub struct Cable {
    address: SocketAddr,
    connections: Arc<Mutex<Vec<JoinHandle<()>>>>,
    nacks: watch::Sender<bool>,
}

impl Cable {
    /// Lays a cable to the broker of `AMQP_URL`.
    pub async fn lay() -> Self {
        Self::with(None, Back::All).await
    }

    /// Lays one over which nothing comes back of what the broker confirms by an `ack`.
    pub async fn without_acks() -> Self {
        Self::with(None, Back::WithoutAcks).await
    }

    /// Lays one over which the first delivery of each channel takes so long.
    pub async fn slow(pause: Duration) -> Self {
        Self::with(None, Back::Slow(pause)).await
    }

    /// Lays one over which the broker takes no larger frames than these, though the client does not
    /// learn of it, as with a proxy between two that agree on frames with it one by one.
    pub async fn narrow(frame_max: FrameSize) -> Self {
        Self::with(Some(frame_max), Back::All).await
    }

    async fn with(frame_max: Option<FrameSize>, what_comes: Back) -> Self {
        let uri: AMQPUri = url().parse().expect("a URI");
        let broker = (uri.authority.host, uri.authority.port);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("the port just bound");
        let connections = Arc::<Mutex<Vec<JoinHandle<()>>>>::default();
        let made = Arc::clone(&connections);
        let nacks = watch::Sender::new(false);
        let nacked = nacks.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let broker = broker.clone();
                let nacked = nacked.clone();
                let connection = tokio::spawn(async move {
                    let server = TcpStream::connect(broker).await.expect("the broker");
                    let (mut from_client, mut to_client) = client.into_split();
                    let (mut from_server, mut to_server) = server.into_split();
                    // Each goes on without the other: whoever hangs up may have been told why.
                    let there = async {
                        pass_on(&mut from_client, &mut to_server, frame_max).await?;
                        to_server.shutdown().await
                    };
                    let back = async {
                        if let Back::All = what_comes {
                            io::copy(&mut from_server, &mut to_client).await?;
                        } else {
                            pass_back(&mut from_server, &mut to_client, what_comes, &nacked)
                                .await?;
                        }
                        to_client.shutdown().await
                    };
                    let _: (io::Result<()>, io::Result<()>) = tokio::join!(there, back);
                });
                made.lock().expect("nobody panics").push(connection);
            }
        });
        Self {
            address,
            connections,
            nacks,
        }
    }

    /// A URL of the broker by this way.
    pub fn url(&self) -> String {
        let mut uri: AMQPUri = url().parse().expect("a URI");
        uri.authority.host = self.address.ip().to_string();
        uri.authority.port = self.address.port();
        uri.to_string()
    }

    /// Waits until the broker has refused a message, on a cable [`without_acks`](Self::without_acks).
    pub async fn nacked(&self) {
        let mut nacks = self.nacks.subscribe();
        nacks.wait_for(|nacked| *nacked).await.expect("a cable");
    }

    /// Cuts all connections, which are gone when it returns; new ones can be made.
    pub async fn cut(&self) {
        let connections = mem::take(&mut *self.connections.lock().expect("nobody panics"));
        for connection in connections {
            connection.abort();
            // It was cut, or has ended before.
            let _ = connection.await;
        }
    }
}

/// What comes back from the broker.
#[derive(Clone, Copy, Debug)]
enum Back {
    All,
    WithoutAcks,
    Slow(Duration),
}

/// Class and method of what the broker delivers.
const DELIVER: [u8; 4] = [0, 60, 0, 60];
/// Class and method of the broker's answers to what was published.
const ACK: [u8; 4] = [0, 60, 0, 80];
const NACK: [u8; 4] = [0, 60, 0, 120];

/// Passes on what the broker says, frame by frame.
async fn pass_back(
    server: &mut OwnedReadHalf,
    client: &mut OwnedWriteHalf,
    what_comes: Back,
    nacked: &watch::Sender<bool>,
) -> io::Result<()> {
    let mut channels = HashSet::new();
    loop {
        // Type, channel and size.
        let mut frame = vec![0; 7];
        server.read_exact(&mut frame).await?;
        let size = frame.last_chunk().copied().map(u32::from_be_bytes);
        let size = usize::try_from(size.unwrap_or_default()).expect("a small frame");
        // With the byte that ends it.
        frame.resize(7 + size + 1, 0);
        server
            .read_exact(frame.get_mut(7..).unwrap_or_default())
            .await?;
        let method = frame.get(7..11).unwrap_or_default();
        match what_comes {
            Back::WithoutAcks if method == ACK => continue,
            Back::Slow(pause) if method == DELIVER => {
                let channel = frame.get(1..3).unwrap_or_default().to_vec();
                if channels.insert(channel) {
                    tokio::time::sleep(pause).await;
                }
            }
            _ => {}
        }
        client.write_all(&frame).await?;
        if method == NACK {
            nacked.send_replace(true);
        }
    }
}

/// Class and method of the client's answer to what the broker proposes for the connection.
const TUNE_OK: [u8; 4] = [0, 10, 0, 31];

/// Passes on what the client says. With another frame size in its answer, if there is one.
async fn pass_on(
    client: &mut OwnedReadHalf,
    server: &mut OwnedWriteHalf,
    mut frame_max: Option<FrameSize>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = client.read(&mut buffer).await?;
        let said = buffer.get_mut(..length).unwrap_or_default();
        if said.is_empty() {
            return Ok(());
        }
        if let Some(narrow) = frame_max
            && let Some(at) = said.windows(4).position(|window| window == TUNE_OK)
            // Behind the number of channels.
            && let Some(agreed) = said.get_mut(at + 6..at + 10)
        {
            agreed.copy_from_slice(&narrow.to_be_bytes());
            frame_max = None;
        }
        server.write_all(said).await?;
    }
}
