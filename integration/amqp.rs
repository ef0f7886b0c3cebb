//! Context through the RabbitMQ of `AMQP_URL`.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

#[path = "amqp/headers.rs"]
mod headers;
