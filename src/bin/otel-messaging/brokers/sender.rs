//! Sending dead messages again: as they were, each once, and each confirmed before it counts as sent.

use std::collections::HashSet;
use std::sync::Arc;

use wildmatch::WildMatch;

use super::{amqp, kafka, nats};
use crate::arguments::Reading;
use crate::destination::{ALL_KEYS, Destination};
use crate::failure::Failure;
use crate::original::Original;
use crate::seen::{Place, Seen};

/// What becomes of a message.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// It would be sent there.
    Would(String),
    /// It is there.
    Sent(String),
    /// It is not sent, for this reason.
    LeftOut(&'static str),
    /// It was sent already, or would have been: more than one has told of it.
    Before,
}

/// Sends messages again, to one destination.
pub(crate) struct Sender {
    way: Way,
    to: Destination,
    is_to_write: bool,
    /// Those that were sent, or would have been.
    done: HashSet<(Arc<str>, Place)>,
}

enum Way {
    Kafka(kafka::Sender),
    RabbitMq(amqp::Sender),
    JetStream(nats::Sender),
}

/// Messages that are remembered; each takes about a hundred bytes.
const MOST: usize = 1_000_000;

impl Sender {
    pub(crate) async fn open(
        to: &Destination,
        reading: &Reading,
        is_to_write: bool,
    ) -> Result<Self, Failure> {
        for (number, source) in reading.destinations.iter().enumerate() {
            if let Some(reason) = refusal(to, source) {
                return Err(Failure::new(format!("--redrive {to}: {reason}")));
            }
            if reading
                .destinations
                .iter()
                .skip(number + 1)
                .any(|other| other == source)
            {
                return Err(Failure::new(format!("--redrive: {source} is named twice")));
            }
        }
        let access = &reading.access;
        let way = match to {
            Destination::Kafka(topic) => Way::Kafka(kafka::Sender::open(access, topic)?),
            Destination::Exchange(..) | Destination::Queue(_) | Destination::RabbitStream(_) => {
                Way::RabbitMq(amqp::Sender::open(access, to).await?)
            }
            Destination::JetStream(stream, subject) => {
                let sender = nats::Sender::open(access, stream, subject.as_deref());
                Way::JetStream(sender.await?)
            }
            Destination::Subject(_) => return Err(no_confirm(to)),
            Destination::Firehose(_) => {
                return Err(Failure::new(format!("--redrive {to}: it can only be read")));
            }
        };
        Ok(Self {
            way,
            to: to.clone(),
            is_to_write,
            done: HashSet::new(),
        })
    }

    /// Sends it, where that is wanted, and waits until the broker has it.
    pub(crate) async fn send(&mut self, seen: &Seen) -> Result<Outcome, Failure> {
        let Some(original) = &seen.original else {
            return Ok(Outcome::LeftOut(match seen.facts.is_gone {
                true => "it is not there any more",
                false => "it cannot be read",
            }));
        };
        if let Destination::JetStream(stream, _) = &self.to {
            let shown = seen
                .destination
                .strip_prefix("jetstream:")
                .unwrap_or_default();
            if !seen.facts.is_in_place && shown.split('/').next() == Some(stream) {
                return Ok(Outcome::LeftOut("it is there already"));
            }
        }
        if let Place::Offset { .. } | Place::Sequence(_) = seen.place {
            if self.done.len() >= MOST {
                return Err(Failure::new(format!(
                    "--redrive: more than {MOST} messages; --max ends before"
                )));
            }
            if !self
                .done
                .insert((Arc::clone(&seen.destination), seen.place))
            {
                return Ok(Outcome::Before);
            }
        }
        match (&self.way, original) {
            (
                Way::Kafka(sender),
                Original::Kafka {
                    key,
                    payload,
                    headers,
                },
            ) => {
                if !self.is_to_write {
                    return Ok(Outcome::Would(self.to.to_string()));
                }
                let (key, payload) = (key.as_deref(), payload.as_deref());
                let sent = sender.send(&seen.facts, key, payload, headers.clone());
                sent.await.map(Outcome::Sent)
            }
            (
                Way::RabbitMq(sender),
                Original::RabbitMq {
                    routing_key,
                    properties,
                    payload,
                },
            ) => {
                if !sender.can_send(properties) {
                    return Ok(Outcome::LeftOut("its user_id is another user"));
                }
                let key = seen.facts.routing_key.as_ref().unwrap_or(routing_key);
                let target = sender.target(key);
                if !self.is_to_write {
                    return Ok(Outcome::Would(target));
                }
                sender.send(key, (**properties).clone(), payload).await?;
                Ok(Outcome::Sent(target))
            }
            (
                Way::JetStream(sender),
                Original::Nats {
                    subject,
                    headers,
                    payload,
                },
            ) => {
                if !sender.can_take(subject) {
                    return Ok(Outcome::LeftOut("no subject of the stream is its own"));
                }
                if !self.is_to_write {
                    return Ok(Outcome::Would(sender.target(subject)));
                }
                let sent = sender.send(subject, headers.as_ref(), payload.clone());
                sent.await.map(Outcome::Sent)
            }
            _ => Ok(Outcome::LeftOut("it is of another system")),
        }
    }
}

