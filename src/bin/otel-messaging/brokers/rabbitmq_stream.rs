//! A stream of RabbitMQ, from which nothing is ever taken.
//!
//! The broker does not say where its end is, and the number of messages that it tells is one of some seconds ago. So the
//! last chunk is read before all else: its last message is the end.

use std::future::pending;
use std::pin::pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt as _;
use lapin::Consumer;
use lapin::options::{BasicAckOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use tokio::time::{Instant, sleep, timeout};

use super::amqp::{PATIENCE, Reading, cancelled, consumer, stream_offset};
use super::{End, Start, Wish};
use crate::failure::Failure;
use crate::output;

/// After how long a silence the last chunk is over, once something of it has come.
const QUIET: Duration = Duration::from_secs(2);

/// What is read of a stream.
#[derive(Clone, Copy, Debug)]
struct Part {
    since: Option<SystemTime>,
    /// The offset of the last message; `None` if it has no end.
    end: Option<u64>,
}

impl Reading<'_> {
    pub(super) async fn stream(&mut self, stream: &str, wish: &Wish) -> Result<(), Failure> {
        let there = QueueDeclareOptions::default().passive();
        let there = self
            .channel
            .queue_declare(stream.into(), there, FieldTable::default())
            .await?;
        let count = there.message_count();
        if wish.end == End::OfWhatIsThere && wish.start == Start::Last(0) {
            return Ok(());
        }
        let mut part = Part {
            since: None,
            end: None,
        };
        let mut last = None;
        if wish.end == End::OfWhatIsThere || matches!(wish.start, Start::Last(_)) {
            last = self.last(stream, count).await?;
            if last.is_none() && wish.end == End::OfWhatIsThere {
                return match count {
                    _ if self.sink.sender.is_closed() => Ok(()),
                    0 => {
                        let name = &self.name;
                        output::complain(&format!("{name}: it is empty, as the broker says"));
                        Ok(())
                    }
                    _ => Err(self.silent(&format!("nothing came of its {count} messages"))),
                };
            }
        }
        if wish.end == End::OfWhatIsThere {
            part.end = last;
        }
        let offset = match wish.start {
            Start::All => AMQPValue::LongString("first".into()),
            Start::Now => AMQPValue::LongString("next".into()),
            Start::Since(time) => {
                part.since = Some(time);
                let time = time.duration_since(UNIX_EPOCH).unwrap_or_default();
                AMQPValue::Timestamp(time.as_secs())
            }
            Start::Last(count) => {
                let behind = last.map_or(0, |last| last + 1);
                let offset = behind.saturating_sub(count);
                AMQPValue::LongLongInt(i64::try_from(offset).unwrap_or(i64::MAX))
            }
        };
        let consumer = consumer(&self.channel, stream, Some(offset)).await?;
        self.part(consumer, part).await
    }

    /// The offset of the last message, by reading the last chunk. On a channel of its own: with both on one, the second
    /// consumer of a busy stream has been seen to begin later than it was told to.
    async fn last(&self, stream: &str, count: u32) -> Result<Option<u64>, Failure> {
        let channel = self.connection.create_channel().await?;
        let offset = AMQPValue::LongString("last".into());
        let mut consumer = consumer(&channel, stream, Some(offset)).await?;
        let mut last = None;
        let mut closed = pin!(self.sink.closed());
        // More may come all the time.
        let mut latest = None;
        while latest.is_none_or(|latest| Instant::now() < latest) {
            let patience = match (last, count) {
                (None, 1..) => PATIENCE,
                _ => QUIET,
            };
            let next = tokio::select! {
                () = &mut closed => break,
                next = timeout(patience, consumer.next()) => next,
            };
            let Ok(next) = next else {
                break;
            };
            let delivery = next.ok_or_else(cancelled)??;
            delivery.acker.ack(BasicAckOptions::default()).await?;
            last = stream_offset(&delivery.properties);
            latest.get_or_insert_with(|| Instant::now() + QUIET);
        }
        let _ = channel.close(200, "read".into()).await;
        Ok(last)
    }

    async fn part(&mut self, mut consumer: Consumer, part: Part) -> Result<(), Failure> {
        let sink = self.sink;
        let mut closed = pin!(sink.closed());
        let mut before = None;
        loop {
            let silence = async {
                match part.end {
                    Some(_) => sleep(PATIENCE).await,
                    None => pending().await,
                }
            };
            let delivery = tokio::select! {
                () = &mut closed => break,
                next = consumer.next() => next.ok_or_else(cancelled)??,
                // There may be none of that time: then the broker waits for new ones.
                () = silence => match before {
                    None if part.since.is_some() => break,
                    _ => return Err(self.silent("it became silent before its end")),
                },
            };
            let offset = stream_offset(&delivery.properties);
            if part.end.is_some() && offset > part.end {
                break;
            }
            before = offset;
            let seen = self.seen(&delivery);
            delivery.acker.ack(BasicAckOptions::default()).await?;
            // The broker begins with a whole chunk.
            let is_older = seen
                .time
                .zip(part.since)
                .is_some_and(|(own, since)| own < since);
            if (!is_older && !sink.give(seen).await) || (part.end.is_some() && offset >= part.end) {
                break;
            }
        }
        Ok(())
    }

    fn silent(&self, what: &str) -> Failure {
        Failure::new(format!("{what}, in {} seconds", PATIENCE.as_secs()))
    }
}
