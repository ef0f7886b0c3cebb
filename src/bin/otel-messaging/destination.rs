//! What is to be read, as it is named on the command line.

use std::fmt;
use std::str::FromStr;

use wildmatch::WildMatch;

/// What is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Topics whose names match.
    Kafka(String),
    /// What is published to an exchange from now on, with a routing key that matches.
    Exchange(String, String),
    /// What a broker that traces tells of messages, by keys that match.
    Firehose(String),
    /// An existing queue; its messages are put back.
    Queue(String),
    /// A stream of RabbitMQ.
    RabbitStream(String),
    /// What is published to subjects from now on.
    Subject(String),
    /// A stream of JetStream, and of it the subjects that match.
    JetStream(String, Option<String>),
}

/// A key of a topic exchange that all others match.
pub(crate) const ALL_KEYS: &str = "#";

/// Bytes of a name, or of a routing key: the client panics with more.
const MOST_OF_RABBITMQ: usize = 255;

/// The forms, for who wrote another.
const FORMS: &str = "kafka:TOPIC, rabbitmq:EXCHANGE[/ROUTING-KEY], rabbitmq-queue:NAME, rabbitmq-stream:NAME, \
                     rabbitmq-firehose:KEY, \
                     nats:SUBJECT, jetstream:STREAM[/SUBJECT]";

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((system, name)) = text.split_once(':').filter(|(_, name)| !name.is_empty()) else {
            return Err(format!("a destination is one of {FORMS}"));
        };
        let name = name.to_owned();
        let parts = || match name.split_once('/') {
            Some((name, rest)) if !rest.is_empty() => (name.to_owned(), Some(rest.to_owned())),
            _ => (name.clone(), None),
        };
        let destination = match system {
            "kafka" => Self::Kafka(name),
            "rabbitmq" => {
                let (exchange, key) = parts();
                if exchange == "amq.rabbitmq.trace" {
                    return Err("the firehose is rabbitmq-firehose:KEY".to_owned());
                }
                Self::Exchange(exchange, key.unwrap_or_else(|| ALL_KEYS.to_owned()))
            }
            "rabbitmq-firehose" => Self::Firehose(name),
            "rabbitmq-queue" => Self::Queue(name),
            "rabbitmq-stream" => Self::RabbitStream(name),
            "nats" => Self::Subject(name),
            "jetstream" => {
                let (stream, subject) = parts();
                Self::JetStream(stream, subject)
            }
            _ => {
                return Err(format!(
                    "{system:?} is no system; a destination is one of {FORMS}"
                ));
            }
        };
        match destination.longest_of_rabbitmq() > MOST_OF_RABBITMQ {
            true => Err(format!(
                "a name of RabbitMQ's has at most {MOST_OF_RABBITMQ} bytes"
            )),
            false => Ok(destination),
        }
    }
}

impl Destination {
    /// Bytes of the longest name that the client of RabbitMQ is given.
    fn longest_of_rabbitmq(&self) -> usize {
        match self {
            Self::Exchange(name, key) => name.len().max(key.len()),
            Self::Firehose(name) | Self::Queue(name) | Self::RabbitStream(name) => name.len(),
            Self::Kafka(_) | Self::Subject(_) | Self::JetStream(..) => 0,
        }
    }

    /// Whether what is told under this name was read for it.
    pub(crate) fn covers(&self, name: &str) -> bool {
        let of = |system: &str| name.strip_prefix(system);
        match self {
            Self::Kafka(pattern) => {
                of("kafka:").is_some_and(|topic| WildMatch::new(pattern).matches(topic))
            }
            Self::Firehose(pattern) => of("rabbitmq-firehose:").is_some_and(|key| {
                let words = |text: &'_ str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
                is_key_of(&words(pattern), &words(key))
            }),
            Self::Subject(pattern) => {
                of("nats:").is_some_and(|subject| is_subject_of(pattern, subject))
            }
            Self::JetStream(stream, pattern) => {
                let subject = of("jetstream:").and_then(|name| name.strip_prefix(stream.as_str()));
                let subject = subject.and_then(|name| name.strip_prefix('/'));
                subject.is_some_and(|subject| {
                    let pattern = pattern.as_deref();
                    pattern.is_none_or(|pattern| is_subject_of(pattern, subject))
                })
            }
            other => other.to_string() == name,
        }
    }
}

