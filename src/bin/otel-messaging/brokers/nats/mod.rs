//! NATS: plain subscriptions, in no queue group, to what is published; what JetStream holds, without any trace in it.

mod advisories;
mod advisory;
mod connection;
mod headers;
mod jetstream;
mod send;
mod stored;

use std::pin::pin;
use std::sync::Arc;
use std::time::SystemTime;

use async_nats::{Client, HeaderMap, Message};
use futures::StreamExt as _;
use futures::future::try_join_all;
use otel_messaging::internal::Diagnosis;
use otel_messaging::nats::internal::diagnose;

use self::advisories::{Advisories, is_advisory};
use self::connection::{Denials, connect};
use self::jetstream::{Open, Reading};
pub(crate) use self::send::Sender;
use self::stored::Stored;
use super::{Sink, Wish};
use crate::destination::Destination;
use crate::facts::Facts;
use crate::failure::Failure;
use crate::original::Original;
use crate::output;
use crate::seen::{Place, Publication, Seen};

pub(super) struct Source {
    client: Client,
    denials: Denials,
    destinations: Vec<Destination>,
    wish: Wish,
    advisories: Advisories,
}

/// What is known of a destination before anything is read.
enum Opened<'a> {
    Subject(&'a str),
    JetStream {
        own: Box<Open<'a>>,
        /// What others keep that is said of it.
        told: Vec<Open<'a>>,
        /// If nothing is found, it is because nothing says what is dead.
        is_unknown: bool,
    },
}

impl Source {
    pub(super) async fn open(destinations: Vec<Destination>, wish: Wish) -> Result<Self, Failure> {
        let (client, denials) = connect(&wish.access).await?;
        Ok(Self {
            advisories: Advisories::new(async_nats::jetstream::new(client.clone())),
            client,
            denials,
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
        // What a reader sends again meanwhile is behind all ends, and is not read.
        let opened = self
            .destinations
            .iter()
            .map(|one| self.open_one(one, &sink));
        let opened = try_join_all(opened).await?;
        let all = opened.into_iter().flatten();
        try_join_all(all.map(|one| self.read_one(one, &sink)))
            .await
            .map(drop)
    }

    async fn open_one<'a>(
        &'a self,
        destination: &'a Destination,
        sink: &'a Sink,
    ) -> Result<Option<Opened<'a>>, Failure> {
        let (stream, subject) = match destination {
            Destination::Subject(subject) => return Ok(Some(Opened::Subject(subject))),
            Destination::JetStream(stream, subject) => (stream, subject),
            _ => return Ok(None),
        };
        let open = async |reading: Reading| {
            let opened = reading.open(&self.client, &self.wish, &self.advisories, sink);
            opened.await
        };
        let own = open(Reading {
            stream: stream.clone(),
            filter: subject.clone().unwrap_or_default(),
            shown: destination.to_string(),
            about: None,
        });
        let own = own.await?;
        let (mut told, mut is_unknown) = (Vec::new(), false);
        if self.wish.is_for_dead {
            // What is dead in a stream is not told there, but by the server, to whoever keeps it.
            let context = async_nats::jetstream::new(self.client.clone());
            let (keepers, are_all) = advisories::keepers(&context, stream).await;
            is_unknown = keepers.is_empty() && are_all && !own.can_keep_advisories();
            for keeper in keepers {
                let reading = Reading {
                    filter: String::new(),
                    shown: format!("jetstream:{keeper}"),
                    stream: keeper,
                    about: Some((stream.clone(), subject.clone())),
                };
                told.push(open(reading).await?);
            }
        }
        Ok(Some(Opened::JetStream {
            own: Box::new(own),
            told,
            is_unknown,
        }))
    }

    async fn read_one(&self, opened: Opened<'_>, sink: &Sink) -> Result<(), Failure> {
        match opened {
            Opened::Subject(subject) => self.subject(subject, sink).await,
            Opened::JetStream {
                own,
                told,
                is_unknown,
            } => {
                let shown = own.shown().to_owned();
                let dead = own.read().await?;
                if is_unknown && dead == 0 && !sink.sender.is_closed() {
                    output::complain(&format!(
                        "{shown}: nothing is known of its dead messages: no stream keeps what the server says of them, and \
                         no headers say it"
                    ));
                }
                for one in told {
                    one.read().await?;
                }
                Ok(())
            }
        }
    }

    async fn subject(&self, subject: &str, sink: &Sink) -> Result<(), Failure> {
        let failed = |error: String| Failure::new(format!("nats:{subject}: {error}"));
        let messages = self.client.subscribe(subject.to_owned()).await;
        let mut messages = messages.map_err(|error| failed(error.to_string()))?;
        let mut denied = pin!(self.denials.of(subject));
        let mut over = pin!(sink.over());
        let mut count = 0;
        loop {
            let message = tokio::select! {
                () = &mut over => break,
                text = &mut denied => return Err(failed(text)),
                next = messages.next() => match next {
                    Some(message) => message,
                    None => break,
                },
            };
            count += 1;
            let destination = format!("nats:{}", message.subject).into();
            let seen = match self.wish.is_for_dead && is_advisory(&message.subject) {
                true => {
                    let found = self.advisories.look_up(&message, None, sink);
                    found.await
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
        // What is stored has a time.
        is_live: time.is_none(),
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

/// One that was asked for by its number.
fn seen_in(stream: &str, stored: &Stored, sink: &Sink) -> Seen {
    let message = &stored.message;
    let destination = format!("jetstream:{stream}/{}", message.subject).into();
    let place = Place::Sequence(stored.sequence);
    let seen = seen(message, destination, place, Some(stored.time), sink);
    match stored.is_readable {
        true => seen,
        // That there is no context in its headers is not known.
        false => Seen {
            diagnosis: Diagnosis::default(),
            bytes: message.payload.len(),
            original: None,
            ..seen
        },
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
