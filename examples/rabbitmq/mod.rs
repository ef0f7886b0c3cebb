//! The broker of the RabbitMQ examples: the one that `AMQP_URL` names.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lapin::options::ConfirmSelectOptions;
use lapin::{Channel, Connection, ConnectionProperties};
use otel_messaging::amqp::ConnectionInfo;
use tokio::time::timeout;

use crate::telemetry::variable;

const TIMEOUT: Duration = Duration::from_secs(5);

/// A channel over a connection of a program's own, and what is to be known of that.
pub(crate) async fn channel(program: &str) -> Result<(ConnectionInfo, Channel)> {
    let url = variable("AMQP_URL");
    let url = url.as_deref().unwrap_or(DEFAULT_URL);
    let connecting = Connection::connect(url, ConnectionProperties::default());
    let connected = timeout(TIMEOUT, connecting).await.context(NO_BROKER)?;
    let connection = connected.context(NO_BROKER)?;
    let known = ConnectionInfo::of(&connection).uri(url).client_id(program);
    let channel = connection.create_channel().await?;
    // Without confirms a span would end when its message is written.
    let confirms = channel.confirm_select(ConfirmSelectOptions::default());
    confirms.await?;
    Ok((known, channel))
}

const DEFAULT_URL: &str = "amqp://guest:guest@localhost:5672/%2f";

const NO_BROKER: &str = "no RabbitMQ answers at AMQP_URL. \
To get one: `docker compose up --wait rabbitmq`, or `apt-get install rabbitmq-server` and \
`rabbitmq-server`. Unset, AMQP_URL is amqp://guest:guest@localhost:5672/%2f";
