//! Reading of all that was named, from whatever brokers, as one stream of messages.
//!
//! Nothing here changes what it reads: see each broker for how. What is sent again goes by a connection of its own.

mod amqp;
mod firehose;
pub(crate) mod kafka;
mod nats;
mod rabbitmq_stream;
mod sender;

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_propagator_b3::{B3Encoding, Propagator as B3};
use otel_messaging::Telemetry;
use otel_messaging::propagators::{CloudEvents, Jaeger};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

pub(crate) use self::sender::{Outcome, Sender};
use crate::arguments::{Access, Reading};
use crate::destination::Destination;
use crate::failure::Failure;
use crate::seen::Seen;

/// When there is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// What is stored now was read, and what is published meanwhile was waited for.
    OfWhatIsThere,
    /// Only if the user says so.
    Never,
}

/// Where reading of what is stored begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    Last(u64),
    All,
    Since(SystemTime),
    Now,
}

/// What is asked of every broker.
#[derive(Clone, Debug)]
struct Wish {
    start: Start,
    end: End,
    /// Messages of a queue that may be held at a time.
    held: u64,
    /// How many more may be got of all queues together; `None` if as many as there are.
    left: Option<Arc<Mutex<u64>>>,
    access: Arc<Access>,
    /// Where something says that a message is dead, that message is meant.
    is_for_dead: bool,
}

/// Where a broker puts what it has read. Full, it makes the broker wait; closed, nobody wants any more.
#[derive(Clone, Debug)]
struct Sink {
    sender: mpsc::Sender<Result<Seen, Failure>>,
    /// How long what is published meanwhile is waited for.
    wait: Option<Duration>,
    judge: Arc<Judge>,
    /// Messages are to be sent again.
    is_whole: bool,
}

impl Sink {
    /// Whether more is wanted.
    async fn give(&self, seen: Seen) -> bool {
        self.sender.send(Ok(seen)).await.is_ok()
    }

    /// Nobody wants any more.
    async fn closed(&self) {
        self.sender.closed().await;
    }

    /// Nobody wants any more, or it was waited long enough since this was asked first.
    async fn over(&self) {
        let late = async {
            match self.wait {
                Some(wait) => sleep(wait).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = self.closed() => {}
            () = late => {}
        }
    }
}

/// Who reads the headers: the library, as it is without any setting, and other formats beside it.
#[derive(Debug)]
pub(crate) struct Judge {
    pub(crate) telemetry: Telemetry,
    b3: B3,
    jaeger: Jaeger,
    cloud_events: CloudEvents,
}

impl Judge {
    pub(crate) fn new() -> Self {
        Self {
            telemetry: Telemetry::new(),
            b3: B3::with_encoding(B3Encoding::SingleAndMultiHeader),
            jaeger: Jaeger::new(),
            cloud_events: CloudEvents::new(),
        }
    }

    pub(crate) fn formats(&self) -> [(&'static str, &dyn TextMapPropagator); 3] {
        [
            ("B3", &self.b3),
            ("Jaeger", &self.jaeger),
            ("CloudEvents", &self.cloud_events),
        ]
    }
}

/// Messages of all destinations.
pub(crate) struct Reader {
    receiver: mpsc::Receiver<Result<Seen, Failure>>,
    tasks: JoinSet<()>,
    interrupt: Pin<Box<dyn Future<Output = ()>>>,
    deadline: Pin<Box<dyn Future<Output = ()>>>,
    left: Option<u64>,
    was_interrupted: bool,
    destinations: Vec<Arc<str>>,
}

/// Messages that wait to be looked at.
const ROOM: usize = 1_024;

/// The same of whole messages, each of which can be large.
const ROOM_OF_WHOLE: usize = 16;

/// How long what is published meanwhile is waited for, where nothing else is said.
const WAIT: Duration = Duration::from_secs(10);

/// How long brokers may take to clean up.
const CLEAN_UP: Duration = Duration::from_secs(5);

/// What is read where nothing else is said.
const LAST: u64 = 10_000;

/// The same of a queue.
const HELD: u64 = 1_000;

impl Reader {
    pub(crate) async fn open(reading: &Reading, end: End) -> Result<Self, Failure> {
        Self::begin(reading, end, false, false).await
    }

    /// Reads dead messages, whole where they are to be sent again.
    pub(crate) async fn open_dead(reading: &Reading, is_whole: bool) -> Result<Self, Failure> {
        Self::begin(reading, End::OfWhatIsThere, true, is_whole).await
    }

