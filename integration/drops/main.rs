//! Telemetry costs no message where futures are dropped: what is sent, delivered and acknowledged is what the bare client
//! sends, delivers and acknowledges when its future is dropped after as many polls; spans end once, and metrics count once.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test panics where it fails"
)]

mod amqp;
mod given_up;
mod handlers;
mod kafka;
mod listed;
mod nats;
