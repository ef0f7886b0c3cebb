//! The loop of a JetStream consumer that handles many messages at a time.

use std::fmt;
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::{AckKind, Message};
use futures::StreamExt as _;
use otel_messaging::Received;
use otel_messaging::nats::Messages;
use tokio::task::{JoinError, JoinSet};

/// Before a message is delivered again.
const PAUSE: Duration = Duration::from_millis(500);

/// Handles up to `limit` messages at a time, each in a task of its own, until `stop` is ready.
///
/// Then it takes no more, and waits for those that it has. A message that fails is delivered again after a pause, as often
/// as the consumer's `max_deliver` says; `jetstream.rs` sends it to dead letters in the end. What the client has fetched
/// beside is delivered again after the consumer's `ack_wait`, and counts as tried: where handlers are slow, let the client
/// ask for few at a time, as `jetstream.rs` does.
///
/// # Errors
///
/// The consumer is of no use any more; look it up again, as `jetstream.rs` does.
///
/// # Cancel safety
///
/// Dropping the future drops the handlers, and acknowledges nothing that is not done with.
pub async fn consume<E, Fut>(
    mut messages: Messages<pull::Stream>,
    limit: usize,
    stop: impl Future<Output = ()>,
    handle: impl Fn(Arc<Received<Message>>) -> Fut + Clone + Send + Sync + 'static,
) -> anyhow::Result<()>
where
    E: fmt::Debug + fmt::Display + Send + 'static,
    Fut: Future<Output = Result<(), E>> + Send + 'static,
{
    let (mut stop, mut tasks) = (pin!(stop), JoinSet::new());
    let ended = loop {
        let next = tokio::select! {
            biased;
            () = &mut stop => break Ok(()),
            Some(done) = tasks.join_next() => {
                joined(done);
                continue;
            }
            next = messages.next(), if tasks.len() < limit => next,
        };
        let message = match next.context("no more messages") {
            Ok(Ok(message)) => Arc::new(message),
            Ok(Err(error)) => break Err(error.into()),
            Err(error) => break Err(error),
        };
        let handle = handle.clone();
        tasks.spawn(async move {
            let handled = message.process(|_| handle(Arc::clone(&message))).await;
            if let Err(error) = settle(&message, handled).await {
                // The server has no answer, and delivers it again.
                eprintln!("{}: {error:#}", message.subject);
            }
        });
    };
    while let Some(done) = tasks.join_next().await {
        joined(done);
    }
    ended
}

/// Tells the server what became of a message.
async fn settle<E: fmt::Display>(
    message: &Received<Message>,
    handled: Result<(), E>,
) -> Result<(), async_nats::Error> {
    let Err(error) = handled else {
        return message.double_ack().await;
    };
    eprintln!("{}: {error:#}", message.subject);
    message.ack_with(AckKind::Nak(Some(PAUSE))).await
}

/// A panic of the handler goes on here, as it does where the handler is not a task.
fn joined(done: Result<(), JoinError>) {
    done.unwrap_or_else(|error| resume_unwind(error.into_panic()));
}
