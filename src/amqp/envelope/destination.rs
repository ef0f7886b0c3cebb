//! Names of destinations: an exchange with a routing key, for a consumer with its queue.

use std::borrow::Cow;

use crate::envelope::Name;

/// Beginnings of names that the server makes up: of queues, and of where the reply to one request
/// goes.
const MADE_UP: [&str; 2] = ["amq.gen", "amq.rabbitmq.reply-to"];

/// A destination by its name, and what stands for it where names have to be few.
#[derive(Debug)]
pub(super) struct Destination<'a> {
    text: Cow<'a, str>,
    template: Option<Cow<'a, str>>,
    is_temporary: bool,
    is_anonymous: bool,
}

impl<'a> Destination<'a> {
    /// Destination of a message that is published.
    ///
    /// Spec: RabbitMQ § Span attributes, `messaging.destination.name` of producers, 1.44.0.
    pub(super) fn published(exchange: &'a str, routing_key: &'a str) -> Self {
        let is_made_up = made_up(routing_key).is_some();
        Self {
            text: or_default(joined([exchange, routing_key, ""])),
            template: is_made_up.then(|| joined([exchange, beginning(routing_key), ""])),
            is_temporary: is_made_up,
            is_anonymous: is_made_up,
        }
    }

    /// Destination of a message that was received from a queue, which is temporary where the user
    /// says so or the server made its name up.
    ///
    /// Spec: RabbitMQ § Span attributes, `messaging.destination.name` of consumers, 1.44.0.
    pub(super) fn received(
        exchange: &'a str,
        routing_key: &'a str,
        queue: &'a str,
        is_temporary: bool,
    ) -> Self {
        let is_made_up = made_up(queue).is_some();
        let template = || {
            let is_named = is_made_up || !is_temporary;
            let key_is_queue = routing_key == queue && !is_named;
            let key = if key_is_queue {
                ""
            } else {
                beginning(routing_key)
            };
            let queue = if is_named { beginning(queue) } else { "" };
            joined([exchange, key, once(key, queue)])
        };
        let is_temporary = is_temporary || is_made_up;
        Self {
            text: or_default(joined([exchange, routing_key, once(routing_key, queue)])),
            template: is_temporary
                .then(template)
                .filter(|template| !template.is_empty()),
            is_temporary,
            is_anonymous: is_made_up,
        }
    }

    pub(super) fn name(&self) -> Name<'_> {
        Name {
            text: &self.text,
            template: self.template.as_deref(),
            is_temporary: self.is_temporary,
            is_anonymous: self.is_anonymous,
        }
    }
}

/// A queue that is named like the routing key is named once.
fn once<'a>(routing_key: &str, queue: &'a str) -> &'a str {
    if queue == routing_key { "" } else { queue }
}

/// The part of a name that says that the server made it up.
fn made_up(name: &str) -> Option<&'static str> {
    let is_beginning = |beginning: &&str| {
        let rest = name.strip_prefix(beginning);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']))
    };
    MADE_UP.into_iter().find(is_beginning)
}

fn beginning(name: &str) -> &str {
    made_up(name).unwrap_or(name)
}

fn joined<'a>(parts: [&'a str; 3]) -> Cow<'a, str> {
    let mut parts = parts.into_iter().filter(|part| !part.is_empty());
    let mut name = Cow::Borrowed(parts.next().unwrap_or_default());
    for part in parts {
        let name = name.to_mut();
        name.push(':');
        name.push_str(part);
    }
    name
}

/// The exchange that has no name, where a message has no routing key either.
fn or_default(name: Cow<'_, str>) -> Cow<'_, str> {
    if name.is_empty() {
        Cow::Borrowed("amq.default")
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
            let destination = Destination::published(exchange, routing_key);
            assert_eq!(destination.text, expected);
            assert_eq!(destination.template, None);
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
            let destination = Destination::received(exchange, routing_key, queue, false);
            assert_eq!(destination.text, expected);
            assert_eq!(destination.template, None);
            assert!(!destination.is_temporary && !destination.is_anonymous);
        }
    }

    #[test]
    fn of_a_name_that_the_server_made_up_only_the_beginning_is_in_the_template() {
        let reply = "amq.rabbitmq.reply-to.g1h2";
        let reply_to = "amq.rabbitmq.reply-to";
        let queue = "amq.gen-JzTY20BRgKO";
        let rows = [
            (Destination::published("", reply), reply_to),
            (Destination::published("logs", queue), "logs:amq.gen"),
            (Destination::received("", queue, queue, false), "amq.gen"),
            (Destination::received("", reply, reply_to, false), reply_to),
            (
                Destination::received("logs", "info", queue, true),
                "logs:info:amq.gen",
            ),
        ];

        for (destination, expected) in rows {
            assert_eq!(destination.template.as_deref(), Some(expected));
            assert!(destination.is_temporary && destination.is_anonymous);
        }
        assert!(!Destination::published("", "amq.general").is_anonymous);
        assert!(!Destination::published("", "amq.topic").is_anonymous);
    }

    #[test]
    fn a_temporary_queue_is_not_in_the_template() {
        let rows = [
            ("logs", "info", "logs:info:q7", Some("logs:info")),
            ("logs", "q7", "logs:q7", Some("logs")),
            ("", "q7", "q7", None),
        ];

        for (exchange, routing_key, text, template) in rows {
            let destination = Destination::received(exchange, routing_key, "q7", true);
            assert_eq!(destination.text, text);
            assert_eq!(destination.template.as_deref(), template);
            assert!(destination.is_temporary && !destination.is_anonymous);
        }
    }
}
