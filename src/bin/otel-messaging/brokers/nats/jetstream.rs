//! What JetStream holds: by an ordered consumer, which the server forgets and which acknowledges nothing. Of streams that
//! lose what is consumed, message by message without any consumer.

use std::fmt::Display;
use std::pin::pin;
use std::time::{Duration, SystemTime};

use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use async_nats::jetstream::stream::{RetentionPolicy, Stream};
use async_nats::jetstream::{self, Context};
use async_nats::{Client, Message};
use futures::StreamExt as _;
use tokio::time::sleep;

use super::advisories::{Advisories, is_advisory};
use super::pattern::matches;
use super::stored::{self, Stored};
use crate::brokers::{End, Sink, Start, Wish};
use crate::failure::Failure;
use crate::output;
use crate::seen::{Place, Seen};

/// After how long a silence the server is asked whether there is more.
const SILENCE: Duration = Duration::from_secs(1);

/// How often in a row it may not know.
const MOST_UNKNOWN: u32 = 30;

/// How often a stream that is read without a consumer is asked for what is new.
const POLL: Duration = Duration::from_millis(250);

/// What is read of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading<'a> {
    pub(super) stream: &'a str,
    /// Subjects; all, where it is empty.
    pub(super) filter: &'a str,
    /// Its name in an error.
    pub(super) shown: &'a str,
    /// Of what it says about others, that about these subjects of this stream alone.
    pub(super) about: Option<(&'a str, Option<&'a str>)>,
}

impl Reading<'_> {
    pub(super) async fn read(
        self,
        client: &Client,
        wish: &Wish,
        sink: &Sink,
    ) -> Result<(), Failure> {
        let failed = |error: String| Failure::new(format!("{}: {error}", self.shown));
        let context = jetstream::new(client.clone());
        let stream = context.get_stream(self.stream).await;
        let stream = stream.map_err(|error| failed(error.to_string()))?;
        let info = stream.cached_info();
        let retention = info.config.retention;
        if wish.is_for_dead && retention == RetentionPolicy::WorkQueue {
            output::complain(&format!(
                "{}: it lets its workers alone consume; of its messages, those are known that advisories name",
                self.shown
            ));
            return Ok(());
        }
        if wish.end == End::OfWhatIsThere && info.state.messages == 0 {
            return Ok(());
        }
        let open = Open {
            last: info.state.last_sequence,
            advisories: Advisories::new(context.clone()),
            context,
            stream,
            reading: self,
            wish,
            sink,
        };
        match retention {
            RetentionPolicy::Limits => open.by_consumer().await,
            // A consumer is refused there, or what it was given is not kept for those who come later.
            RetentionPolicy::Interest | RetentionPolicy::WorkQueue => open.by_sequence().await,
        }
    }

    fn wants(&self, seen: &Seen) -> bool {
        let Some((stream, pattern)) = self.about else {
            return true;
        };
        let mut name = seen.destination.splitn(2, [':', '/']).skip(1);
        let Some((found, subject)) = name
            .next()
            .map(|name| name.split_once('/').unwrap_or((name, "")))
        else {
            return false;
        };
        found == stream && pattern.is_none_or(|pattern| matches(pattern, subject))
    }
}

/// A stream that is there.
struct Open<'a> {
    reading: Reading<'a>,
    context: Context,
    stream: Stream,
    advisories: Advisories,
    wish: &'a Wish,
    sink: &'a Sink,
    last: u64,
}

