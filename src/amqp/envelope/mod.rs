//! What a message says of itself, and the keys that only RabbitMQ has.

mod connection;
mod destination;
mod error_type;

pub use self::connection::ConnectionInfo;
