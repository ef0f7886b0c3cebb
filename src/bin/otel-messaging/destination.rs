//! What is to be read, as it is named on the command line.

use std::fmt;
use std::str::FromStr;

/// What is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Topics whose names match.
    Kafka(String),
    /// What is published to an exchange from now on, with a routing key that matches.
    Exchange(String, String),
    /// An existing queue; its messages are put back.
    Queue(String),
    /// A stream of RabbitMQ.
    RabbitStream(String),
    /// What is published to subjects from now on.
    Subject(String),
    /// A stream of JetStream, and of it the subjects that match.
    JetStream(String, Option<String>),
}

/// The forms, for who wrote another.
const FORMS: &str = "kafka:TOPIC, rabbitmq:EXCHANGE[/ROUTING-KEY], rabbitmq-queue:NAME, rabbitmq-stream:NAME, \
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
        Ok(match system {
            "kafka" => Self::Kafka(name),
            "rabbitmq" => {
                let (exchange, key) = parts();
                Self::Exchange(exchange, key.unwrap_or_else(|| "#".to_owned()))
            }
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
        })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kafka(name) => write!(f, "kafka:{name}"),
            Self::Exchange(name, key) => write!(f, "rabbitmq:{name}/{key}"),
            Self::Queue(name) => write!(f, "rabbitmq-queue:{name}"),
            Self::RabbitStream(name) => write!(f, "rabbitmq-stream:{name}"),
            Self::Subject(name) => write!(f, "nats:{name}"),
            Self::JetStream(name, None) => write!(f, "jetstream:{name}"),
            Self::JetStream(name, Some(subject)) => write!(f, "jetstream:{name}/{subject}"),
        }
    }
}
