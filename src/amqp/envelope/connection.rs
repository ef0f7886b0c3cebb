//! [`ConnectionInfo`]: what the client's channels do not know of their connection.

use std::sync::Arc;

use lapin::types::FrameSize;
use lapin::uri::AMQPUri;
use lapin::{Configuration, Connection};
use opentelemetry::StringValue;

use super::SYSTEM;
use crate::Telemetry;
use crate::envelope::{Client, Server, shared};

/// What the connections of lapin take from a RabbitMQ as it is installed; lapin itself asks for no
/// limit.
const DEFAULT_FRAME_MAX: FrameSize = 131_072;

/// What is to be known of a connection; lapin's channels and consumers do not tell it.
///
/// ```no_run
/// use lapin::{Connection, ConnectionProperties};
/// use otel_messaging::{Telemetry, amqp};
///
/// # async fn example() -> anyhow::Result<()> {
/// let uri = "amqp://rabbitmq.example:5672/shop";
/// let connection = Connection::connect(uri, ConnectionProperties::default()).await?;
/// let known = amqp::ConnectionInfo::of(&connection).uri(uri).client_id("billing");
///
/// let channel = connection.create_channel().await?;
/// let producer = amqp::Producer::wrap(&Telemetry::new(), channel).connection(&known);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "it has to be given to a producer or a consumer"]
pub struct ConnectionInfo {
    configuration: Option<Arc<Configuration>>,
    server: Option<Server>,
    client_id: Option<StringValue>,
}

impl ConnectionInfo {
    /// Nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the largest size of a frame from the connection. Unset: RabbitMQ's own, 131,072 bytes.
    ///
    /// The headers of a message have to fit into one frame; if they do not, the server closes the
    /// connection. Context that would not fit is left out.
    pub fn of(connection: &Connection) -> Self {
        Self {
            configuration: Some(Arc::new(connection.configuration().clone())),
            ..Self::default()
        }
    }

    /// Sets the server's address and port. Unset: spans and metrics do not name the server.
    pub fn server(mut self, address: &str, port: u16) -> Self {
        self.server = Some(Server {
            address: shared(address),
            port,
        });
        self
    }

    /// Sets the server's address and port to those of the URI that the client connected to. Nothing
    /// else of the URI is kept; one that cannot be read sets nothing.
    pub fn uri(self, uri: &str) -> Self {
        match uri.parse::<AMQPUri>() {
            Ok(uri) => self.server(&uri.authority.host, uri.authority.port),
            Err(_) => self,
        }
    }

    /// Sets the client's id. Unset: spans have none, since AMQP knows none.
    pub fn client_id(mut self, id: &str) -> Self {
        self.client_id = Some(shared(id));
        self
    }

    pub(in crate::amqp) fn client(&self, telemetry: &Telemetry) -> Arc<Client> {
        let mut client = Client::new(telemetry, SYSTEM);
        client.id.clone_from(&self.client_id);
        client.server.clone_from(&self.server);
        Arc::new(client)
    }

    /// Largest frame of the connection as it is now: it may have recovered to another server.
    pub(in crate::amqp) fn frame_max(&self) -> FrameSize {
        self.configuration
            .as_ref()
            .map_or(DEFAULT_FRAME_MAX, |known| known.frame_max())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_gives_the_server_and_nothing_else() {
        let rows = [
            (
                "amqp://user:secret@rabbit:5673/vhost",
                Some(("rabbit", 5673)),
            ),
            ("amqp://rabbit", Some(("rabbit", 5672))),
            ("amqps://rabbit", Some(("rabbit", 5671))),
            ("http://rabbit", None),
            ("", None),
        ];

        for (uri, expected) in rows {
            let info = ConnectionInfo::new().uri(uri);
            let server = info.server.as_ref();
            let server = server.map(|server| (server.address.as_str(), server.port));
            assert_eq!(server, expected, "{uri:?}");
        }
    }

    #[test]
    fn without_a_connection_the_limit_is_that_of_rabbitmq_as_it_is_installed() {
        assert_eq!(ConnectionInfo::new().frame_max(), 131_072);
    }
}