impl Open<'_> {
    fn is_over_at_end(&self) -> bool {
        self.wish.end == End::OfWhatIsThere
    }

    /// Where the last so many messages begin.
    fn before_end(&self, count: u64) -> u64 {
        let state = &self.stream.cached_info().state;
        match state.messages <= count {
            // There may be any number of gaps.
            true => state.first_sequence.max(1),
            false => (self.last + 1)
                .saturating_sub(count)
                .max(state.first_sequence)
                .max(1),
        }
    }

    async fn by_consumer(self) -> Result<(), Failure> {
        let config = pull::OrderedConfig {
            deliver_policy: match self.wish.start {
                Start::All => DeliverPolicy::All,
                Start::Now => DeliverPolicy::New,
                Start::Last(count) => DeliverPolicy::ByStartSequence {
                    start_sequence: self.before_end(count),
                },
                Start::Since(time) => DeliverPolicy::ByStartTime {
                    start_time: time.into(),
                },
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
        };
        let is_empty = consumer.cached_info().num_pending == 0;
        let read = match self.is_over_at_end() && is_empty {
            true => Ok(()),
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
        read
    }

    async fn follow(&self, mut messages: pull::Ordered, own: &mut Own) -> Result<(), Failure> {
        let mut closed = pin!(self.sink.closed());
        loop {
            let message = tokio::select! {
                () = &mut closed => break,
                next = messages.next() => match next {
                    Some(message) => message.map_err(|error| self.failed(&error))?,
                    None => break,
                },
                () = sleep(SILENCE), if self.is_over_at_end() => {
                    if self.has_ended(own).await? {
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
            let (sequence, pending) = (info.stream_sequence, info.pending);
            let time = SystemTime::from(info.published);
            let seen = self.look(&message, sequence, time).await?;
            let is_end = self.is_over_at_end() && (pending == 0 || sequence >= self.last);
            if !self.give(seen).await || is_end {
                break;
            }
        }
        Ok(())
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

    async fn by_sequence(self) -> Result<(), Failure> {
        let mut next = match self.wish.start {
            Start::All => 1,
            Start::Now => self.last + 1,
            Start::Last(count) => self.before_end(count),
            Start::Since(time) => self.since(time).await?,
        };
        let mut closed = pin!(self.sink.closed());
        loop {
            let found = tokio::select! {
                () = &mut closed => break,
                found = self.from(next) => found?,
            };
            let is_behind_end = |sequence: u64| self.is_over_at_end() && sequence > self.last;
            match found {
                Some((sequence, _)) if is_behind_end(sequence) => break,
                Some((sequence, stored)) => {
                    next = sequence + 1;
                    let seen = match stored {
                        Stored::Whole(message, time) => self.look(&message, sequence, time).await?,
                        Stored::Unreadable | Stored::Gone => None,
                    };
                    if !self.give(seen).await || is_behind_end(next) {
                        break;
                    }
                }
                None if self.is_over_at_end() => break,
                None => tokio::select! {
                    () = &mut closed => break,
                    () = sleep(POLL) => {}
                },
            }
        }
        Ok(())
    }

    /// The first message from there on, and its number.
    async fn from(&self, sequence: u64) -> Result<Option<(u64, Stored)>, Failure> {
        let subject = match self.reading.filter {
            "" => ">",
            subject => subject,
        };
        let found = stored::next(&self.context, self.reading.stream, subject, sequence).await;
        found.map_err(|error| self.failed(&error))
    }

    /// From where on messages are not older than that.
    async fn since(&self, time: SystemTime) -> Result<u64, Failure> {
        let first = self.stream.cached_info().state.first_sequence;
        let (mut low, mut high) = (first.max(1), self.last + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.from(middle).await? {
                Some((sequence, Stored::Whole(_, stored))) if stored < time => low = sequence + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    async fn look(
        &self,
        message: &Message,
        sequence: u64,
        time: SystemTime,
    ) -> Result<Option<Seen>, Failure> {
        if self.wish.is_for_dead && is_advisory(&message.subject) {
            let found = self.advisories.look_up(message, time, self.sink).await?;
            return Ok(found.filter(|seen| self.reading.wants(seen)));
        }
        if self.reading.about.is_some() {
            return Ok(None);
        }
        let destination = format!("jetstream:{}/{}", self.reading.stream, message.subject).into();
        let place = Place::Sequence(sequence);
        Ok(Some(super::seen(
            message,
            destination,
            place,
            Some(time),
            self.sink,
        )))
    }

    /// Whether more is wanted.
    async fn give(&self, seen: Option<Seen>) -> bool {
        match seen {
            Some(seen) => self.sink.give(seen).await,
            None => true,
        }
    }

    fn failed(&self, error: &impl Display) -> Failure {
        Failure::because(self.reading.shown, error)
    }
}

/// The consumer that was made for the time of reading.
struct Own {
    name: String,
    /// The number of the last message that came by it.
    received: u64,
    /// How often in a row the server did not know it.
    unknown: u32,
}
