//! Names of destinations: an exchange with a routing key, for a consumer with its queue.

/// The exchange that has no name, where a message has no routing key either.
const DEFAULT: &str = "amq.default";

/// Beginnings of names that the server makes up: of queues, and of the replies to one request.
const MADE_UP: [&str; 2] = ["amq.gen-", "amq.rabbitmq.reply-to"];

/// Destination of a message that is published.
///
/// Spec: RabbitMQ § Span attributes, `messaging.destination.name` of producers, 1.44.0.
pub(super) fn published(exchange: &str, routing_key: &str) -> String {
    or_default(joined([exchange, routing_key, ""]))
}

/// Destination of a message that was received; a queue that is named like the routing key is named
/// once.
///
/// Spec: RabbitMQ § Span attributes, `messaging.destination.name` of consumers, 1.44.0.
pub(super) fn received(exchange: &str, routing_key: &str, queue: &str) -> String {
    let queue = if queue == routing_key { "" } else { queue };
    or_default(joined([exchange, routing_key, queue]))
}

/// Whether the server made the name up, for a queue or a reply that nobody else knows of.
pub(super) fn is_made_up(name: &str) -> bool {
    MADE_UP.iter().any(|beginning| name.starts_with(beginning))
}

fn joined(parts: [&str; 3]) -> String {
    let mut name = String::with_capacity(parts.iter().map(|part| part.len() + 1).sum());
    for part in parts.into_iter().filter(|part| !part.is_empty()) {
        if !name.is_empty() {
            name.push(':');
        }
        name.push_str(part);
    }
    name
}

fn or_default(name: String) -> String {
    if name.is_empty() {
        DEFAULT.to_owned()
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_producer_names_exchange_and_routing_key() {
        let rows = [
            ("logs", "info", "logs:info"),
            ("logs", "", "logs"),
            ("", "orders", "orders"),
            ("", "", "amq.default"),
        ];

        for (exchange, routing_key, expected) in rows {
            assert_eq!(published(exchange, routing_key), expected);
        }
    }

    #[test]
    fn a_consumer_names_its_queue_too_unless_the_routing_key_is_its_name() {
        let rows = [
            ("logs", "info", "audit", "logs:info:audit"),
            ("logs", "", "audit", "logs:audit"),
            ("logs", "audit", "audit", "logs:audit"),
            ("", "orders", "orders", "orders"),
            ("", "", "", "amq.default"),
        ];

        for (exchange, routing_key, queue, expected) in rows {
            assert_eq!(received(exchange, routing_key, queue), expected);
        }
    }

    #[test]
    fn names_that_the_server_makes_up_are_known_by_their_beginning() {
        assert!(is_made_up("amq.gen-JzTY20BRgKO"));
        assert!(is_made_up("amq.rabbitmq.reply-to.g1h2"));
        assert!(!is_made_up("orders"));
        assert!(!is_made_up("amq.topic"));
    }
}
