//! Context through the RabbitMQ of `AMQP_URL`.

#[path = "amqp/headers.rs"]
mod headers;
