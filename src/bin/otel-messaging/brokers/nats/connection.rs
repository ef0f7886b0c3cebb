//! The connection to NATS, and what is said of it that no call is told.

use std::fs;
use std::future::{pending, ready};
use std::path::Path;
use std::sync::Once;

use async_nats::{Client, ConnectOptions, Event, ServerError};
use tokio::sync::watch;

use crate::arguments::Access;
use crate::failure::Failure;
use crate::output;

/// What the server says that this client may not do.
pub(super) struct Denials(watch::Receiver<String>);

impl Denials {
    /// Waits until the server says that nobody of this name may listen to this subject.
    pub(super) async fn of(&self, subject: &str) -> String {
        let mut told = self.0.clone();
        let text = told.wait_for(|text| is_about(text, subject)).await;
        let text = text.map(|text| text.clone());
        match text {
            Ok(text) => text,
            // The client is gone.
            Err(_) => pending().await,
        }
    }
}

fn is_about(text: &str, subject: &str) -> bool {
    denied(text).is_some_and(|named| named.starts_with(&format!("\"{subject}\"")))
}

/// What may not be listened to, in quotes; in whatever case the words are, it is as it is.
fn denied(text: &str) -> Option<&str> {
    let begin = "Permissions Violation for Subscription to ";
    let (words, named) = text.split_at_checked(begin.len())?;
    words.eq_ignore_ascii_case(begin).then_some(named)
}

pub(super) async fn connect(access: &Access) -> Result<(Client, Denials), Failure> {
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
    let (told, denials) = watch::channel(String::new());
    let (slow, lost) = (Once::new(), Once::new());
    let options = options.event_callback(move |event| {
        match event {
            Event::ServerError(ServerError::Other(text)) if denied(&text).is_some() => {
                told.send_replace(text);
            }
            Event::SlowConsumer(_) => slow.call_once(|| {
                output::complain(
                    "nats: messages come faster than they are looked at, and some are left out",
                );
            }),
            Event::Disconnected => lost.call_once(|| {
                output::complain(
                    "nats: the connection was lost; of subjects, nothing is heard until it is back",
                );
            }),
            _ => {}
        }
        ready(())
    });
    let servers: Vec<&str> = url.split(',').map(str::trim).collect();
    let client = options.connect(servers).await;
    let client = client.map_err(|error| Failure::because("nats: cannot connect", error))?;
    Ok((client, Denials(denials)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_is_of_the_subject_that_it_names() {
        for (text, is_of_it) in [
            (
                "Permissions Violation for Subscription to \"orders.*\"",
                true,
            ),
            (
                "permissions violation for subscription to \"orders.*\" using queue \"q\"",
                true,
            ),
            (
                "Permissions Violation for Subscription to \"orders.new\"",
                false,
            ),
            ("Permissions Violation for Publish to \"orders.*\"", false),
            ("Authorization Violation", false),
            ("", false),
        ] {
            assert_eq!(is_about(text, "orders.*"), is_of_it, "{text}");
        }
    }
}
