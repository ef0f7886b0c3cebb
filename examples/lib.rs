//! What the examples share, to be copied: the set-up of a program, and for each broker a loop that goes on after an
//! error.

#[cfg(feature = "amqp")]
pub mod amqp;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(feature = "nats")]
pub mod nats;
pub mod stop;
pub mod telemetry;
