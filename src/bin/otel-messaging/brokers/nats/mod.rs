//! NATS: plain subscriptions, in no queue group, to what is published; what JetStream holds, without any trace in it.

mod advisories;
mod connection;
mod jetstream;
mod pattern;
mod send;
mod stored;

use std::pin::pin;
use std::sync::Arc;
use std::time::SystemTime;

use async_nats::{Client, HeaderMap, Message};
use futures::StreamExt as _;
use futures::future::try_join_all;
use otel_messaging::nats::internal::diagnose;

use self::advisories::{Advisories, is_advisory};
use self::connection::connect;
use self::jetstream::Reading;
pub(crate) use self::send::Sender;
use super::{Sink, Wish};
use crate::destination::Destination;
use crate::facts::Facts;
use crate::failure::Failure;
use crate::original::Original;
use crate::seen::{Place, Publication, Seen};

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
                own.read(&self.client, &self.wish, sink).await?;
                if self.wish.is_for_dead {
                    // What is dead in a stream is not told there, but by the server, to whoever keeps it.
                    let context = async_nats::jetstream::new(self.client.clone());
                    for keeper in advisories::keepers(&context, stream).await {
                        let told = Reading {
                            stream: &keeper,
                            filter: "",
                            shown: &format!("jetstream:{keeper}"),
                            about: Some((stream, subject)),
                        };
                        told.read(&self.client, &self.wish, sink).await?;
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
        let advisories = Advisories::new(async_nats::jetstream::new(self.client.clone()));
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
        publication: Publication::of(&*message.subject, &message.payload),
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
