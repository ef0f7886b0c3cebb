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

use std::time::{SystemTime, UNIX_EPOCH};

/// Part of the names of what a run makes at a broker, so that it meets nobody else's messages.
#[must_use]
pub fn run() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let run = format!("{:x}", now.unwrap_or_default().subsec_micros());
    println!("What this run makes there has {run} in its name, and is deleted at the end.");
    run
}
