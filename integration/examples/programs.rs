//! The examples as programs.

use integration::programs::built;
pub(crate) use integration::programs::{program, run, text};

/// The examples, each with the name that its broker has in messages to the user.
pub(crate) const EXAMPLES: [(&str, &str); 13] = [
    ("amqp_batch", "RabbitMQ"),
    ("amqp_request_reply", "RabbitMQ"),
    ("amqp_roundtrip", "RabbitMQ"),
    ("http", "Kafka cluster"),
    ("jetstream_batch", "nats-server"),
    ("jetstream_worker", "nats-server"),
    ("kafka_batch", "Kafka cluster"),
    ("kafka_concurrent", "Kafka cluster"),
    ("kafka_roundtrip", "Kafka cluster"),
    ("kafka_tracing", "Kafka cluster"),
    ("nats_roundtrip", "nats-server"),
    ("outbox", "Kafka cluster"),
    ("policy", "Kafka cluster"),
];

#[test]
fn each_example_is_tried() {
    // The shop is four programs over all brokers, and has tests of its own.
    let names = built().keys().filter(|name| *name != "shop");
    let names: Vec<_> = names.map(String::as_str).collect();
    assert_eq!(names, EXAMPLES.map(|(name, _)| name));
}