/// As NATS has it: `*` is one token, `>` is all that are left.
pub(crate) fn is_subject_of(pattern: &str, subject: &str) -> bool {
    let (mut wanted, mut tokens) = (pattern.split('.'), subject.split('.'));
    loop {
        match (wanted.next(), tokens.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(_)) => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

/// As RabbitMQ has it: `*` is one word, `#` are any number.
fn is_key_of(pattern: &[String], key: &[String]) -> bool {
    match (pattern.split_first(), key.split_first()) {
        (None, None) => true,
        (Some((wanted, after)), _) if wanted == "#" => (0..=key.len())
            .any(|skipped| key.get(skipped..).is_some_and(|key| is_key_of(after, key))),
        (Some((wanted, after)), Some((word, words))) => {
            (wanted == "*" || wanted == word) && is_key_of(after, words)
        }
        _ => false,
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kafka(name) => write!(f, "kafka:{name}"),
            Self::Exchange(name, key) if key == ALL_KEYS => write!(f, "rabbitmq:{name}"),
            Self::Exchange(name, key) => write!(f, "rabbitmq:{name}/{key}"),
            Self::Firehose(key) => write!(f, "rabbitmq-firehose:{key}"),
            Self::Queue(name) => write!(f, "rabbitmq-queue:{name}"),
            Self::RabbitStream(name) => write!(f, "rabbitmq-stream:{name}"),
            Self::Subject(name) => write!(f, "nats:{name}"),
            Self::JetStream(name, None) => write!(f, "jetstream:{name}"),
            Self::JetStream(name, Some(subject)) => write!(f, "jetstream:{name}/{subject}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_covered_by_what_was_asked_for() {
        for (asked, name, is_covered) in [
            ("kafka:orders", "kafka:orders", true),
            ("kafka:orders*", "kafka:orders-retry", true),
            ("kafka:orders", "kafka:orders-retry", false),
            ("rabbitmq:shop", "rabbitmq:shop", true),
            ("rabbitmq:shop/#", "rabbitmq:shop", true),
            ("rabbitmq:shop/new", "rabbitmq:shop/new", true),
            ("rabbitmq:shop/new", "rabbitmq:shop/paid", false),
            ("rabbitmq-firehose:#", "rabbitmq-firehose:publish.a.b", true),
            (
                "rabbitmq-firehose:publish.#",
                "rabbitmq-firehose:publish.a.b",
                true,
            ),
            (
                "rabbitmq-firehose:publish.*",
                "rabbitmq-firehose:publish.a.b",
                false,
            ),
            (
                "rabbitmq-firehose:*.#.b",
                "rabbitmq-firehose:publish.a.b",
                true,
            ),
            (
                "rabbitmq-firehose:deliver.#",
                "rabbitmq-firehose:publish.a",
                false,
            ),
            ("nats:orders.*", "nats:orders.new", true),
            ("nats:orders.*", "nats:orders.new.eu", false),
            ("nats:orders.>", "nats:orders.new.eu", true),
            ("nats:orders.>", "nats:orders", false),
            ("nats:*.new", "nats:orders.new", true),
            ("nats:orders", "nats:orders.new", false),
            ("nats:>", "nats:orders", true),
            ("jetstream:ORDERS", "jetstream:ORDERS/orders.new", true),
            (
                "jetstream:ORDERS/orders.*",
                "jetstream:ORDERS/orders.new",
                true,
            ),
            (
                "jetstream:ORDERS/orders.paid",
                "jetstream:ORDERS/orders.new",
                false,
            ),
            ("jetstream:ORDER", "jetstream:ORDERS/orders.new", false),
        ] {
            let asked_for: Result<Destination, _> = asked.parse();
            let found = asked_for.map(|destination| destination.covers(name));
            assert_eq!(found, Ok(is_covered), "{asked} and {name}");
        }
    }

    #[test]
    fn a_name_that_rabbitmq_cannot_have_is_refused_before_the_client_panics() {
        let (longest, longer) = ("q".repeat(255), "q".repeat(256));
        for system in [
            "rabbitmq",
            "rabbitmq-queue",
            "rabbitmq-stream",
            "rabbitmq-firehose",
        ] {
            let read = |name: &str| format!("{system}:{name}").parse::<Destination>();
            assert!(read(&longest).is_ok(), "{system}");
            let refused = read(&longer).err().unwrap_or_default();
            assert_eq!(
                refused, "a name of RabbitMQ's has at most 255 bytes",
                "{system}"
            );
        }
    }
}
