//! Messages of a stream one by one, without a consumer.

use std::pin::pin;
use std::time::{Duration, SystemTime};

use tokio::time::sleep;

use super::super::stored::{self, Stored};
use super::Open;
use super::last::first_of_last;
use crate::brokers::Start;
use crate::failure::Failure;

/// How often a stream is asked for what is new.
const POLL: Duration = Duration::from_millis(250);

/// An answer is lost with the connection, which this client closes where it is given what it cannot read.
const ATTEMPTS: u32 = 3;

impl Open<'_> {
    /// From where on messages are wanted.
    pub(super) async fn begin(&self) -> Result<u64, Failure> {
        Ok(match self.wish.start {
            Start::All => 1,
            Start::Now => self.last + 1,
            Start::Last(count) => self.before_end(count).await?,
            Start::Since(time) => self.since(time).await?,
        })
    }

    /// Each from there on; where it is not known, from where on they are wanted.
    pub(super) async fn by_sequence(&mut self, begin: Option<u64>) -> Result<(), Failure> {
        let mut next = match begin {
            Some(next) => next,
            None => self.begin().await?,
        };
        let sink = self.sink;
        let mut closed = pin!(sink.closed());
        loop {
            let found = tokio::select! {
                () = &mut closed => break,
                found = self.from(next) => found?,
            };
            let is_behind_end = |sequence: u64| self.is_over_at_end() && sequence > self.last;
            match found {
                Some(stored) if is_behind_end(stored.sequence) => break,
                Some(stored) => {
                    next = stored.sequence + 1;
                    let is_end = is_behind_end(next);
                    let seen = self.look_in(&stored).await;
                    if !self.give(seen).await || is_end {
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

    /// The first message from there on.
    pub(super) async fn from(&self, sequence: u64) -> Result<Option<Stored>, Failure> {
        let subject = match &*self.reading.filter {
            "" => ">",
            subject => subject,
        };
        let mut attempts = 1;
        loop {
            let found = stored::next(&self.context, &self.reading.stream, subject, sequence).await;
            match found {
                Ok(found) => return Ok(found),
                Err(error) if attempts >= ATTEMPTS => return Err(self.failed(&error)),
                Err(_) => attempts += 1,
            }
        }
    }

    /// Where the last so many messages begin.
    pub(super) async fn before_end(&self, count: u64) -> Result<u64, Failure> {
        let first = first_of_last(&self.stream, &self.reading.shown, count).await;
        first.map_err(|error| self.failed(&error))
    }

    /// Whether the first one from where it was read to is such that it never comes by a consumer.
    pub(super) async fn is_stuck(&self, next: Option<u64>) -> Result<bool, Failure> {
        let next = match next {
            Some(next) => next,
            None => self.begin().await?,
        };
        let found = self.from(next).await?;
        Ok(found.is_some_and(|stored| !stored.is_readable))
    }

    /// From where on messages are not older than that.
    async fn since(&self, time: SystemTime) -> Result<u64, Failure> {
        let first = self.stream.cached_info().state.first_sequence;
        let (mut low, mut high) = (first.max(1), self.last + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.from(middle).await? {
                Some(stored) if stored.time < time => low = stored.sequence + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }
}