fn no_confirm(to: &Destination) -> Failure {
    Failure::new(format!(
        "--redrive {to}: core NATS does not confirm that it has a message; jetstream:STREAM/SUBJECT does"
    ))
}

/// Why what is in a source cannot be sent there.
fn refusal(to: &Destination, source: &Destination) -> Option<String> {
    // The queue that a message ends in, where that is known.
    let queue = |one: &Destination| match one {
        Destination::Queue(name) | Destination::RabbitStream(name) => Some(name.clone()),
        Destination::Exchange(exchange, key) if exchange.is_empty() => Some(key.clone()),
        _ => None,
    };
    if let Destination::Exchange(_, key) = to
        && key != ALL_KEYS
        && key.split('.').any(|word| ["*", "#"].contains(&word))
    {
        return Some("a message is sent to one routing key, not to a pattern".to_owned());
    }
    let is_same = match (to, source) {
        (Destination::Kafka(topic), Destination::Kafka(pattern)) => {
            if topic.contains(['*', '?']) {
                return Some("messages are sent to one topic, not to a pattern".to_owned());
            }
            WildMatch::new(pattern).matches(topic)
        }
        (
            Destination::Exchange(..) | Destination::Queue(_) | Destination::RabbitStream(_),
            Destination::Queue(_) | Destination::RabbitStream(_),
        ) => queue(to) == queue(source),
        (Destination::JetStream(..), Destination::JetStream(_, subject)) => {
            subject.is_some() && to == source
        }
        // What fails again would come again.
        (_, Destination::Exchange(..) | Destination::Firehose(_) | Destination::Subject(_)) => {
            return Some(format!(
                "{source} is what is published from now on; name what keeps the dead messages"
            ));
        }
        (Destination::Subject(_), _) => return None,
        _ => return Some(format!("{source} is of another system")),
    };
    is_same.then(|| format!("that is what is read by {source}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(to: &str, source: &str) -> Result<bool, String> {
        Ok(refusal(&to.parse()?, &source.parse()?).is_some())
    }

    #[test]
    fn nothing_is_sent_to_where_it_is_nor_in_a_circle() -> Result<(), String> {
        for (to, source, is_refused) in [
            ("kafka:orders", "kafka:orders.dlt", false),
            ("kafka:orders", "kafka:orders", true),
            ("kafka:orders", "kafka:ord*", true),
            ("kafka:orders.*", "kafka:dead", true),
            ("kafka:orders", "rabbitmq-queue:dead", true),
            ("rabbitmq:/dead", "rabbitmq-queue:dead", true),
            ("rabbitmq-queue:dead", "rabbitmq-queue:dead", true),
            ("rabbitmq-stream:dead", "rabbitmq-stream:dead", true),
            ("rabbitmq:/orders", "rabbitmq-queue:dead", false),
            ("rabbitmq:shop/orders", "rabbitmq-queue:dead", false),
            ("rabbitmq:shop", "rabbitmq:dead", true),
            ("rabbitmq:shop/#", "rabbitmq-queue:dead", false),
            ("rabbitmq:shop/orders.*", "rabbitmq-queue:dead", true),
            ("rabbitmq:shop/#.new", "rabbitmq-stream:dead", true),
            ("rabbitmq:shop/*", "rabbitmq-queue:dead", true),
            ("rabbitmq:shop/orders*.#1", "rabbitmq-queue:dead", false),
            ("jetstream:ORDERS", "jetstream:ORDERS", false),
            ("jetstream:DEAD/d", "jetstream:DEAD/d", true),
            ("jetstream:ORDERS", "nats:dead", true),
            ("rabbitmq:shop", "rabbitmq-firehose:publish.#", true),
            ("jetstream:ORDERS", "kafka:dead", true),
        ] {
            assert_eq!(refused(to, source)?, is_refused, "{source} to {to}");
        }
        Ok(())
    }
}
