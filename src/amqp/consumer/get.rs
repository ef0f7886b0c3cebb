//! Receiving through a channel.

use std::sync::Arc;

use lapin::Channel;
use lapin::message::BasicGetMessage;
use lapin::options::{BasicConsumeOptions, BasicGetOptions};
use lapin::types::{FieldTable, ShortString};

use super::sealed::Sealed as _;
use super::{Consumer, Source, record_failure};
use crate::engine::received::Received;
use crate::engine::received::sealed::MessageSource as _;

impl Consumer<Channel> {
    /// Takes one message out of a queue, as [`Channel::basic_get`] does. `None` if the queue is
    /// empty.
    ///
    /// ```
    /// use lapin::Channel;
    /// use lapin::options::{BasicAckOptions, BasicGetOptions, BasicRejectOptions};
    /// use otel_messaging::amqp;
    ///
    /// # async fn handle(_: &[u8]) -> anyhow::Result<()> { Ok(()) }
    /// async fn empty(orders: &amqp::Consumer<Channel>) -> lapin::Result<()> {
    ///     while let Some(order) = orders.basic_get("orders".into(), BasicGetOptions::default()).await? {
    ///         match order.process(async |order| handle(&order.data).await).await {
    ///             Ok(()) => order.ack(BasicAckOptions::default()).await?,
    ///             // To the dead-letter exchange of the queue; without one, it is discarded.
    ///             Err(_) => order.reject(BasicRejectOptions { requeue: false }).await?,
    ///         };
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The error of [`Channel::basic_get`].
    ///
    /// # Cancel safety
    ///
    /// As for [`Channel::basic_get`]: a message that is already under way is lost to the caller.
    /// The broker delivers it again when the channel is closed.
    pub async fn basic_get(
        &self,
        queue: ShortString,
        options: BasicGetOptions,
    ) -> lapin::Result<Option<Received<BasicGetMessage>>> {
        let since = self.source.wait();
        let got = self.client.basic_get(queue.clone(), options).await;
        let source = || self.source_of(queue, Channel::RECEIVE_NAME);
        match got {
            Ok(message) => Ok(message.map(|message| {
                Received::deliver(message, &Arc::new(source()), since, |message| {
                    Some(u64::from(message.message_count))
                })
            })),
            Err(error) => {
                if let Some(since) = since {
                    record_failure(&source(), None, since, &error);
                }
                Err(error)
            }
        }
    }

    /// Starts a consumer, as [`Channel::basic_consume`] does, and wraps it.
    ///
    /// # Errors
    ///
    /// The error of [`Channel::basic_consume`].
    pub async fn basic_consume(
        &self,
        queue: ShortString,
        consumer_tag: ShortString,
        options: BasicConsumeOptions,
        arguments: FieldTable,
    ) -> lapin::Result<Consumer> {
        let consumer = self
            .client
            .basic_consume(queue, consumer_tag, options, arguments)
            .await?;
        let source = self.source_of(consumer.queue(), lapin::Consumer::RECEIVE_NAME);
        Ok(Consumer {
            client: consumer,
            source: Arc::new(source),
            waited_since: None,
            is_part_of_wait: false,
        })
    }

    fn source_of(&self, queue: ShortString, receive_name: &'static str) -> Source {
        Source {
            client: Arc::clone(&self.source.client),
            queue,
            is_temporary: self.source.is_temporary,
            receive_name,
        }
    }
}
