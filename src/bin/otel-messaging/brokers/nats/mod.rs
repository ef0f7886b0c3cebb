//! NATS: plain subscriptions, in no queue group, to what is published; for what JetStream holds, ordered consumers, which
//! the server forgets and which acknowledge nothing.

mod advisories;
mod connection;
mod pattern;
mod send;
mod stored;

use std::pin::pin;
use std::sync::Arc;
use std::time::SystemTime;

use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use async_nats::jetstream::stream::RetentionPolicy;
use async_nats::jetstream::{self, Context};
use async_nats::{Client, HeaderMap, Message};
use futures::StreamExt as _;
use futures::future::try_join_all;
use otel_messaging::nats::internal::diagnose;

use self::advisories::{Advisories, is_advisory};
use self::connection::connect;
use self::pattern::matches;
pub(crate) use self::send::Sender;
use super::{End, Sink, Start, Wish};
use crate::destination::Destination;
use crate::facts::Facts;
use crate::failure::Failure;
use crate::original::Original;
use crate::output;
use crate::seen::{Place, Seen};

pub(super) struct Source {
    client: Client,
    destinations: Vec<Destination>,
    wish: Wish,
}

impl Source {
    pub(super) async fn open(destinations: Vec<Destination>, wish: Wish) -> Result<Self, Failure> {
        let client = connect(&wish.access).await?;
        Ok(Self {
            client,
            destinations,
            wish,
        })
    }

    pub(super) fn destinations(&self) -> impl Iterator<Item = Arc<str>> {
        // A pattern is none, nor a stream: each of their subjects is one.
        let is_name = |one: &&Destination| {
            !one.to_string().contains(['*', '>']) && !matches!(one, Destination::JetStream(_, None))
        };
        let names = self.destinations.iter().filter(is_name);
        names.map(|one| one.to_string().into())
    }

    pub(super) async fn read(self, sink: Sink) -> Result<(), Failure> {
        let all = self
            .destinations
            .iter()
            .map(|one| self.read_one(one, &sink));
        try_join_all(all).await.map(drop)
    }

