//! The loop of a RabbitMQ consumer.

use std::fmt;
use std::pin::{Pin, pin};
use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions, ConfirmSelectOptions,
};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use otel_messaging::Telemetry;
use otel_messaging::amqp::{self, ConnectionInfo};
use tokio::time::{sleep, timeout};

/// Before a message is tried again, and before the next connection.
const PAUSE: Duration = Duration::from_millis(500);

/// For a connection, and for each answer over it. One that is lost may leave the client waiting for ever.
const PATIENCE: Duration = Duration::from_secs(10);

/// Handles one message of a queue after the other until `stop` is ready. A failed handler does not end it, nor does a
/// queue that is not there yet or a broker that is gone for a while.
///
/// A message that fails goes back into the queue once. When it fails again, the broker takes it to the dead-letter
/// exchange of the queue, which is an argument of its declaration. The broker counts deliveries, not tries: a message
/// that the client has fetched when the loop or the connection ends, one at most, counts as tried.
///
/// The handler is given a producer on the same connection. Its waits for the broker need an end too.
pub async fn consume<E: fmt::Debug + fmt::Display + 'static>(
    telemetry: &Telemetry,
    uri: &str,
    name: &str,
    queue: &str,
    stop: impl Future<Output = ()>,
    handle: impl AsyncFn(&Delivery, &amqp::Producer) -> Result<(), E>,
) {
    let mut stop = pin!(stop);
    while let Err(error) =
        connect_and_consume(telemetry, uri, name, queue, stop.as_mut(), &handle).await
    {
        // What was delivered and not acknowledged is delivered again.
        eprintln!("{queue}: {error}");
        tokio::select! {
            () = &mut stop => return,
            () = sleep(PAUSE) => {}
        }
    }
}

/// The same over one connection, as long as that is good.
async fn connect_and_consume<E: fmt::Debug + fmt::Display + 'static>(
    telemetry: &Telemetry,
    uri: &str,
    name: &str,
    queue: &str,
    mut stop: Pin<&mut impl Future<Output = ()>>,
    handle: &impl AsyncFn(&Delivery, &amqp::Producer) -> Result<(), E>,
) -> anyhow::Result<()> {
    let connecting = timeout(PATIENCE, connect(telemetry, uri, name, queue));
    let (connection, producer, mut messages) = tokio::select! {
        () = &mut stop => return Ok(()),
        connected = connecting => connected??,
    };
    loop {
        let message = tokio::select! {
            biased;
            () = &mut stop => break,
            next = messages.next() => next.context("cancelled by the broker")??,
        };
        let handled = message.process(async |message| handle(message, &producer).await);
        let settled = match handled.await {
            Ok(()) => timeout(PATIENCE, message.ack(BasicAckOptions::default())).await,
            Err(error) => {
                eprintln!("{queue}: {error:#}");
                sleep(PAUSE).await;
                let options = BasicNackOptions {
                    requeue: !message.redelivered,
                    ..BasicNackOptions::default()
                };
                timeout(PATIENCE, message.nack(options)).await
            }
        };
        settled.context("the connection takes no acknowledgement")??;
    }
    // All is settled: a connection that does not close in time is dropped.
    let _ = timeout(PATIENCE, connection.close(200, "".into())).await;
    Ok(())
}

async fn connect(
    telemetry: &Telemetry,
    uri: &str,
    name: &str,
    queue: &str,
) -> lapin::Result<(Connection, amqp::Producer, amqp::Consumer)> {
    let connection = Connection::connect(uri, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    // What is fetched and then not tried counts as tried.
    channel.basic_qos(1, BasicQosOptions::default()).await?;
    let consumer = channel
        .basic_consume(
            queue.into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await?;
    let known = ConnectionInfo::of(&connection).uri(uri).client_id(name);
    let producer = amqp::Producer::wrap(telemetry, &known, channel);
    let messages = amqp::Consumer::wrap(telemetry, &known, consumer);
    Ok((connection, producer, messages))
}