    async fn begin(
        reading: &Reading,
        end: End,
        is_for_dead: bool,
        is_whole: bool,
    ) -> Result<Self, Failure> {
        let now = SystemTime::now();
        let start = match (reading.last, reading.since) {
            (Some(last), _) => Start::Last(last),
            _ if reading.all => Start::All,
            (_, Some(since)) => {
                Start::Since(now.checked_sub(since).unwrap_or(SystemTime::UNIX_EPOCH))
            }
            _ if end == End::Never => Start::Now,
            // Of dead messages none is to be missed.
            _ if is_for_dead => Start::All,
            _ => Start::Last(LAST),
        };
        let wish = Wish {
            start,
            end,
            held: match start {
                Start::All => u64::MAX,
                _ => reading.last.unwrap_or(HELD),
            },
            left: reading.max.map(|max| Arc::new(Mutex::new(max))),
            access: Arc::new(reading.access.clone()),
            is_for_dead,
        };
        let wait = match (reading.time, end) {
            (None, End::OfWhatIsThere) => Some(WAIT),
            _ => None,
        };
        let (sender, receiver) = mpsc::channel(if is_whole { ROOM_OF_WHOLE } else { ROOM });
        let sink = Sink {
            sender,
            wait,
            judge: Arc::new(Judge::new()),
            is_whole,
        };

        let (mut topics, mut queues, mut subjects) = (Vec::new(), Vec::new(), Vec::new());
        for destination in &reading.destinations {
            match destination {
                Destination::Kafka(name) => topics.push(name.clone()),
                Destination::Queue(_) if !reading.peek => {
                    return Err(Failure::new(format!(
                        "{destination}: an existing queue is read with --peek alone; --help says what that does"
                    )));
                }
                Destination::Queue(_) if reading.since.is_some() => {
                    return Err(Failure::new(format!(
                        "{destination}: a queue does not tell since when it has a message; --since is for others"
                    )));
                }
                Destination::Exchange(..) | Destination::Firehose(_) | Destination::Subject(_)
                    if reading.last.is_some() || reading.all || reading.since.is_some() =>
                {
                    return Err(Failure::new(format!(
                        "{destination}: it is read from now on; --last, --all and --since are for what is stored"
                    )));
                }
                Destination::Firehose(_) if !reading.firehose => {
                    return Err(Failure::new(format!(
                        "{destination}: the firehose is read with --firehose alone; --help says what that costs"
                    )));
                }
                Destination::Exchange(..)
                | Destination::Firehose(_)
                | Destination::Queue(_)
                | Destination::RabbitStream(_) => queues.push(destination.clone()),
                Destination::Subject(_) | Destination::JetStream(..) => {
                    subjects.push(destination.clone());
                }
            }
        }
        let mut tasks = JoinSet::new();
        let mut destinations = Vec::new();
        if !topics.is_empty() {
            let source = kafka::Source::open(&topics, &wish)?;
            destinations.extend(source.destinations());
            tasks.spawn(told(sink.clone(), source.read(sink.clone())));
        }
        if !queues.is_empty() {
            let source = amqp::Source::open(queues, wish.clone()).await?;
            destinations.extend(source.destinations());
            tasks.spawn(told(sink.clone(), source.read(sink.clone())));
        }
        if !subjects.is_empty() {
            let source = nats::Source::open(subjects, wish).await?;
            destinations.extend(source.destinations());
            tasks.spawn(told(sink.clone(), source.read(sink)));
        }
        let time = reading.time;
        Ok(Self {
            receiver,
            tasks,
            interrupt: Box::pin(async {
                // Where it cannot be noticed, the process ends as any other.
                if tokio::signal::ctrl_c().await.is_err() {
                    pending::<()>().await;
                }
            }),
            deadline: Box::pin(async move {
                match time {
                    Some(time) => sleep(time).await,
                    None => pending().await,
                }
            }),
            left: reading.max,
            was_interrupted: false,
            destinations,
        })
    }

    /// The next message, or why there is none; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Result<Seen, Failure>> {
        if self.left == Some(0) {
            return None;
        }
        let next = tokio::select! {
            biased;
            () = &mut self.interrupt => {
                self.was_interrupted = true;
                None
            }
            () = &mut self.deadline => None,
            next = self.receiver.recv() => next,
        };
        if let (Some(left), Some(Ok(_))) = (&mut self.left, &next) {
            *left -= 1;
        }
        next
    }

    /// Those that are known from the beginning.
    pub(crate) fn destinations(&self) -> Vec<Arc<str>> {
        self.destinations.clone()
    }

    /// Ends all, lets brokers take away what was theirs for the time of reading, and says whether the user ended it.
    ///
    /// Fails with what has failed before, or else what ends in a way that it should not.
    pub(crate) async fn close(mut self, failed: Option<Failure>) -> Result<bool, Failure> {
        self.receiver.close();
        // What is on its way makes room, so that nobody waits for it.
        while self.receiver.try_recv().is_ok() {}
        let mut failed = failed;
        let ended = async {
            while let Some(ended) = self.tasks.join_next().await {
                let error = ended.err();
                let failure = error.map(|error| Failure::because("cannot read", error));
                failed = failed.take().or(failure);
            }
        };
        // Brokers take away by themselves what a closed connection has left.
        let _ = timeout(CLEAN_UP, ended).await;
        match failed {
            Some(failure) => Err(failure),
            None => Ok(self.was_interrupted),
        }
    }
}

async fn told(sink: Sink, reading: impl Future<Output = Result<(), Failure>>) {
    if let Err(failure) = reading.await {
        // Nobody may want to know any more.
        let _ = sink.sender.send(Err(failure)).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn what_is_published_meanwhile_is_waited_for_since_it_is_listened_to() {
        let wait = Duration::from_millis(100);
        let (sender, _receiver) = mpsc::channel(1);
        let sink = Sink {
            sender,
            wait: Some(wait),
            judge: Arc::new(Judge::new()),
            is_whole: false,
        };
        // As long as connecting takes.
        sleep(wait).await;

        let asked = Instant::now();
        sink.over().await;
        assert!(asked.elapsed() >= wait);
    }
}
