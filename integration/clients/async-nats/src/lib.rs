//! async-nats, with our wrappers in the place of what publishes, requests, subscribes and consumes.
//!
//! Whatever else the client has is the client's own: a client derefs to it, and so does what JetStream's context returns.

#[path = "../../telemetry.rs"]
mod telemetry;

pub mod client;
pub mod jetstream;
mod options;
pub mod service;

pub use bare::*;

pub use self::client::{Client, Subscriber};
pub use self::options::ConnectOptions;
use self::telemetry::TELEMETRY;

/// As the client's.
///
/// # Errors
///
/// The client's.
pub async fn connect<A: ToServerAddrs>(addresses: A) -> Result<Client, ConnectError> {
    bare::connect(addresses).await.map(Client::of)
}

/// As the client's.
///
/// # Errors
///
/// The client's.
pub async fn connect_with_options<A: ToServerAddrs>(
    addresses: A,
    options: ConnectOptions,
) -> Result<Client, ConnectError> {
    options.connect(addresses).await
}
