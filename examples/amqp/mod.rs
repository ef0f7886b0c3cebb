//! The broker of the RabbitMQ examples: the one that `AMQP_URL` names, or the one of `docker compose up`.

pub mod concurrent;
mod consume;

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use lapin::options::ConfirmSelectOptions;
use lapin::types::{AMQPValue, FieldTable, LongString};
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties, ErrorKind};
use otel_messaging::amqp::ConnectionInfo;
use tokio::time::timeout;

pub use self::consume::consume;
use crate::telemetry::variable;

/// How long a broker may take to answer.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Where the broker is, and who asks.
#[must_use]
pub fn url() -> String {
    variable("AMQP_URL").unwrap_or_else(|| "amqp://guest:guest@127.0.0.1:5672/%2f".to_owned())
}

/// A channel over a connection of a program's own, and what is to be known of that.
///
/// # Errors
///
/// No broker answers in time, or it refuses the login.
pub async fn connect(program: &str) -> Result<(ConnectionInfo, Channel)> {
    let url = url();
    let uri: AMQPUri = url
        .parse()
        .map_err(|error: String| anyhow!(error))
        .context("AMQP_URL")?;
    let at = format!("{}:{}", uri.authority.host, uri.authority.port);
    println!("RabbitMQ of {program}: {at}");
    let connecting = async {
        let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
        let known = ConnectionInfo::of(&connection).uri(&url).client_id(program);
        let channel = connection.create_channel().await?;
        // Without confirms a span would end when its message is written.
        let confirms = channel.confirm_select(ConfirmSelectOptions::default());
        confirms.await?;
        Ok((known, channel))
    };
    match timeout(TIMEOUT, connecting).await {
        Ok(Ok(connected)) => Ok(connected),
        Ok(Err(error)) if is_about_login(&error) => {
            let refused = format!("the RabbitMQ at {at} refuses the login. {LOGIN}");
            Err(error).context(refused)
        }
        Ok(Err(error)) => Err(error).context(no_broker(&at)),
        Err(_) => bail!(no_broker(&at)),
    }
}

/// Arguments of a queue: what is refused, and does not go back into it, goes to the queue of this name.
///
/// Without them, the broker discards it.
#[must_use]
pub fn dead_letters_to(queue: &str) -> FieldTable {
    // Through the default exchange, whose routing keys are names of queues.
    let mut arguments = FieldTable::default();
    for (argument, value) in [("exchange", ""), ("routing-key", queue)] {
        let value = AMQPValue::LongString(LongString::from(value));
        arguments.insert(format!("x-dead-letter-{argument}").into(), value);
    }
    arguments
}

/// Whether user and password are wrong, or there is no such virtual host for them.
fn is_about_login(error: &lapin::Error) -> bool {
    match error.kind() {
        ErrorKind::ProtocolError(error) => matches!(error.get_id(), 403 | 530),
        _ => false,
    }
}

const LOGIN: &str = "Are user, password and virtual host in AMQP_URL right \
(amqp://user:password@host:5672/%2f)? RabbitMQ lets the user guest in from its own machine alone";

fn no_broker(at: &str) -> String {
    format!(
        "no RabbitMQ answers at {at}. Is AMQP_URL right? Is the broker running? \
        `docker compose up --wait rabbitmq` starts one at 127.0.0.1:5672; so does `rabbitmq-server`, \
        of the Debian package of that name"
    )
}
