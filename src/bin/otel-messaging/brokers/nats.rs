//! NATS: plain subscriptions, in no queue group, to what is published; for what JetStream holds, ordered consumers, which
//! the server forgets and which acknowledge nothing.

use std::fs;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::SystemTime;

use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectOptions, Message};
use futures::StreamExt as _;
use futures::future::try_join_all;
use otel_messaging::nats::internal::diagnose;

use super::{End, Judge, Sink, Start, Wish};
use crate::arguments::Access;
use crate::destination::Destination;
use crate::facts::Facts;
use crate::failure::Failure;
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
                self.stream(stream, subject.as_deref(), &shown, sink).await
            }
            _ => Ok(()),
        }
    }

    async fn subject(&self, subject: &str, sink: &Sink) -> Result<(), Failure> {
        let failed = |error: String| Failure::new(format!("nats:{subject}: {error}"));
        let messages = self.client.subscribe(subject.to_owned()).await;
        let mut messages = messages.map_err(|error| failed(error.to_string()))?;
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
            let seen = seen(
                &message,
                destination,
                Place::Number(count),
                None,
                &sink.judge,
            );
            if !sink.give(seen).await {
                break;
            }
        }
        let ended = messages.unsubscribe().await;
        ended.map_err(|error| failed(error.to_string()))
    }

    async fn stream(
        &self,
        stream: &str,
        subject: Option<&str>,
        shown: &str,
        sink: &Sink,
    ) -> Result<(), Failure> {
        let failed = |error: String| Failure::new(format!("{shown}: {error}"));
        let context = jetstream::new(self.client.clone());
        let found = context.get_stream(stream).await;
        let found = found.map_err(|error| failed(error.to_string()))?;
        let state = &found.cached_info().state;
        let (first, last) = (state.first_sequence, state.last_sequence);
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
            filter_subject: subject.unwrap_or_default().to_owned(),
            description: Some("otel-messaging".to_owned()),
            ..pull::OrderedConfig::default()
        };
        let consumer = context.create_consumer_on_stream(config, stream).await;
        let consumer = consumer.map_err(|error| failed(error.to_string()))?;
        let mut own = consumer.cached_info().name.clone();
        let is_empty = consumer.cached_info().num_pending == 0;
        let read = async {
            if is_over_at_end && is_empty {
                return Ok(());
            }
            let mut messages = consumer
                .messages()
                .await
                .map_err(|error| error.to_string())?;
            let mut closed = pin!(sink.closed());
            loop {
                let message = tokio::select! {
                    () = &mut closed => break,
                    next = messages.next() => match next {
                        Some(message) => message.map_err(|error| error.to_string())?,
                        None => break,
                    },
                };
                let info = message.info().map_err(|error| error.to_string())?;
                if info.consumer != own {
                    // It was made again after a pause in the connection.
                    info.consumer.clone_into(&mut own);
                }
                let (sequence, pending) = (info.stream_sequence, info.pending);
                let time = SystemTime::from(info.published);
                let destination = format!("jetstream:{stream}/{}", message.subject).into();
                let place = Place::Sequence(sequence);
                let seen = seen(&message, destination, place, Some(time), &sink.judge);
                let is_end = is_over_at_end && (pending == 0 || sequence >= last);
                if !sink.give(seen).await || is_end {
                    break;
                }
            }
            Ok(())
        };
        let read: Result<(), String> = read.await;
        forget(&context, &own, stream).await;
        read.map_err(failed)
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
    judge: &Judge,
) -> Seen {
    let headers = message.headers.as_ref();
    let diagnosis = diagnose(&judge.telemetry, headers, &judge.formats());
    let mut facts = Facts::default();
    for (name, values) in headers.into_iter().flat_map(|headers| headers.iter()) {
        for value in values {
            facts.look_at(name.as_ref(), value.as_ref());
        }
    }
    Seen {
        destination,
        place,
        time,
        now: SystemTime::now(),
        bytes: diagnosis.header_bytes + message.payload.len(),
        diagnosis,
        facts,
    }
}

async fn connect(access: &Access) -> Result<Client, Failure> {
    let Some(url) = &access.nats_url else {
        return Err(Failure::new(
            "nats: which server? Give --nats-url or NATS_URL",
        ));
    };
    let mut options = ConnectOptions::new().name("otel-messaging").no_echo();
    let read = |path: &Path| {
        let text = fs::read_to_string(path);
        text.map_err(|error| Failure::because(&path.display().to_string(), error))
    };
    if let Some(path) = &access.nats_creds {
        let credentials = options.credentials(&read(path)?);
        options =
            credentials.map_err(|error| Failure::because(&path.display().to_string(), error))?;
    }
    if let Some(path) = &access.nats_nkey {
        options = options.nkey(read(path)?.trim().to_owned());
    }
    if let Some(path) = &access.nats_ca {
        options = options.add_root_certificates(path.clone());
    }
    if let (Some(certificate), Some(key)) = (&access.nats_cert, &access.nats_key) {
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    let servers: Vec<&str> = url.split(',').map(str::trim).collect();
    let client = options.connect(servers).await;
    client.map_err(|error| Failure::because("nats: cannot connect", error))
}
