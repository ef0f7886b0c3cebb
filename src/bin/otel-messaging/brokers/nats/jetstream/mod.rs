//! What JetStream holds: by an ordered consumer, which the server forgets and which acknowledges nothing. Of streams that
//! lose what is consumed, message by message without any consumer.

mod by_sequence;
mod last;

use std::fmt::Display;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use async_nats::jetstream::stream::{RetentionPolicy, Stream};
use async_nats::jetstream::{self, Context};
use async_nats::{Client, Message};
use futures::StreamExt as _;
use tokio::time::sleep;

use super::advisories::{self, Advisories, is_advisory};
use super::stored::Stored;
use crate::brokers::{End, Sink, Start, Wish};
use crate::destination::is_subject_of;
use crate::failure::Failure;
use crate::output;
use crate::seen::{Place, Seen};

/// After how long a silence the server is asked whether there is more.
const SILENCE: Duration = Duration::from_secs(1);

/// How often in a row it may not know.
const MOST_UNKNOWN: u32 = 30;

/// What is read of a stream.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) stream: String,
    /// Subjects; all, where it is empty.
    pub(super) filter: String,
    /// Its name in an error.
    pub(super) shown: String,
    /// Of what it says about others, that about these subjects of this stream alone.
    pub(super) about: Option<(String, Option<String>)>,
}

impl Reading {
    /// Finds the stream, and where it ends.
    pub(super) async fn open<'a>(
        self,
        client: &Client,
        wish: &'a Wish,
        advisories: &'a Advisories,
        sink: &'a Sink,
    ) -> Result<Open<'a>, Failure> {
        let context = jetstream::new(client.clone());
        let stream = context.get_stream(&self.stream).await;
        let stream = stream.map_err(|error| Failure::because(&self.shown, error))?;
        Ok(Open {
            last: stream.cached_info().state.last_sequence,
            context,
            stream,
            reading: self,
            advisories,
            wish,
            sink,
            dead: 0,
            has_unreadable: false,
        })
    }

    fn wants(&self, seen: &Seen) -> bool {
        let Some((stream, pattern)) = &self.about else {
            return true;
        };
        let name = seen.destination.strip_prefix("jetstream:");
        match name.unwrap_or_default().split_once('/') {
            Some((found, subject)) => {
                let pattern = pattern.as_deref();
                found == stream && pattern.is_none_or(|pattern| is_subject_of(pattern, subject))
            }
            // Its subject is not known: it may be one of those.
            None => name == Some(stream),
        }
    }
}

/// A stream that is there.
pub(super) struct Open<'a> {
    reading: Reading,
    context: Context,
    stream: Stream,
    advisories: &'a Advisories,
    wish: &'a Wish,
    sink: &'a Sink,
    last: u64,
    /// How many dead messages were found.
    dead: u64,
    has_unreadable: bool,
}

