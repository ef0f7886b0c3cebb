//! The connection to RabbitMQ.

use std::fmt::Display;
use std::time::Duration;

use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties};
use tokio::time::timeout;

use crate::arguments::Access;
use crate::failure::Failure;

/// How long a broker may take to let the command in.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn connect(access: &Access) -> Result<Connection, Failure> {
    let Some(url) = &access.amqp_url else {
        return Err(Failure::new(
            "rabbitmq: which broker? Give --amqp-url or AMQP_URL",
        ));
    };
    let properties = ConnectionProperties::default().with_connection_name("otel-messaging".into());
    // Its error would show the address, with the password in it.
    let address: AMQPUri = url
        .parse()
        .map_err(|_| Failure::new("rabbitmq: the address is no URL of AMQP"))?;
    let failed = |error: &dyn Display| Failure::because("rabbitmq: cannot connect", error);
    let connection = timeout(PATIENCE, Connection::connect_uri(address, properties)).await;
    let connection = connection.map_err(|error| failed(&error))?;
    connection.map_err(|error| failed(&error))
}
