//! Messages that are published again.

use std::fmt::Display;
use std::time::Duration;

use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ExchangeKind};

use tokio::time::timeout;

use super::connection::connect;
use crate::arguments::Access;
use crate::destination::Destination;
use crate::failure::Failure;

/// What a queue adds to a message for who reads it there.
const ADDED: [&str; 2] = ["x-delivery-count", "x-stream-offset"];

/// How long the broker may take to confirm.
const PATIENCE: Duration = Duration::from_secs(30);

/// Publishes to one exchange.
pub(crate) struct Sender {
    connection: Connection,
    channel: Channel,
    exchange: String,
    /// Where there is none, each goes by its own.
    routing_key: Option<String>,
}

impl Sender {
    /// Of an exchange or a queue that is there.
    pub(crate) async fn open(access: &Access, to: &Destination) -> Result<Self, Failure> {
        let connection = connect(access).await?;
        let failed = |error: lapin::Error| Failure::because(&to.to_string(), error);
        let channel = connection.create_channel().await.map_err(failed)?;
        let confirmed = channel.confirm_select(ConfirmSelectOptions::default());
        confirmed.await.map_err(failed)?;
        let (exchange, routing_key) = match to {
            Destination::Exchange(exchange, key) => {
                (exchange.clone(), Some(key.clone()).filter(|key| key != "#"))
            }
            Destination::Queue(queue) | Destination::RabbitStream(queue) => {
                (String::new(), Some(queue.clone()))
            }
            _ => return Err(Failure::new(format!("{to} is not of RabbitMQ"))),
        };
        match (exchange.as_str(), &routing_key) {
            // The default exchange is always there, and leads to the queue of that name.
            ("", Some(queue)) => {
                let there = QueueDeclareOptions::default().passive();
                let there =
                    channel.queue_declare(queue.as_str().into(), there, FieldTable::default());
                there.await.map_err(failed)?;
            }
            ("", None) => {}
            (name, _) => {
                let there = ExchangeDeclareOptions {
                    passive: true,
                    ..ExchangeDeclareOptions::default()
                };
                // Of one that is there, the kind is not compared.
                let kind = ExchangeKind::Direct;
                let there =
                    channel.exchange_declare(name.into(), kind, there, FieldTable::default());
                there.await.map_err(failed)?;
            }
        }
        Ok(Self {
            connection,
            channel,
            exchange,
            routing_key,
        })
    }

    /// Whether the broker takes what says that it is of this user: of another, it closes the channel.
    pub(crate) fn can_send(&self, properties: &BasicProperties) -> bool {
        is_of(properties, &self.connection.status().username())
    }

    /// Where a message goes that has this key.
    pub(crate) fn target(&self, own_key: &str) -> String {
        let key = self.routing_key.as_deref().unwrap_or(own_key);
        format!("rabbitmq:{}/{key}", self.exchange)
    }

    pub(crate) async fn send(
        &self,
        own_key: &str,
        properties: BasicProperties,
        payload: &[u8],
    ) -> Result<(), Failure> {
        let target = self.target(own_key);
        let failed =
            |error: &dyn Display| Failure::because(&format!("{target}: not confirmed"), error);
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let key = self.routing_key.as_deref().unwrap_or(own_key);
        let confirm = self.channel.basic_publish(
            self.exchange.as_str().into(),
            key.into(),
            options,
            payload,
            as_published(properties),
        );
        // A broker that is short of room takes messages, and answers when it has some.
        let confirmed = timeout(PATIENCE, async { confirm.await?.await }).await;
        let confirmed = confirmed.map_err(|error| failed(&error))?;
        let confirmation = confirmed.map_err(|error| failed(&error))?;
        match confirmation {
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Ack(Some(returned)) => Err(Failure::new(format!(
                "{target}: no queue takes it: {}",
                returned.reply_text
            ))),
            Confirmation::Nack(_) | Confirmation::NotRequested => Err(Failure::new(format!(
                "{target}: the broker did not take it"
            ))),
        }
    }
}

fn is_of(properties: &BasicProperties, user: &str) -> bool {
    let said = properties.user_id().as_ref();
    said.is_none_or(|said| said.as_str() == user)
}

fn as_published(properties: BasicProperties) -> BasicProperties {
    let Some(headers) = properties.headers() else {
        return properties;
    };
    let is_added = |name: &str| ADDED.contains(&name);
    if !headers.inner().keys().any(|name| is_added(name.as_str())) {
        return properties;
    }
    let kept = headers.inner().iter();
    let kept = kept.filter(|(name, _)| !is_added(name.as_str()));
    let mut table = FieldTable::default();
    for (name, value) in kept {
        table.insert(name.clone(), value.clone());
    }
    properties.with_headers(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_that_it_is_of_another_user_cannot_be_sent() {
        let of = |user: &str| BasicProperties::default().with_user_id(user.into());
        for (properties, can_be_sent) in [
            (BasicProperties::default(), true),
            (of("shop"), true),
            (of("billing"), false),
            (of(""), false),
        ] {
            assert_eq!(is_of(&properties, "shop"), can_be_sent, "{properties:?}");
        }
    }
}
