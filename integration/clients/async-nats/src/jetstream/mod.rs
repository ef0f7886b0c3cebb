//! JetStream.

pub mod consumer;
pub mod context;
pub mod message;
pub mod stream;

pub use bare::jetstream::*;

pub use self::context::{Context, ContextBuilder};
pub use self::message::Message;
use crate::client::Client;

/// As the client's.
#[must_use]
pub fn new(client: Client) -> Context {
    let bare = bare::jetstream::new((*client).clone());
    Context::of(client, bare)
}

/// As the client's.
pub fn with_domain<T: AsRef<str>>(client: Client, domain: T) -> Context {
    let bare = bare::jetstream::with_domain((*client).clone(), domain);
    Context::of(client, bare)
}

/// As the client's.
#[must_use]
pub fn with_prefix(client: Client, prefix: &str) -> Context {
    let bare = bare::jetstream::with_prefix((*client).clone(), prefix);
    Context::of(client, bare)
}
