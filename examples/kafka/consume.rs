//! The loop of a Kafka consumer.

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use otel_messaging::kafka;
use rdkafka::consumer::CommitMode;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Message as _};
use rdkafka::producer::FutureRecord;
use tokio::time::sleep;

/// How often a record is tried.
const ATTEMPTS: u32 = 3;

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// Handles one record after the other until `stop` is ready. A failed handler does not end it, nor does a topic that
/// is not there yet or a broker that is gone for a while.
///
/// A record that fails in each attempt goes to the topic `dead_letters`. It is committed when it is done with, in
/// either way: what a crash interrupts is delivered again. For that, the consumer has `enable.auto.commit` set to `false`:
/// unset, the client commits by itself what it has delivered, done with or not.
///
/// # Errors
///
/// The client is of no use any more; another one has to be made.
pub async fn consume<E: fmt::Debug + fmt::Display + 'static>(
    consumer: &kafka::Consumer,
    producer: &kafka::Producer,
    dead_letters: &str,
    stop: impl Future<Output = ()>,
    handle: impl AsyncFn(&BorrowedMessage<'_>) -> Result<(), E>,
) -> Result<(), KafkaError> {
    let mut stop = pin!(stop);
    loop {
        let received = tokio::select! {
            biased;
            () = &mut stop => return Ok(()),
            received = consumer.recv() => received,
        };
        let record = match received {
            Ok(record) => record,
            Err(error @ KafkaError::MessageConsumptionFatal(_)) => return Err(error),
            Err(error) => {
                // The client tries again by itself.
                eprintln!("{error}");
                continue;
            }
        };

        // Each attempt is a process span of its own.
        let mut attempt = 1;
        while let Err(error) = record.process(async |record| handle(record).await).await {
            eprintln!("{}, attempt {attempt}: {error:#}", record.topic());
            if attempt < ATTEMPTS {
                attempt += 1;
            } else if let Err(error) = send_on(producer, dead_letters, &record).await {
                // Nor may it be passed over: with a later record, it would be committed too.
                eprintln!("{dead_letters}: {error}");
            } else {
                break;
            }
            tokio::select! {
                () = &mut stop => return Ok(()),
                () = sleep(PAUSE) => {}
            }
        }
        if let Err(error) = consumer.commit_message(&record, CommitMode::Async) {
            eprintln!("{}: {error}", record.topic());
        }
    }
}

/// Sends a record on with the headers that it came with, and so in its trace.
async fn send_on(
    producer: &kafka::Producer,
    topic: &str,
    record: &BorrowedMessage<'_>,
) -> Result<(), KafkaError> {
    let mut next = FutureRecord::<[u8], [u8]>::to(topic);
    (next.key, next.payload) = (record.key(), record.payload());
    next.headers = record.headers().map(BorrowedHeaders::detach);
    let sent = producer.send(next, Duration::from_secs(5)).await;
    sent.map(|_| ()).map_err(|(error, _)| error)
}
