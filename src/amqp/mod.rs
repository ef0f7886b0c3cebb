//! RabbitMQ and whatever else speaks AMQP 0.9.1, by the client [`lapin`].

#[cfg_attr(
    not(test),
    expect(dead_code, reason = "what sends messages asks for it")
)]
mod carrier;
#[cfg_attr(not(test), expect(dead_code, reason = "for now"))]
mod envelope;

pub use lapin;

pub use self::carrier::{extract, inject};
pub use self::envelope::ConnectionInfo;
