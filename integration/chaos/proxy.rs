//! A way to a broker that is slow, that stops, or that is cut after some byte.

use std::io;
use std::net::{self, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::program::free_port;

/// Listens on a port of its own and passes all on to another one.
#[derive(Debug)]
pub(crate) struct Proxy {
    port: u16,
    link: watch::Sender<Link>,
    cuts: watch::Sender<usize>,
    listening: JoinHandle<()>,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    /// From the client to the broker.
    There,
    /// From the broker to the client.
    Back,
}

/// How the way is at the moment.
#[derive(Clone, Copy, Debug, Default)]
struct Link {
    /// Bytes in a second, each connection and each way.
    rate: Option<u32>,
    /// Nothing passes.
    held: bool,
    /// How often it was to be cut.
    number: usize,
    /// Each connection is cut once it has passed so many bytes more this way.
    cut: Option<(Way, usize)>,
}

impl Proxy {
    /// Lays a way to this port, which nobody has to listen on yet.
    pub(crate) fn to(target: u16) -> Self {
        let port = free_port();
        let listener = net::TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
        listener.set_nonblocking(true).expect("a socket");
        let link = watch::Sender::new(Link::default());
        let cuts = watch::Sender::new(0);
        let (link_of_all, cuts_of_all) = (link.clone(), cuts.clone());
        let listening = passing().spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            while let Ok((client, _)) = listener.accept().await {
                let (link, cuts) = (link_of_all.clone(), cuts_of_all.clone());
                tokio::spawn(async move {
                    // How it ends, the two at its ends see.
                    let _ = pass(client, target, &link, &cuts).await;
                });
            }
        });
        Self {
            port,
            link,
            cuts,
            listening,
        }
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Passes no more than so many bytes in a second; all, without a number.
    pub(crate) fn slow_down(&self, rate: Option<u32>) {
        self.link.send_modify(|link| link.rate = rate);
    }

    /// Keeps all back, or lets it go. The connections stay.
    pub(crate) fn hold(&self, held: bool) {
        self.link.send_modify(|link| link.held = held);
    }

    /// Cuts each connection that there is after so many bytes more this way. Waits until one was cut.
    pub(crate) async fn cut_after(&self, way: Way, bytes: usize) {
        let mut cuts = self.cuts.subscribe();
        let before = *cuts.borrow_and_update();
        loop {
            self.link.send_modify(|link| {
                link.number += 1;
                link.cut = Some((way, bytes));
            });
            // Those that there were may all have ended before so many bytes.
            let cut = cuts.wait_for(|cuts| *cuts > before);
            if timeout(Duration::from_secs(2), cut).await.is_ok() {
                return;
            }
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// Goes on whatever clients do with their threads.
fn passing() -> &'static Runtime {
    static PASSING: OnceLock<Runtime> = OnceLock::new();
    PASSING.get_or_init(|| {
        let mut runtime = Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all();
        runtime.build().expect("a runtime")
    })
}

async fn pass(
    client: TcpStream,
    target: u16,
    link: &watch::Sender<Link>,
    cuts: &watch::Sender<usize>,
) -> io::Result<()> {
    let broker = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], target))).await?;
    // Bytes go as they come, so that a cut is where it was to be.
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_broker, mut to_broker) = broker.into_split();
    let there = pump(&mut from_client, &mut to_broker, Way::There, link, cuts);
    let back = pump(&mut from_broker, &mut to_client, Way::Back, link, cuts);
    tokio::try_join!(there, back)?;
    Ok(())
}

/// Passes on until the sender is done. An error is a connection that is to be closed, both ways.
async fn pump(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    way: Way,
    link: &watch::Sender<Link>,
    cuts: &watch::Sender<usize>,
) -> io::Result<()> {
    let mut link = link.subscribe();
    let mut buffer = vec![0; 16 << 10];
    let mut number = link.borrow().number;
    let mut left = None;
    loop {
        let most = if link.borrow().rate.is_some() {
            SLOW
        } else {
            buffer.len()
        };
        let read = from
            .read(buffer.get_mut(..most).unwrap_or_default())
            .await?;
        if read == 0 {
            return to.shutdown().await;
        }
        let opened = link.wait_for(|link| !link.held).await;
        let now = *opened.map_err(io::Error::other)?;
        if now.number != number {
            number = now.number;
            left = now.cut.filter(|cut| cut.0 == way).map(|cut| cut.1);
        }
        let passes = left.map_or(read, |left: usize| left.min(read));
        to.write_all(buffer.get(..passes).unwrap_or_default())
            .await?;
        if let Some(left) = &mut left {
            *left -= passes;
            if *left == 0 {
                cuts.send_modify(|cuts| *cuts += 1);
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
        }
        if let Some(rate) = now.rate {
            tokio::time::sleep(Duration::from_secs(1) * (read as u32) / rate).await;
        }
    }
}

/// Bytes that pass at once where the way is slow.
const SLOW: usize = 256;
