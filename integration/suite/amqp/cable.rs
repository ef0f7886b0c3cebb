//! A way to the broker that can be cut.

use std::net::SocketAddr;

use lapin::uri::AMQPUri;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::url;

/// Listens on a port of its own and passes all on to the broker.
#[derive(Debug)]
pub struct Cable {
    address: SocketAddr,
    cuts: watch::Sender<()>,
}

impl Cable {
    /// Lays a cable to the broker of `AMQP_URL`.
    pub async fn lay() -> Self {
        let uri: AMQPUri = url().parse().expect("a URI");
        let broker = (uri.authority.host, uri.authority.port);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("the port just bound");
        let cuts = watch::Sender::new(());
        let until = cuts.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut cut = until.subscribe();
                let broker = broker.clone();
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(broker).await.expect("the broker");
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { address, cuts }
    }

    /// A URL of the broker by this way.
    pub fn url(&self) -> String {
        let mut uri: AMQPUri = url().parse().expect("a URI");
        uri.authority.host = self.address.ip().to_string();
        uri.authority.port = self.address.port();
        uri.to_string()
    }

    /// Cuts all connections; new ones can be made.
    pub fn cut(&self) {
        self.cuts.send_replace(());
    }
}