    async fn read_one(&self, destination: &Destination, sink: &Sink) -> Result<(), Failure> {
        match destination {
            Destination::Subject(subject) => self.subject(subject, sink).await,
            Destination::JetStream(stream, subject) => {
                let shown = destination.to_string();
                let subject = subject.as_deref();
                let own = Reading {
                    stream,
                    filter: subject.unwrap_or_default(),
                    shown: &shown,
                    about: None,
                };
                self.stream(own, sink).await?;
                if self.wish.is_for_dead {
                    // What is dead in a stream is not told there, but by the server, to whoever keeps it.
                    let context = jetstream::new(self.client.clone());
                    for keeper in advisories::keepers(&context, stream).await {
                        let told = Reading {
                            stream: &keeper,
                            filter: "",
                            shown: &format!("jetstream:{keeper}"),
                            about: Some((stream, subject)),
                        };
                        self.stream(told, sink).await?;
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn subject(&self, subject: &str, sink: &Sink) -> Result<(), Failure> {
        let failed = |error: String| Failure::new(format!("nats:{subject}: {error}"));
        let messages = self.client.subscribe(subject.to_owned()).await;
        let mut messages = messages.map_err(|error| failed(error.to_string()))?;
        let advisories = Advisories::new(jetstream::new(self.client.clone()));
        let mut over = pin!(sink.over());
        let mut count = 0;
        loop {
            let message = tokio::select! {
                () = &mut over => break,
                next = messages.next() => match next {
                    Some(message) => message,
                    None => break,
                },
            };
            count += 1;
            let destination = format!("nats:{}", message.subject).into();
            let seen = match self.wish.is_for_dead && is_advisory(&message.subject) {
                true => {
                    advisories
                        .look_up(&message, SystemTime::now(), sink)
                        .await?
                }
                false => Some(seen(
                    &message,
                    destination,
                    Place::Number(count),
                    None,
                    sink,
                )),
            };
            if let Some(seen) = seen
                && !sink.give(seen).await
            {
                break;
            }
        }
        let ended = messages.unsubscribe().await;
        ended.map_err(|error| failed(error.to_string()))
    }

    async fn stream(&self, reading: Reading<'_>, sink: &Sink) -> Result<(), Failure> {
        let Reading { stream, shown, .. } = reading;
        let failed = |error: String| Failure::new(format!("{shown}: {error}"));
        let context = jetstream::new(self.client.clone());
        let found = context.get_stream(stream).await;
        let found = found.map_err(|error| failed(error.to_string()))?;
        let state = &found.cached_info().state;
        let (first, last) = (state.first_sequence, state.last_sequence);
        let retention = found.cached_info().config.retention;
        if self.wish.is_for_dead && retention == RetentionPolicy::WorkQueue {
            output::complain(&format!(
                "{shown}: it lets its workers alone consume; of its messages, those are known that advisories name"
            ));
            return Ok(());
        }
        let is_over_at_end = self.wish.end == End::OfWhatIsThere;
        if is_over_at_end && state.messages == 0 {
            return Ok(());
        }
        let config = pull::OrderedConfig {
            deliver_policy: match self.wish.start {
                Start::All => DeliverPolicy::All,
                Start::Now => DeliverPolicy::New,
                Start::Last(count) => DeliverPolicy::ByStartSequence {
                    start_sequence: (last + 1).saturating_sub(count).max(first).max(1),
                },
                Start::Since(time) => DeliverPolicy::ByStartTime {
                    start_time: time.into(),
                },
            },
            filter_subject: reading.filter.to_owned(),
            description: Some("otel-messaging".to_owned()),
            ..pull::OrderedConfig::default()
        };
        let consumer = context.create_consumer_on_stream(config, stream).await;
        let consumer = consumer.map_err(|error| failed(error.to_string()))?;
        let mut own = consumer.cached_info().name.clone();
        let is_empty = consumer.cached_info().num_pending == 0;
        let advisories = Advisories::new(context.clone());
        let read = async {
            if is_over_at_end && is_empty {
                return Ok(());
            }
            let mut messages = consumer
                .messages()
                .await
                .map_err(|error| failed(error.to_string()))?;
            let mut closed = pin!(sink.closed());
            loop {
                let message = tokio::select! {
                    () = &mut closed => break,
                    next = messages.next() => match next {
                        Some(message) => message.map_err(|error| failed(error.to_string()))?,
                        None => break,
                    },
                };
                let info = message.info().map_err(|error| failed(error.to_string()))?;
                if info.consumer != own {
                    // It was made again after a pause in the connection.
                    info.consumer.clone_into(&mut own);
                }
                let (sequence, pending) = (info.stream_sequence, info.pending);
                let time = SystemTime::from(info.published);
                let destination = format!("jetstream:{stream}/{}", message.subject).into();
                let place = Place::Sequence(sequence);
                let seen = match self.wish.is_for_dead && is_advisory(&message.subject) {
                    true => {
                        let found = advisories.look_up(&message, time, sink).await?;
                        found.filter(|seen| reading.wants(seen))
                    }
                    false if reading.about.is_some() => None,
                    false => Some(seen(&message, destination, place, Some(time), sink)),
                };
                let is_end = is_over_at_end && (pending == 0 || sequence >= last);
                let is_wanted = match seen {
                    Some(seen) => sink.give(seen).await,
                    None => true,
                };
                if !is_wanted || is_end {
                    break;
                }
            }
            Ok(())
        };
        let read: Result<(), Failure> = read.await;
        forget(&context, &own, stream).await;
        read
    }
}

/// What is read of a stream.
#[derive(Clone, Copy, Debug)]
struct Reading<'a> {
    stream: &'a str,
    /// Subjects; all, where it is empty.
    filter: &'a str,
    /// Its name in an error.
    shown: &'a str,
    /// Of what it says about others, that about these subjects of this stream alone.
    about: Option<(&'a str, Option<&'a str>)>,
}

impl Reading<'_> {
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

/// The server would forget it by itself, but later.
async fn forget(context: &Context, consumer: &str, stream: &str) {
    let _ = context.delete_consumer_from_stream(consumer, stream).await;
}

fn seen(
    message: &Message,
    destination: Arc<str>,
    place: Place,
    time: Option<SystemTime>,
    sink: &Sink,
) -> Seen {
    let headers = message.headers.as_ref();
    let judge = &sink.judge;
    let diagnosis = diagnose(&judge.telemetry, headers, &judge.formats());
    Seen {
        destination,
        place,
        time,
        now: SystemTime::now(),
        bytes: diagnosis.header_bytes + message.payload.len(),
        diagnosis,
        facts: facts(headers),
        original: sink.is_whole.then(|| Original::Nats {
            subject: message.subject.to_string(),
            headers: headers.cloned(),
            payload: message.payload.clone(),
        }),
    }
}

fn facts(headers: Option<&HeaderMap>) -> Facts {
    let mut facts = Facts::default();
    for (name, values) in headers.into_iter().flat_map(|headers| headers.iter()) {
        for value in values {
            facts.look_at(name.as_ref(), value.as_ref());
        }
    }
    facts
}
