//! The connection to NATS.

use std::fs;
use std::path::Path;

use async_nats::{Client, ConnectOptions};

use crate::arguments::Access;
use crate::failure::Failure;

pub(super) async fn connect(access: &Access) -> Result<Client, Failure> {
    let Some(url) = &access.nats_url else {
        return Err(Failure::new(
            "nats: which server? Give --nats-url or NATS_URL",
        ));
    };
    let mut options = ConnectOptions::new().name("otel-messaging").no_echo();
    let read = |path: &Path| {
        let text = fs::read_to_string(path);
        text.map_err(|error| Failure::because(&path.display().to_string(), error))
    };
    if let Some(path) = &access.nats_creds {
        let credentials = options.credentials(&read(path)?);
        options =
            credentials.map_err(|error| Failure::because(&path.display().to_string(), error))?;
    }
    if let Some(path) = &access.nats_nkey {
        options = options.nkey(read(path)?.trim().to_owned());
    }
    if let Some(path) = &access.nats_ca {
        options = options.add_root_certificates(path.clone());
    }
    if let (Some(certificate), Some(key)) = (&access.nats_cert, &access.nats_key) {
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    let servers: Vec<&str> = url.split(',').map(str::trim).collect();
    let client = options.connect(servers).await;
    client.map_err(|error| Failure::because("nats: cannot connect", error))
}
