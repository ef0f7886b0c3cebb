//! The loop of a subscription of core NATS.

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures::StreamExt as _;
use otel_messaging::nats::Messages;
use tokio::time::{sleep, timeout};

/// While the connection is away, the client lets a subscription wait for its end, and what it has already may be lost.
const PATIENCE: Duration = Duration::from_secs(10);

/// Handles one message after the other until `stop` is ready, and then those that the client has already. A failed handler
/// does not end it.
///
/// Core NATS delivers a message once at most: one that fails, or that comes while there is no connection, is lost. The
/// client connects and subscribes again by itself, unless it has tried as often as its `max_reconnects`.
pub async fn consume<E: fmt::Debug + fmt::Display + 'static>(
    mut messages: Messages<Subscriber>,
    stop: impl Future<Output = ()>,
    handle: impl AsyncFn(&Message) -> Result<(), E>,
) {
    let (mut stop, mut is_draining) = (pin!(stop), false);
    loop {
        let next = tokio::select! {
            biased;
            () = &mut stop, if !is_draining => {
                is_draining = matches!(timeout(PATIENCE, messages.drain()).await, Ok(Ok(())));
                if is_draining { continue } else { return }
            }
            next = messages.next() => next,
            () = sleep(PATIENCE), if is_draining => return,
        };
        // Drained, or the program has closed the connection or unsubscribed, or the client has given the connection up.
        let Some(message) = next else { return };
        if let Err(error) = message.process(async |message| handle(message).await).await {
            eprintln!("{}: {error:#}", message.subject);
        }
    }
}
