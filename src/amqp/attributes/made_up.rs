//! Names that no person chose, and of which there is no end.

use std::borrow::Cow;

/// Beginnings of names that the server makes up, and then those of clients: of queues that are gone
/// with their user, and of where the reply to one request goes.
const BEGINNINGS: [&str; 4] = [
    "amq.gen",
    "amq.rabbitmq.reply-to",
    // Spring AMQP.
    "spring.gen",
    // EasyNetQ.
    "easynetq.response",
];

/// Exchanges of every server that look at patterns, at headers or at nothing: a routing key is no
/// name there, but says what the message is about, mostly with an id in it.
const WITHOUT_NAMES: [&str; 5] = [
    "amq.topic",
    "amq.fanout",
    "amq.headers",
    "amq.match",
    "amq.rabbitmq.trace",
];

/// What stands for an id in a name.
const ID: &str = "{uuid}";

/// Digits of the groups of a UUID, between hyphens.
const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];

/// The digits of a UUID that is written without hyphens.
const DIGITS: usize = 32;

/// A part of a destination's name.
#[derive(Debug)]
pub(super) struct Part<'a> {
    /// What stands for it where names have to be few; itself, if somebody chose it.
    pub(super) few: Cow<'a, str>,
    /// The server or a client made it up for something that is gone with its user.
    pub(super) is_made_up: bool,
}

impl<'a> Part<'a> {
    pub(super) fn of_name(name: &'a str) -> Self {
        let beginning = beginning(name);
        let is_made_up = beginning.is_some();
        let few = beginning.map(Cow::Borrowed);
        let few = few.or_else(|| without_ids(name).map(Cow::Owned));
        Self {
            few: few.unwrap_or(Cow::Borrowed(name)),
            is_made_up,
        }
    }

    /// A routing key as a part of the name of what it was sent to.
    pub(super) fn of_key(routing_key: &'a str, exchange: &str) -> Self {
        if WITHOUT_NAMES.contains(&exchange) {
            return Self {
                few: Cow::Borrowed(""),
                is_made_up: false,
            };
        }
        Self::of_name(routing_key)
    }
}

/// The part of a name that is the same for all that are made up like it.
fn beginning(name: &str) -> Option<&str> {
    let server_or_client = BEGINNINGS.into_iter().find(|beginning| {
        let rest = name.strip_prefix(beginning);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']))
    });
    server_or_client
        .or_else(|| of_aio_pika(name))
        .or_else(|| of_spring_cloud(name))
        .or_else(|| of_mass_transit(name))
}

/// `amq_0x` and a number.
fn of_aio_pika(name: &str) -> Option<&str> {
    let number = name.strip_prefix("amq_0x")?;
    let is_number = number.bytes().all(|digit| digit.is_ascii_hexdigit());
    (is_number && !number.is_empty()).then_some("amq_0x")
}

/// `orders.anonymous.`, and a UUID in the form of base64 that URLs have.
fn of_spring_cloud(name: &str) -> Option<&str> {
    let (beginning, id) = name.rsplit_once('.')?;
    let is_digit = |digit: u8| digit.is_ascii_alphanumeric() || digit == b'-' || digit == b'_';
    let is_id = id.len() == 22 && id.bytes().all(is_digit);
    (is_id && beginning.ends_with(".anonymous")).then_some(beginning)
}

/// `machine_program_bus_` and an id in base 32. Machines are without number too.
fn of_mass_transit(name: &str) -> Option<&str> {
    let (beginning, id) = name.rsplit_once('_')?;
    let is_digit = |digit: u8| digit.is_ascii_lowercase() || digit.is_ascii_digit();
    let is_id = id.len() == 26 && id.bytes().all(is_digit);
    let (_machine, program) = beginning.split_once('_')?;
    (is_id && program.ends_with("_bus")).then_some(program)
}

/// The name with something else in place of each UUID; none if it has none.
fn without_ids(name: &str) -> Option<String> {
    if name.len() < DIGITS {
        return None;
    }
    let mut few = String::new();
    let mut copied = 0;
    let mut is_inside_word = false;
    for (at, character) in name.char_indices() {
        let begins_word = !is_inside_word && at >= copied;
        is_inside_word = character.is_alphanumeric();
        if begins_word
            && let Some(rest) = name.get(at..)
            && let Some(length) = id(rest)
            && let Some(before) = name.get(copied..at)
        {
            few.push_str(before);
            few.push_str(ID);
            copied = at + length;
        }
    }
    if copied == 0 {
        return None;
    }
    few.push_str(name.get(copied..).unwrap_or_default());
    Some(few)
}

