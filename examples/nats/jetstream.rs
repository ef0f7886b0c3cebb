//! The loop of a JetStream consumer.

use std::fmt;
use std::pin::{Pin, pin};
use std::time::Duration;

use anyhow::Context as _;
use async_nats::HeaderMap;
use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::{AckKind, Message};
use futures::StreamExt as _;
use otel_messaging::Received;
use otel_messaging::nats::jetstream::{Consumer, Producer};
use tokio::time::sleep;

/// How often a message is tried.
const ATTEMPTS: i64 = 3;

/// Before a message is delivered again, and before the consumer is looked up again.
const PAUSE: Duration = Duration::from_millis(500);

/// How often a server that has no messages shows that it is there. Without it, nobody would look up the consumer again.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Handles one message of a stream after the other until `stop` is ready. A failed handler does not end it, nor does a
/// stream that is not there yet or a server that is gone for a while.
///
/// `look_up` returns the consumer, and makes it where there is none. A message that fails is delivered again after a
/// pause. When it fails in the last attempt, it goes to the subject `dead_letters`, which has to be one of a stream. The
/// server counts deliveries, not attempts: a handler that takes longer than the consumer's `ack_wait` has fewer of them.
/// The consumer's `max_deliver` is unset, or well above the attempts: beyond it the server gives a message up, and it is in
/// no dead letters.
pub async fn consume<E: fmt::Debug + fmt::Display + 'static>(
    look_up: impl AsyncFn() -> anyhow::Result<Consumer<pull::Config>>,
    producer: &Producer,
    dead_letters: &str,
    stop: impl Future<Output = ()>,
    handle: impl AsyncFn(&Message) -> Result<(), E>,
) {
    let mut stop = pin!(stop);
    loop {
        let consumed = look_up_and_consume(&look_up, stop.as_mut(), async |message| {
            let handled = message.process(async |message| handle(message).await).await;
            let settled = settle(message, handled, producer, dead_letters).await;
            if let Err(error) = settled {
                // The server has no answer, and delivers it again.
                eprintln!("{}: {error:#}", message.subject);
            }
        });
        let Err(error) = consumed.await else { return };
        eprintln!("{error:#}");
        tokio::select! {
            () = &mut stop => return,
            () = sleep(PAUSE) => {}
        }
    }
}

/// The same with one consumer, as long as that is good.
async fn look_up_and_consume(
    look_up: impl AsyncFn() -> anyhow::Result<Consumer<pull::Config>>,
    mut stop: Pin<&mut impl Future<Output = ()>>,
    handle: impl AsyncFn(&Received<Message>),
) -> anyhow::Result<()> {
    let looking_up = async {
        let consumer = look_up().await?;
        // One at a time: what waits in the client for longer than `ack_wait` is delivered again, and counts as tried.
        let messages = consumer.stream().max_messages_per_batch(1);
        anyhow::Ok(messages.heartbeat(HEARTBEAT).messages().await?)
    };
    let mut messages = tokio::select! {
        () = &mut stop => return Ok(()),
        looked_up = looking_up => looked_up?,
    };
    loop {
        let message = tokio::select! {
            biased;
            () = &mut stop => return Ok(()),
            next = messages.next() => next.context("no more messages")??,
        };
        handle(&message).await;
    }
}

/// Tells the server what became of a message.
async fn settle<E: fmt::Display>(
    message: &Received<Message>,
    handled: Result<(), E>,
    producer: &Producer,
    dead_letters: &str,
) -> Result<(), async_nats::Error> {
    let Err(error) = handled else {
        return message.double_ack().await;
    };
    let attempt = message.info()?.delivered;
    eprintln!("{}, attempt {attempt}: {error:#}", message.subject);
    if attempt < ATTEMPTS {
        return message.ack_with(AckKind::Nak(Some(PAUSE))).await;
    }
    // With the headers that it came with, and so in its trace; but not those that tell the server what to do.
    let mut headers = HeaderMap::new();
    for (name, values) in message.headers.iter().flat_map(HeaderMap::iter) {
        if !name.to_string().starts_with("Nats-") {
            values
                .iter()
                .for_each(|value| headers.append(name.clone(), value.clone()));
        }
    }
    let subject = dead_letters.to_owned();
    let sent = producer.publish_with_headers(subject, headers, message.payload.clone());
    sent.await?.await?;
    message.double_ack_with(AckKind::Term).await
}
