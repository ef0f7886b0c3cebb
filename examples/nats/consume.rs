//! The loop of a subscription of core NATS.

use std::fmt;
use std::pin::pin;

use async_nats::{Message, Subscriber};
use futures::StreamExt as _;
use otel_messaging::nats::Messages;

/// Handles one message after the other until `stop` is ready. A failed handler does not end it.
///
/// Core NATS delivers a message once at most: one that fails, or that comes while there is no connection, is lost. The
/// client connects and subscribes again by itself.
pub async fn consume<E: fmt::Debug + fmt::Display + 'static>(
    mut messages: Messages<Subscriber>,
    stop: impl Future<Output = ()>,
    handle: impl AsyncFn(&Message) -> Result<(), E>,
) {
    let mut stop = pin!(stop);
    loop {
        let next = tokio::select! {
            biased;
            () = &mut stop => return,
            next = messages.next() => next,
        };
        // The program itself has closed the connection, or unsubscribed.
        let Some(message) = next else { return };
        if let Err(error) = message.process(async |message| handle(message).await).await {
            eprintln!("{}: {error:#}", message.subject);
        }
    }
}
