//! The loop of a Kafka consumer that handles many records at a time.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use otel_messaging::{Received, kafka};
use rdkafka::ClientContext;
use rdkafka::consumer::{
    BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance, StreamConsumer,
};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{Message as _, OwnedMessage};
use rdkafka::producer::FutureRecord;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

/// How often a record is tried.
const ATTEMPTS: u32 = 3;

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// Handles up to `limit` records at a time, each in a task of its own, until `stop` is ready.
///
/// Then it takes no more, and waits for those that it has. A failed handler does not end it, nor does a topic that is not
/// there yet or a broker that is gone for a while. Records of one partition, and of one key, are handled in any order.
///
/// A record that fails in each attempt goes to the topic `dead_letters`. It is committed when it and all before it in its
/// partition are done with, in either way. What is interrupted is delivered again: by a crash, or because the partition
/// goes to another consumer. For that, the consumer has `enable.auto.commit` set to `false`: unset, the client commits by
/// itself what it has delivered, done with or not. Drop the consumer after this: it waits for the last commits.
///
/// # Errors
///
/// The client is of no use any more; another one has to be made.
///
/// # Cancel safety
///
/// Dropping the future drops the handlers, and commits nothing that is not done with.
pub async fn consume<E, Fut>(
    consumer: &kafka::Consumer<StreamConsumer<InFlight>>,
    producer: &kafka::Producer,
    dead_letters: &str,
    limit: usize,
    stop: impl Future<Output = ()>,
    handle: impl Fn(Arc<Received<OwnedMessage>>) -> Fut + Clone + Send + Sync + 'static,
) -> Result<(), KafkaError>
where
    E: fmt::Debug + fmt::Display + Send + 'static,
    Fut: Future<Output = Result<(), E>> + Send + 'static,
{
    let (stopping, stopped) = watch::channel(());
    let (mut stop, mut tasks) = (pin!(stop), JoinSet::new());
    let ended = loop {
        tokio::select! {
            biased;
            () = &mut stop => break Ok(()),
            Some(joined) = tasks.join_next() => commit(consumer, joined),
            received = consumer.recv(), if tasks.len() < limit => match received {
                Ok(record) => {
                    consumer.context().begin(&record);
                    let (producer, dead_letters) = (producer.clone(), dead_letters.to_owned());
                    let (handle, stopped) = (handle.clone(), stopped.clone());
                    let record = Arc::new(record.detach());
                    tasks.spawn(async move {
                        let is_done = attempt(&record, &producer, &dead_letters, stopped, handle).await;
                        is_done.then_some(record)
                    });
                }
                Err(error @ KafkaError::MessageConsumptionFatal(_)) => break Err(error),
                // The client tries again by itself.
                Err(error) => eprintln!("{error}"),
            },
        }
    };
    drop(stopping);
    while let Some(joined) = tasks.join_next().await {
        commit(consumer, joined);
    }
    ended
}

/// Handles a record until it is done with, or failed when the loop stops: then it returns `false`.
async fn attempt<E, Fut>(
    record: &Arc<Received<OwnedMessage>>,
    producer: &kafka::Producer,
    dead_letters: &str,
    mut stopped: watch::Receiver<()>,
    handle: impl Fn(Arc<Received<OwnedMessage>>) -> Fut,
) -> bool
where
    E: fmt::Debug + fmt::Display + 'static,
    Fut: Future<Output = Result<(), E>>,
{
    // Each attempt is a process span of its own.
    let mut attempt = 1;
    while let Err(error) = record.process(|_| handle(Arc::clone(record))).await {
        eprintln!("{}, attempt {attempt}: {error:#}", record.topic());
        if attempt < ATTEMPTS {
            attempt += 1;
        } else if let Err(error) = send_on(producer, dead_letters, record).await {
            eprintln!("{dead_letters}: {error}");
        } else {
            break;
        }
        tokio::select! {
            _ = stopped.changed() => return false,
            () = sleep(PAUSE) => {}
        }
    }
    true
}

/// Sends a record on with the headers that it came with, and so in its trace.
async fn send_on(
    producer: &kafka::Producer,
    topic: &str,
    record: &OwnedMessage,
) -> KafkaResult<()> {
    let mut next = FutureRecord::<[u8], [u8]>::to(topic);
    (next.key, next.payload) = (record.key(), record.payload());
    next.headers = record.headers().cloned();
    let sent = producer.send(next, Duration::from_secs(5)).await;
    sent.map(|_| ()).map_err(|(error, _)| error)
}

/// Commits what is done with, if nothing before it is in flight.
fn commit(
    consumer: &kafka::Consumer<StreamConsumer<InFlight>>,
    joined: Result<Option<Arc<Received<OwnedMessage>>>, JoinError>,
) {
    // A panic of the handler goes on here, as it does where the handler is not a task.
    let done = joined.unwrap_or_else(|error| resume_unwind(error.into_panic()));
    let Some(record) = done else { return };
    let Some(next) = consumer.context().done(&**record) else {
        return;
    };
    let mut offsets = TopicPartitionList::new();
    let committed = offsets
        .add_partition_offset(record.topic(), record.partition(), Offset::Offset(next))
        .and_then(|()| consumer.commit(&offsets, CommitMode::Async));
    if let Err(error) = committed {
        eprintln!("{}: {error}", record.topic());
    }
}

/// The records that are not committed yet, by partition and offset, and whether each is done with.
///
/// It is the context of the consumer, `config.create_with_context(InFlight::default())`, and so is told of partitions
/// that go to another one: they are not committed from here any more.
#[derive(Debug, Default)]
pub struct InFlight(Mutex<HashMap<(String, i32), BTreeMap<i64, bool>>>);

impl InFlight {
    fn begin(&self, record: &impl rdkafka::Message) {
        let partition = (record.topic().to_owned(), record.partition());
        let mut partitions = self.partitions();
        partitions
            .entry(partition)
            .or_default()
            .insert(record.offset(), false);
    }

    /// Returns the offset to be committed, if there is a new one.
    fn done(&self, record: &impl rdkafka::Message) -> Option<i64> {
        let partition = (record.topic().to_owned(), record.partition());
        let mut partitions = self.partitions();
        // It is not there, if the partition went to another consumer.
        let offsets = partitions.get_mut(&partition)?;
        *offsets.get_mut(&record.offset())? = true;
        let mut next = None;
        while let Some(first) = offsets.first_entry()
            && *first.get()
        {
            next = Some(first.remove_entry().0 + 1);
        }
        next
    }

    fn partitions(&self) -> MutexGuard<'_, HashMap<(String, i32), BTreeMap<i64, bool>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for InFlight {}

impl ConsumerContext for InFlight {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(revoked) = rebalance {
            for one in revoked.elements() {
                let partition = (one.topic().to_owned(), one.partition());
                self.partitions().remove(&partition);
            }
        }
    }
}
