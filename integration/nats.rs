//! Context through the nats-server of `NATS_URL`, over core NATS and JetStream.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

#[path = "nats/headers.rs"]
mod headers;
