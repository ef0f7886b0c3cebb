//! Names of destinations: an exchange with a routing key, for a consumer with its queue.

use std::borrow::Cow;

use super::made_up::Part;
use crate::engine::destination::Name;

/// A destination by its name, and what stands for it where names have to be few.
#[derive(Debug)]
pub(super) struct DestinationName<'a> {
    text: Cow<'a, str>,
    template: Option<Cow<'a, str>>,
    is_temporary: bool,
    is_anonymous: bool,
}

impl<'a> DestinationName<'a> {
    /// Destination of a message that is published.
    ///
    /// Spec: [RabbitMQ § Send span (producer)], `messaging.destination.name`.
    ///
    /// [RabbitMQ § Send span (producer)]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/rabbitmq.md#send-span-producer
    pub(super) fn published(exchange: &'a str, routing_key: &'a str) -> Self {
        let to = Part::of_key(routing_key, exchange);
        let is_temporary = to.is_made_up;
        let few = [Part::of_name(exchange).few, to.few, Cow::Borrowed("")];
        Self {
            template: template(few, [exchange, routing_key, ""], is_temporary),
            text: named([exchange, routing_key, ""]),
            is_temporary,
            is_anonymous: is_temporary,
        }
    }

    /// Destination of a message that was received from a queue, which is temporary where the user
    /// says so or its name was made up.
    ///
    /// Spec: [RabbitMQ § Process span], `messaging.destination.name`.
    ///
    /// [RabbitMQ § Process span]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/rabbitmq.md#process-span
    pub(super) fn received(
        exchange: &'a str,
        routing_key: &'a str,
        queue: &'a str,
        is_temporary: bool,
    ) -> Self {
        let from = Part::of_name(queue);
        let is_left_out = is_temporary && !from.is_made_up;
        let to = match is_left_out && routing_key == queue {
            true => Cow::Borrowed(""),
            false => Part::of_key(routing_key, exchange).few,
        };
        let from_few = match is_left_out || from.few == to {
            true => Cow::Borrowed(""),
            false => from.few,
        };
        let is_temporary = is_temporary || from.is_made_up;
        let parts = [exchange, routing_key, once(routing_key, queue)];
        Self {
            template: template(
                [Part::of_name(exchange).few, to, from_few],
                parts,
                is_temporary,
            ),
            text: named(parts),
            is_temporary,
            is_anonymous: from.is_made_up,
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

/// What stands for these parts, if that is anything else or they are gone with their user.
fn template<'a>(
    few: [Cow<'a, str>; 3],
    parts: [&str; 3],
    is_temporary: bool,
) -> Option<Cow<'a, str>> {
    let is_needed = is_temporary || few != parts;
    is_needed
        .then(|| joined(few))
        .filter(|template| !template.is_empty())
}

/// The exchange that has no name has one where a message has no routing key either.
fn named(parts: [&str; 3]) -> Cow<'_, str> {
    let name = joined(parts.map(Cow::Borrowed));
    if name.is_empty() {
        Cow::Borrowed("amq.default")
    } else {
        name
    }
}

fn joined(parts: [Cow<'_, str>; 3]) -> Cow<'_, str> {
    let mut parts = parts.into_iter().filter(|part| !part.is_empty());
    let mut name = parts.next().unwrap_or_default();
    for part in parts {
        let name = name.to_mut();
        name.push(':');
        name.push_str(&part);
    }
    name
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
            let destination = DestinationName::published(exchange, routing_key);
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
            let destination = DestinationName::received(exchange, routing_key, queue, false);
            assert_eq!(destination.text, expected);
            assert_eq!(destination.template, None);
            assert!(!destination.is_temporary && !destination.is_anonymous);
        }
    }

    #[test]
    fn of_a_name_that_was_made_up_only_the_beginning_is_in_the_template() {
        let reply = "amq.rabbitmq.reply-to.g1h2";
        let reply_to = "amq.rabbitmq.reply-to";
        let queue = "amq.gen-JzTY20BRgKO";
        let rows = [
            (DestinationName::published("", reply), reply_to),
            (DestinationName::published("logs", queue), "logs:amq.gen"),
            (
                DestinationName::published("", "spring.gen-1Rx9HOqvTAaHeeZrQWu8Pg"),
                "spring.gen",
            ),
            (
                DestinationName::received("", queue, queue, false),
                "amq.gen",
            ),
            (
                DestinationName::received("", reply, reply_to, false),
                reply_to,
            ),
            (
                DestinationName::received("logs", "info", queue, true),
                "logs:info:amq.gen",
            ),
        ];

        for (destination, expected) in rows {
            assert_eq!(destination.template.as_deref(), Some(expected));
            assert!(destination.is_temporary && destination.is_anonymous);
        }
    }

    #[test]
    fn where_routing_keys_are_no_names_or_hold_an_id_the_template_is_without() {
        let id = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
        let order = format!("order.{id}");
        let key = "order.4711";
        let received = |exchange, routing_key, queue| {
            DestinationName::received(exchange, routing_key, queue, false)
        };
        let rows = [
            (DestinationName::published("amq.topic", key), "amq.topic"),
            (
                DestinationName::published("amq.topic", "amq.gen-JzTY20BRgKO"),
                "amq.topic",
            ),
            (received("amq.topic", key, "audit"), "amq.topic:audit"),
            (received("amq.topic", "audit", "audit"), "amq.topic:audit"),
            (
                DestinationName::published("logs", &order),
                "logs:order.{uuid}",
            ),
            (received("", &order, &order), "order.{uuid}"),
            (received("logs", &order, "audit"), "logs:order.{uuid}:audit"),
            (received("logs", "info", &order), "logs:info:order.{uuid}"),
            (
                DestinationName::published(&order, "info"),
                "order.{uuid}:info",
            ),
        ];

        for (destination, expected) in rows {
            assert_eq!(destination.template.as_deref(), Some(expected));
            assert!(!destination.is_temporary && !destination.is_anonymous);
        }
    }

    #[test]
    fn of_a_temporary_queue_with_an_id_nothing_stays() {
        let queue = "tenant-6ba7b810-9dad-11d1-80b4-00c04fd430c8";
        let rows = [
            (DestinationName::received("", queue, queue, true), None),
            (
                DestinationName::received("logs", "info", queue, true),
                Some("logs:info"),
            ),
            (
                DestinationName::received("amq.topic", "order.4711", queue, true),
                Some("amq.topic"),
            ),
        ];

        for (destination, expected) in rows {
            assert_eq!(destination.template.as_deref(), expected);
            assert!(destination.is_temporary && !destination.is_anonymous);
        }
    }

    #[test]
    fn a_temporary_queue_is_not_in_the_template() {
        let rows = [
            ("logs", "info", "logs:info:q7", Some("logs:info")),
            ("logs", "q7", "logs:q7", Some("logs")),
            ("", "q7", "q7", None),
        ];

        for (exchange, routing_key, text, template) in rows {
            let destination = DestinationName::received(exchange, routing_key, "q7", true);
            assert_eq!(destination.text, text);
            assert_eq!(destination.template.as_deref(), template);
            assert!(destination.is_temporary && !destination.is_anonymous);
        }
    }
}