impl Open<'_> {
    /// Its name in an error.
    pub(super) fn shown(&self) -> &str {
        &self.reading.shown
    }

    /// Whether it may be one of those that say of others what is dead.
    pub(super) fn can_keep_advisories(&self) -> bool {
        advisories::can_keep(&self.stream.cached_info().config.subjects)
    }

    /// Returns how many dead messages were found.
    pub(super) async fn read(mut self) -> Result<u64, Failure> {
        let info = self.stream.cached_info();
        if self.is_over_at_end() && info.state.messages == 0 {
            return Ok(0);
        }
        match info.config.retention {
            RetentionPolicy::Limits => self.by_consumer().await?,
            // A consumer is refused there, or what it was given is not kept for those who come later.
            RetentionPolicy::Interest | RetentionPolicy::WorkQueue => {
                self.by_sequence(None).await?
            }
        }
        Ok(self.dead)
    }

    fn is_over_at_end(&self) -> bool {
        self.wish.end == End::OfWhatIsThere
    }

    async fn by_consumer(&mut self) -> Result<(), Failure> {
        let (mut wanted, mut since) = (0, UNIX_EPOCH);
        let config = pull::OrderedConfig {
            deliver_policy: match self.wish.start {
                Start::All => DeliverPolicy::All,
                Start::Now => {
                    wanted = self.last + 1;
                    DeliverPolicy::New
                }
                Start::Last(count) => {
                    wanted = self.before_end(count).await?;
                    DeliverPolicy::ByStartSequence {
                        start_sequence: wanted,
                    }
                }
                Start::Since(time) => {
                    since = time.max(UNIX_EPOCH);
                    DeliverPolicy::ByStartTime {
                        start_time: since.into(),
                    }
                }
            },
            filter_subject: self.reading.filter.to_owned(),
            description: Some("otel-messaging".to_owned()),
            ..pull::OrderedConfig::default()
        };
        let name = self.stream.cached_info().config.name.clone();
        let consumer = self.context.create_consumer_on_stream(config, &name).await;
        let consumer = consumer.map_err(|error| self.failed(&error))?;
        let mut own = Own {
            name: consumer.cached_info().name.clone(),
            received: 0,
            unknown: 0,
            next: None,
            wanted,
            since,
            connects: self.connects(),
        };
        let is_empty = consumer.cached_info().num_pending == 0;
        let read = match self.is_over_at_end() && is_empty {
            true => Ok(Ended::Read),
            false => match consumer.messages().await {
                Ok(messages) => self.follow(messages, &mut own).await,
                Err(error) => Err(self.failed(&error)),
            },
        };
        // The server would forget it by itself, but later.
        let _ = self
            .context
            .delete_consumer_from_stream(&own.name, &name)
            .await;
        match read? {
            Ended::Read => Ok(()),
            Ended::Stuck => {
                let begin = match own.next {
                    Some(next) => Some(next.max(self.begin().await?)),
                    None => None,
                };
                self.by_sequence(begin).await
            }
        }
    }

    /// How often this client has connected: it closes a connection that gives it what it cannot read.
    fn connects(&self) -> u64 {
        let statistics = self.context.client().statistics();
        statistics.connects.load(Ordering::Relaxed)
    }

    async fn follow(
        &mut self,
        mut messages: pull::Ordered,
        own: &mut Own,
    ) -> Result<Ended, Failure> {
        let sink = self.sink;
        let mut closed = pin!(sink.closed());
        loop {
            let message = tokio::select! {
                () = &mut closed => break,
                next = messages.next() => match next {
                    Some(message) => message.map_err(|error| self.failed(&error))?,
                    None => break,
                },
                () = sleep(SILENCE) => {
                    let connects = self.connects();
                    if connects != own.connects {
                        match self.is_stuck(own.next).await {
                            Ok(true) => return Ok(Ended::Stuck),
                            Ok(false) => own.connects = connects,
                            // The connection may be closed again; it is asked again.
                            Err(_) => {}
                        }
                    }
                    if self.is_over_at_end() && self.has_ended(own).await? {
                        break;
                    }
                    continue;
                }
            };
            let info = message.info().map_err(|error| self.failed(&error))?;
            if info.consumer != own.name {
                // It was made again after a pause in the connection.
                info.consumer.clone_into(&mut own.name);
            }
            own.received = info.consumer_sequence;
            own.unknown = 0;
            own.next = Some(info.stream_sequence + 1);
            let (sequence, pending) = (info.stream_sequence, info.pending);
            let time = SystemTime::from(info.published);
            if self.is_over_at_end() && sequence > self.last {
                break;
            }
            let seen = match sequence < own.wanted || time < own.since {
                true => None,
                false => self.look(&message, sequence, time).await,
            };
            let is_end = self.is_over_at_end() && (pending == 0 || sequence >= self.last);
            if !self.give(seen).await || is_end {
                break;
            }
        }
        Ok(Ended::Read)
    }

    /// Whether there is nothing left to come: what waited may have been purged or deleted.
    async fn has_ended(&self, own: &mut Own) -> Result<bool, Failure> {
        if let Ok(info) = self.stream.consumer_info(&own.name).await {
            own.unknown = 0;
            return Ok(info.num_pending == 0 && info.delivered.consumer_sequence <= own.received);
        }
        // The client makes it again, under a name that is known with its first message.
        own.unknown += 1;
        match own.unknown < MOST_UNKNOWN {
            true => Ok(false),
            false => Err(self.failed(&"nothing comes of what it holds, and its consumer is gone")),
        }
    }

    async fn look(&self, message: &Message, sequence: u64, time: SystemTime) -> Option<Seen> {
        if self.is_told_by(message) {
            return self.told_by(message, time).await;
        }
        if self.reading.about.is_some() {
            return None;
        }
        let destination = format!("jetstream:{}/{}", self.reading.stream, message.subject).into();
        let place = Place::Sequence(sequence);
        Some(super::seen(
            message,
            destination,
            place,
            Some(time),
            self.sink,
        ))
    }

    async fn look_in(&mut self, stored: &Stored) -> Option<Seen> {
        if self.is_told_by(&stored.message) {
            return self.told_by(&stored.message, stored.time).await;
        }
        if self.reading.about.is_some() {
            return None;
        }
        let seen = super::seen_in(&self.reading.stream, stored, self.sink);
        if !stored.is_readable && !self.has_unreadable {
            self.has_unreadable = true;
            output::complain(&format!(
                "{} {}: its headers cannot be read; it counts without context, as do others of the stream like it",
                output::plain(&seen.destination),
                seen.place
            ));
        }
        Some(seen)
    }

    /// Whether it says of another that it is dead.
    fn is_told_by(&self, message: &Message) -> bool {
        self.wish.is_for_dead && is_advisory(&message.subject)
    }

    async fn told_by(&self, message: &Message, time: SystemTime) -> Option<Seen> {
        let found = self
            .advisories
            .look_up(message, Some(time), self.sink)
            .await;
        found.filter(|seen| self.reading.wants(seen))
    }

    /// Whether more is wanted.
    async fn give(&mut self, seen: Option<Seen>) -> bool {
        match seen {
            Some(seen) => {
                self.dead += u64::from(seen.facts.is_dead());
                self.sink.give(seen).await
            }
            None => true,
        }
    }

    fn failed(&self, error: &impl Display) -> Failure {
        Failure::because(&self.reading.shown, error)
    }
}

/// The consumer that was made for the time of reading.
struct Own {
    name: String,
    /// The number of the last message that came by it.
    received: u64,
    /// How often in a row the server did not know it.
    unknown: u32,
    /// The first number that has not come by it; not known before the first message.
    next: Option<u64>,
    /// The first number that is wanted, and since when: one that the client makes again before the first message begins
    /// with all that there are.
    wanted: u64,
    since: SystemTime,
    /// How often this client had connected when it was made.
    connects: u64,
}

/// Why nothing more is read by a consumer.
#[derive(Clone, Copy, Debug)]
enum Ended {
    /// All was read, or nobody wants more.
    Read,
    /// The next message is none that this client takes.
    Stuck,
}
