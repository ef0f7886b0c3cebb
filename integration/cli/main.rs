//! The command `otel-messaging`, run as a program against real brokers.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test panics where it fails"
)]

mod amqp;
mod check;
mod command;
mod deliveries;
mod dlq;
mod failures;
mod faults;
mod jetstream;
mod kafka;
mod nats;
mod spans;
mod traces;
