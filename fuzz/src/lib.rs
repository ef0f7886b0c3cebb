//! What the targets share: inputs, a second and simpler reader of everything, and what must hold.
//!
//! A target panics where something does not hold. A panic inside of the crate ends it too, even one
//! that the crate would have caught: the fuzzer's hook comes first.

pub mod carrier;
pub mod cloud_events;
pub mod codec;
pub mod command;
#[cfg(test)]
mod corpus;
pub mod environment;
#[path = "../../src/bin/otel-messaging/facts.rs"]
mod facts;
#[expect(dead_code, reason = "what the rest of the command fails with")]
#[path = "../../src/bin/otel-messaging/failure.rs"]
mod failure;
#[path = "../../benches/suite/hostile.rs"]
pub mod hostile;
pub mod input;
pub mod jaeger;
#[expect(dead_code, reason = "what the rest of the command prints")]
#[path = "../../src/bin/otel-messaging/output.rs"]
mod output;
pub mod policy;
pub mod properties;
pub mod reference;
pub mod spans;
pub mod stored;
pub mod text;
