//! The server of the NATS examples: the one that `NATS_URL` names.

use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::{Client, ConnectOptions, ServerAddr};
use tokio::time::timeout;

use crate::telemetry::variable;

const TIMEOUT: Duration = Duration::from_secs(5);

/// A connection of a program's own, and the address that it was made to, which the client does not tell.
pub(crate) async fn connect(program: &str) -> Result<(Client, ServerAddr)> {
    let url = variable("NATS_URL");
    let url = url.as_deref().unwrap_or("nats://localhost:4222");
    let address: ServerAddr = url.parse().context("NATS_URL")?;
    let connecting = ConnectOptions::new().name(program).connect(address.clone());
    let connected = timeout(TIMEOUT, connecting).await.context(NO_SERVER)?;
    Ok((connected.context(NO_SERVER)?, address))
}

const NO_SERVER: &str = "no nats-server answers at NATS_URL. \
To get one: `docker compose up --wait nats`, or `apt-get install nats-server` and \
`nats-server -js`. Unset, NATS_URL is nats://localhost:4222";