/// The length of the UUID that a name begins with.
fn id(name: &str) -> Option<usize> {
    let digits = |name: &str| name.bytes().take_while(u8::is_ascii_hexdigit).count();
    let mut rest = name;
    if digits(rest) == DIGITS {
        rest = rest.get(DIGITS..)?;
    } else {
        for (group, length) in GROUPS.into_iter().enumerate() {
            if group > 0 {
                rest = rest.strip_prefix('-')?;
            }
            if digits(rest) != length {
                return None;
            }
            rest = rest.get(length..)?;
        }
    }
    let goes_on = rest.starts_with(char::is_alphanumeric);
    (!goes_on).then_some(name.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_name_that_a_server_or_a_client_made_up_the_beginning_stays() {
        let rows = [
            ("amq.gen-JzTY20BRgKO-HjmUJj0wLg", "amq.gen"),
            ("amq.rabbitmq.reply-to", "amq.rabbitmq.reply-to"),
            ("amq.rabbitmq.reply-to.g1h2AA==.x", "amq.rabbitmq.reply-to"),
            ("spring.gen-1Rx9HOqvTAaHeeZrQWu8Pg", "spring.gen"),
            (
                "easynetq.response.0303b47c-2229-4557-9218-30c99c67f8c9",
                "easynetq.response",
            ),
            ("amq_0x7f3a9c", "amq_0x"),
            (
                "orders.anonymous.1Rx9HOqvTAaHeeZrQWu8Pg",
                "orders.anonymous",
            ),
            ("HOST7_Shop_bus_kbdyyyfp5jkqd4a4bdqgqidibq", "Shop_bus"),
        ];

        for (name, expected) in rows {
            let part = Part::of_name(name);
            assert_eq!((&*part.few, part.is_made_up), (expected, true), "{name}");
        }
    }

    #[test]
    fn of_a_name_with_an_id_the_rest_stays() {
        let rows = [
            ("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "{uuid}"),
            (
                "order.6BA7B810-9DAD-11D1-80B4-00C04FD430C8.paid",
                "order.{uuid}.paid",
            ),
            (
                "6ba7b810-9dad-11d1-80b4-00c04fd430c8.reply.celery.pidbox",
                "{uuid}.reply.celery.pidbox",
            ),
            (
                "rpc.reply-billing-6ba7b810-9dad-11d1-80b4-00c04fd430c8",
                "rpc.reply-billing-{uuid}",
            ),
            ("reply_0af7651916cd43dd8448eb211c80319c", "reply_{uuid}"),
            (
                "ö-0af7651916cd43dd8448eb211c80319c-6ba7b810-9dad-11d1-80b4-00c04fd430c8-ö",
                "ö-{uuid}-{uuid}-ö",
            ),
        ];

        for (name, expected) in rows {
            let part = Part::of_name(name);
            assert_eq!((&*part.few, part.is_made_up), (expected, false), "{name}");
        }
    }

    #[test]
    fn a_name_that_somebody_chose_is_left_alone() {
        let chosen = [
            "",
            "orders",
            "order.4711",
            "amq.general",
            "amq.topic",
            "amq_0x",
            "amq_0xylophone",
            "spring.general",
            "orders.anonymous",
            "orders.anonymous.group",
            "orders.named.1Rx9HOqvTAaHeeZrQWu8Pg",
            "city_bus_lines",
            "the_school_bus_abcdefghijklmnopqrstuvwxy",
            // A digit too many, one too few, and what only looks like an id.
            "0af7651916cd43dd8448eb211c80319c0",
            "0af7651916cd43dd8448eb211c80319",
            "6ba7b810-9dad-11d1-80b4-00c04fd430c8z",
            "z6ba7b810-9dad-11d1-80b4-00c04fd430c8",
            "6ba7b810-9dad-11d1-80b4-00c04fd430c",
            "6ba7b810-9dad-11d1-80b4.00c04fd430c8-orders",
            "6ba7b810_9dad_11d1_80b4_00c04fd430c8_orders",
        ];

        for name in chosen {
            let part = Part::of_name(name);
            assert_eq!((&*part.few, part.is_made_up), (name, false));
            assert!(matches!(part.few, Cow::Borrowed(_)), "{name}");
        }
    }

    #[test]
    fn a_routing_key_is_a_name_where_queues_are_bound_by_it() {
        let rows = [
            ("amq.topic", ""),
            ("amq.fanout", ""),
            ("amq.headers", ""),
            ("amq.match", ""),
            ("amq.rabbitmq.trace", ""),
            ("amq.direct", "order.4711"),
            ("logs", "order.4711"),
            ("", "order.4711"),
        ];

        for (exchange, expected) in rows {
            let part = Part::of_key("order.4711", exchange);
            assert_eq!((&*part.few, part.is_made_up), (expected, false));
        }
    }
}
