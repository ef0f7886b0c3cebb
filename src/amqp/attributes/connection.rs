//! [`ConnectionInfo`]: what the client's channels do not know of their connection.

use std::fmt;
use std::sync::Arc;

use lapin::types::FrameSize;
use lapin::uri::AMQPUri;
use lapin::{Configuration, Connection};
use opentelemetry::StringValue;

use crate::engine::client::{Client, Server};
use crate::engine::destination::shared_unless_empty;
use crate::policy::Rule;
use crate::semconv::outcome::known;
use crate::telemetry::Telemetry;

/// The conventions name the broker, which is not the only one that speaks the protocol.
const SYSTEM: &str = "rabbitmq";
/// What every connection takes, by the protocol; RabbitMQ as it is installed takes 131,072.
const FRAME_MIN: FrameSize = 4096;

/// Frame size, server and client id of a connection, which lapin's channels and consumers do not
/// have.
///
/// The wrappers take it as their argument `connection`. `(&connection, uri)` is enough there: a
/// connection, and the URI that it was made from. Make a `ConnectionInfo` to set more, or for code
/// that does not have the connection:
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
/// let producer = amqp::Producer::wrap(&Telemetry::new(), &known, channel);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
#[must_use = "it has to be given to a producer or a consumer"]
pub struct ConnectionInfo {
    configuration: Option<Arc<Configuration>>,
    server: Option<Server>,
    client_id: Option<StringValue>,
}

impl ConnectionInfo {
    /// Nothing, for a channel whose connection is not available. The largest frame is taken as 4096
    /// bytes, which every connection allows.
    pub fn new() -> Self {
        Self::default()
    }

    /// The largest frame of a connection.
    ///
    /// The headers of a message have to fit into one frame, or the server closes the connection. A
    /// context that would not fit is left out.
    pub fn of(connection: &Connection) -> Self {
        Self {
            configuration: Some(Arc::new(connection.configuration().clone())),
            ..Self::default()
        }
    }

    /// Sets the server's address and port. Unset: spans and metrics do not have them.
    pub fn server(mut self, address: &str, port: u16) -> Self {
        self.server = shared_unless_empty(address).map(|address| Server { address, port });
        self
    }

    /// Sets the server's address and port to those of this URI. Nothing else of the URI is kept. An
    /// invalid URI changes nothing.
    pub fn uri(self, uri: &str) -> Self {
        match uri.parse::<AMQPUri>() {
            Ok(uri) => self.server(&uri.authority.host, uri.authority.port),
            Err(_) => self,
        }
    }

    /// Sets the client's id. Unset: spans have none.
    pub fn client_id(mut self, id: &str) -> Self {
        self.client_id = shared_unless_empty(id);
        self
    }

    pub(in crate::amqp) fn client(&self, telemetry: &Telemetry) -> Arc<Client> {
        let mut client = Client::new(telemetry, SYSTEM);
        client.known_error = known::<lapin::Error>;
        client.id.clone_from(&self.client_id);
        client.server.clone_from(&self.server);
        Arc::new(client)
    }

    /// Largest frame that may hold the headers of a message: one that the connection takes as it is
    /// now, since it may have recovered to another server, and that with the body is within the
    /// limit of the destination, if the user knows of one.
    pub(in crate::amqp) fn header_frame(&self, rule: &Rule, body: &[u8]) -> FrameSize {
        let known = self.configuration.as_ref();
        let frame_max = known.map_or(FRAME_MIN, |known| known.frame_max());
        let left = rule
            .message_limit()
            .map(|limit| limit.saturating_sub(body.len()));
        left.and_then(|left| FrameSize::try_from(left).ok())
            .map_or(frame_max, |left| left.min(frame_max))
    }
}

impl fmt::Debug for ConnectionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.client(&Telemetry::new());
        let mut shown = known.shown("ConnectionInfo", f);
        if let Some(configuration) = &self.configuration {
            shown.field("frame_max", &configuration.frame_max());
        }
        shown.finish()
    }
}

/// A connection, and the URI that it was made from.
impl<U: AsRef<str> + ?Sized> From<(&Connection, &U)> for ConnectionInfo {
    fn from((connection, uri): (&Connection, &U)) -> Self {
        Self::of(connection).uri(uri.as_ref())
    }
}

impl From<&Self> for ConnectionInfo {
    fn from(known: &Self) -> Self {
        known.clone()
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
    fn a_message_has_the_frame_that_every_connection_takes_or_what_its_body_leaves_of_a_limit() {
        let limited = |bytes| Rule::of("*").max_message_bytes(bytes);
        let rows = [
            (Rule::of("*"), 100_000, 4096),
            (limited(1 << 40), 100_000, 4096),
            (limited(104_096), 100_000, 4096),
            (limited(104_095), 100_000, 4095),
            (limited(100_001), 100_000, 1),
            (limited(100_000), 100_000, 0),
            (limited(0), 100_000, 0),
        ];

        for (rule, body, expected) in rows {
            let body = vec![0; body];
            let frame = ConnectionInfo::new().header_frame(&rule, &body);
            assert_eq!(frame, expected, "{rule:?}");
        }
    }
}
