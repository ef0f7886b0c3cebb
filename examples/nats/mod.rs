//! The server of the NATS examples: the one that `NATS_URL` names, or the one of `docker compose up`.

pub mod concurrent;
mod consume;
pub mod jetstream;

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use async_nats::{Client, ConnectErrorKind, ConnectOptions, ServerAddr};
use tokio::time::timeout;

pub use self::consume::consume;
use crate::telemetry::variable;

/// How long a server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(3);

/// A connection of a program's own, and the address that it was made to, which the client does not tell.
///
/// # Errors
///
/// No server answers in time, or it refuses the login.
pub async fn connect(program: &str) -> Result<(Client, ServerAddr)> {
    let url = variable("NATS_URL");
    let url = url.as_deref().unwrap_or("nats://127.0.0.1:4222");
    let address: ServerAddr = url.parse().context("NATS_URL")?;
    let at = format!("{}:{}", address.host(), address.port());
    println!("NATS of {program}: {at}");
    let connecting = ConnectOptions::new().name(program).connect(address.clone());
    match timeout(TIMEOUT, connecting).await {
        Ok(Ok(client)) => Ok((client, address)),
        Ok(Err(error)) if is_about_login(error.kind()) => Err(error).context(format!(
            "the nats-server at {at} refuses the login. {LOGIN}"
        )),
        Ok(Err(error)) => Err(error).context(no_server(&at)),
        Err(_) => bail!(no_server(&at)),
    }
}

fn is_about_login(kind: ConnectErrorKind) -> bool {
    matches!(
        kind,
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation
    )
}

const LOGIN: &str = "Are user and password in NATS_URL right (nats://user:password@host:4222)?";

fn no_server(at: &str) -> String {
    format!(
        "no nats-server answers at {at}. Is NATS_URL right? Is the server running? \
        `docker compose up --wait nats` starts one at 127.0.0.1:4222; so does `nats-server -js`, \
        of the Debian package nats-server"
    )
}
