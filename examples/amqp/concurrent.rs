//! The loop of a RabbitMQ consumer that handles many messages at a time.

use std::fmt;
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicNackOptions};
use otel_messaging::{Received, amqp};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};

/// Before a message is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// For the client to write an acknowledgement. A connection that is lost may leave it waiting for ever.
const PATIENCE: Duration = Duration::from_secs(10);

/// Handles up to `limit` messages at a time, each in a task of its own, until `stop` is ready.
///
/// Then it takes no more, and waits for those that it has. The channel's prefetch (`basic_qos`) should be `limit` too. A
/// message that fails goes back into the queue once. When it fails again, the broker takes it to the dead-letter exchange
/// of the queue. Close the connection after this: what the client has fetched beside is delivered again, and counts as
/// tried.
///
/// # Errors
///
/// The connection is gone, or the broker has cancelled the consumer. What was not acknowledged is delivered again, over
/// another connection: `consume.rs` makes one.
///
/// # Cancel safety
///
/// Dropping the future drops the handlers, and acknowledges nothing that is not done with.
pub async fn consume<E, Fut>(
    mut messages: amqp::Consumer,
    limit: usize,
    stop: impl Future<Output = ()>,
    handle: impl Fn(Arc<Received<Delivery>>) -> Fut + Clone + Send + Sync + 'static,
) -> anyhow::Result<()>
where
    E: fmt::Debug + fmt::Display + Send + 'static,
    Fut: Future<Output = Result<(), E>> + Send + 'static,
{
    let (mut stop, mut tasks) = (pin!(stop), JoinSet::new());
    let mut ended = loop {
        let next = tokio::select! {
            biased;
            () = &mut stop => break Ok(()),
            Some(settled) = tasks.join_next() => match joined(settled) {
                Ok(()) => continue,
                Err(error) => break Err(error),
            },
            next = messages.next(), if tasks.len() < limit => next,
        };
        let message = match next.context("cancelled by the broker") {
            Ok(Ok(message)) => Arc::new(message),
            Ok(Err(error)) => break Err(error.into()),
            Err(error) => break Err(error),
        };
        let handle = handle.clone();
        tasks.spawn(async move {
            let handled = message.process(|_| handle(Arc::clone(&message))).await;
            settle(&message, handled).await
        });
    };
    while let Some(settled) = tasks.join_next().await {
        let settled = joined(settled);
        ended = ended.and(settled);
    }
    ended
}

/// Tells the broker what became of a message.
async fn settle<E: fmt::Display>(
    message: &Received<Delivery>,
    handled: Result<(), E>,
) -> anyhow::Result<()> {
    let settled = match handled {
        Ok(()) => timeout(PATIENCE, message.ack(BasicAckOptions::default())).await,
        Err(error) => {
            eprintln!("{}: {error:#}", message.routing_key);
            sleep(PAUSE).await;
            let options = BasicNackOptions {
                requeue: !message.redelivered,
                ..BasicNackOptions::default()
            };
            timeout(PATIENCE, message.nack(options)).await
        }
    };
    settled.context("the connection takes no acknowledgement")??;
    Ok(())
}

/// A panic of the handler goes on here, as it does where the handler is not a task.
fn joined(settled: Result<anyhow::Result<()>, JoinError>) -> anyhow::Result<()> {
    settled.unwrap_or_else(|error| resume_unwind(error.into_panic()))
}
