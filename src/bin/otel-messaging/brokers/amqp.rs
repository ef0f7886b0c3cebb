//! RabbitMQ. What is published is read by a queue of our own, which nobody else has and which goes with the connection;
//! a stream as a stream, from which nothing is ever taken; an existing queue by messages that are got and put back.

use std::fmt::Display;
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt as _;
use futures::future::try_join_all;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicNackOptions, BasicQosOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::uri::AMQPUri;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use otel_messaging::amqp::internal::{diagnose, sent_at};
use tokio::time::timeout;

use super::{End, Judge, Sink, Start, Wish};
use crate::destination::Destination;
use crate::facts::Facts;
use crate::failure::Failure;
use crate::seen::{Place, Seen};

/// Messages that are under way at a time.
const UNDER_WAY: u16 = 500;

/// Messages that wait in a queue of our own; what comes when it is full pushes out the oldest.
const OWN_QUEUE: i32 = 10_000;

/// Messages of a queue that are held at a time, where nothing else is said.
const HELD: u64 = 1_000;

/// How long a broker may take to let the command in.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the end of a stream is waited for: the broker does not say where it is.
const QUIET: Duration = Duration::from_secs(2);

pub(super) struct Source {
    connection: Connection,
    destinations: Vec<Destination>,
    wish: Wish,
}

impl Source {
    pub(super) async fn open(destinations: Vec<Destination>, wish: Wish) -> Result<Self, Failure> {
        let Some(url) = &wish.access.amqp_url else {
            return Err(Failure::new(
                "rabbitmq: which broker? Give --amqp-url or AMQP_URL",
            ));
        };
        let properties =
            ConnectionProperties::default().with_connection_name("otel-messaging".into());
        // Its error would show the address, with the password in it.
        let address: AMQPUri = url
            .parse()
            .map_err(|_| Failure::new("rabbitmq: the address is no URL of AMQP"))?;
        let failed = |error: &dyn Display| Failure::because("rabbitmq: cannot connect", error);
        let connection = timeout(PATIENCE, Connection::connect_uri(address, properties)).await;
        let connection = connection.map_err(|error| failed(&error))?;
        let connection = connection.map_err(|error| failed(&error))?;
        Ok(Self {
            connection,
            destinations,
            wish,
        })
    }

    pub(super) fn destinations(&self) -> impl Iterator<Item = Arc<str>> {
        self.destinations.iter().map(name)
    }

    pub(super) async fn read(self, sink: Sink) -> Result<(), Failure> {
        let all = self
            .destinations
            .iter()
            .map(|one| self.read_one(one, &sink));
        try_join_all(all).await?;
        // What was to be read was read, however the broker takes that it is over.
        let _ = self.connection.close(200, "read".into()).await;
        Ok(())
    }

    async fn read_one(&self, destination: &Destination, sink: &Sink) -> Result<(), Failure> {
        let failed = |error: lapin::Error| Failure::because(&destination.to_string(), error);
        let channel = self.connection.create_channel().await.map_err(failed)?;
        let reading = Reading {
            connection: &self.connection,
            channel,
            name: name(destination),
            sink,
            count: 0,
        };
        let read = match destination {
            Destination::Exchange(exchange, key) => reading.exchange(exchange, key).await,
            Destination::RabbitStream(stream) => reading.stream(stream, &self.wish).await,
            Destination::Queue(queue) => reading.queue(queue, &self.wish).await,
            _ => Ok(()),
        };
        read.map_err(failed)
    }
}

/// One destination, by a channel of its own.
struct Reading<'a> {
    connection: &'a Connection,
    channel: Channel,
    name: Arc<str>,
    sink: &'a Sink,
    count: u64,
}

impl Reading<'_> {
    async fn exchange(mut self, exchange: &str, key: &str) -> lapin::Result<()> {
        let options = QueueDeclareOptions {
            exclusive: true,
            auto_delete: true,
            ..QueueDeclareOptions::default()
        };
        let mut arguments = FieldTable::default();
        arguments.insert("x-max-length".into(), AMQPValue::LongInt(OWN_QUEUE));
        let queue = self
            .channel
            .queue_declare("".into(), options, arguments)
            .await?;
        let queue = queue.name().clone();
        let options = QueueBindOptions::default();
        let bound = self.channel.queue_bind(
            queue.clone(),
            exchange.into(),
            key.into(),
            options,
            FieldTable::default(),
        );
        bound.await?;
        self.consume(queue.as_str(), None, None).await
    }

    async fn stream(mut self, stream: &str, wish: &Wish) -> lapin::Result<()> {
        let there = QueueDeclareOptions::default().passive();
        let there = self
            .channel
            .queue_declare(stream.into(), there, FieldTable::default())
            .await?;
        let count = u64::from(there.message_count());
        let offset = match wish.start {
            Start::All => AMQPValue::LongString("first".into()),
            Start::Now => AMQPValue::LongString("next".into()),
            Start::Since(time) => {
                let time = time.duration_since(UNIX_EPOCH).unwrap_or_default();
                AMQPValue::Timestamp(time.as_secs())
            }
            // The first ones may be gone: then it is more than was asked for.
            Start::Last(last) => {
                let offset = count.saturating_sub(last);
                AMQPValue::LongLongInt(i64::try_from(offset).unwrap_or(i64::MAX))
            }
        };
        // The number of messages that a broker tells of a stream is one of some seconds ago. The first message that
        // comes from now on tells where the end was. On a channel of its own: with both on one, the second consumer
        // of a busy stream has been seen to begin later than it was told to.
        let end = match wish.end {
            End::OfWhatIsThere => {
                let channel = self.connection.create_channel().await?;
                let next = AMQPValue::LongString("next".into());
                let end = consumer(&channel, stream, Some(next)).await?;
                Some((channel, end))
            }
            End::Never => None,
        };
        self.consume(stream, Some(offset), end).await
    }

    /// Reads until it is over: of what is stored at the end, which `end` tells, or when nothing more comes.
    async fn consume(
        &mut self,
        queue: &str,
        offset: Option<AMQPValue>,
        mut end: Option<(Channel, Consumer)>,
    ) -> lapin::Result<()> {
        let has_end = end.is_some();
        let mut end_offset = None;
        let mut consumer = consumer(&self.channel, queue, offset).await?;
        let sink = self.sink;
        let mut over = pin!(async {
            match has_end {
                true => sink.closed().await,
                false => sink.over().await,
            }
        });
        loop {
            let quiet = async {
                match has_end {
                    true => tokio::time::sleep(QUIET).await,
                    false => pending().await,
                }
            };
            let behind_end = async {
                match &mut end {
                    Some((_, end)) => end.next().await,
                    None => pending().await,
                }
            };
            let delivery = tokio::select! {
                () = &mut over => break,
                () = quiet => break,
                next = behind_end => {
                    if let Some(Ok(delivery)) = next {
                        end_offset = stream_offset(&delivery.properties);
                    }
                    end = None;
                    continue;
                }
                next = consumer.next() => match next {
                    Some(delivery) => delivery?,
                    None => break,
                },
            };
            let offset = stream_offset(&delivery.properties);
            if end_offset.is_some() && offset >= end_offset {
                break;
            }
            let seen = self.seen(&delivery);
            // For a stream, and for a queue of our own: it makes room for more.
            delivery.acker.ack(BasicAckOptions::default()).await?;
            if !sink.give(seen).await {
                break;
            }
        }
        let _ = self.channel.close(200, "read".into()).await;
        Ok(())
    }

    async fn queue(mut self, queue: &str, wish: &Wish) -> lapin::Result<()> {
        let there = QueueDeclareOptions::default().passive();
        let there = self
            .channel
            .queue_declare(queue.into(), there, FieldTable::default())
            .await?;
        let most = match wish.start {
            Start::Last(last) => last.min(HELD),
            Start::All => u64::MAX,
            Start::Since(_) | Start::Now => HELD,
        };
        let mut held = None;
        for _ in 0..most.min(there.message_count().into()) {
            let got = self
                .channel
                .basic_get(queue.into(), BasicGetOptions::default())
                .await?;
            let Some(message) = got else {
                break;
            };
            held = Some(message.delivery.delivery_tag);
            let mut seen = self.seen(&message.delivery);
            seen.facts.is_redelivered = message.delivery.redelivered;
            if !self.sink.give(seen).await {
                break;
            }
        }
        if let Some(last) = held {
            let back = BasicNackOptions {
                multiple: true,
                requeue: true,
            };
            self.channel.basic_nack(last, back).await?;
        }
        let _ = self.channel.close(200, "read".into()).await;
        Ok(())
    }

    fn seen(&mut self, delivery: &Delivery) -> Seen {
        self.count += 1;
        let properties = &delivery.properties;
        let judge: &Judge = &self.sink.judge;
        let diagnosis = diagnose(&judge.telemetry, properties, &judge.formats());
        let place = match stream_offset(properties) {
            Some(offset) => Place::Sequence(offset),
            None => Place::Number(self.count),
        };
        Seen {
            destination: Arc::clone(&self.name),
            place,
            time: sent_at(properties),
            now: SystemTime::now(),
            bytes: diagnosis.header_bytes + delivery.data.len(),
            diagnosis,
            facts: facts(properties),
        }
    }
}

async fn consumer(
    channel: &Channel,
    queue: &str,
    offset: Option<AMQPValue>,
) -> lapin::Result<Consumer> {
    channel
        .basic_qos(UNDER_WAY, BasicQosOptions::default())
        .await?;
    let mut arguments = FieldTable::default();
    if let Some(offset) = offset {
        arguments.insert("x-stream-offset".into(), offset);
    }
    let options = BasicConsumeOptions::default();
    channel
        .basic_consume(queue.into(), "otel-messaging".into(), options, arguments)
        .await
}

/// Its name in output; all routing keys of an exchange are one.
fn name(destination: &Destination) -> Arc<str> {
    match destination {
        Destination::Exchange(exchange, _) => format!("rabbitmq:{exchange}").into(),
        other => other.to_string().into(),
    }
}

/// Where in a stream it is.
fn stream_offset(properties: &BasicProperties) -> Option<u64> {
    let headers = properties.headers().as_ref()?;
    match headers.inner().get("x-stream-offset")? {
        AMQPValue::LongLongInt(offset) => u64::try_from(*offset).ok(),
        _ => None,
    }
}

fn facts(properties: &BasicProperties) -> Facts {
    let mut facts = Facts::default();
    for id in [properties.message_id(), properties.correlation_id()]
        .into_iter()
        .flatten()
    {
        facts.look_at(b"message-id", id.as_str().as_bytes());
    }
    if let Some(application) = properties.app_id() {
        facts.look_at(b"app-id", application.as_str().as_bytes());
    }
    for (name, value) in properties.headers().iter().flatten() {
        match (name.as_str(), value) {
            ("x-death", AMQPValue::FieldArray(deaths)) => died(&mut facts, deaths.as_slice()),
            (name, value) => {
                if let Some(text) = text(value) {
                    facts.look_at(name.as_bytes(), &text);
                }
            }
        }
    }
    facts
}

/// The latest death comes first; each queue and reason is there once, with a count.
fn died(facts: &mut Facts, deaths: &[AMQPValue]) {
    let mut count = 0;
    for death in deaths {
        let AMQPValue::FieldTable(death) = death else {
            continue;
        };
        let part = |name: &str| death.inner().get(name).and_then(text);
        facts.look_at(b"x-first-death-queue", &part("queue").unwrap_or_default());
        let times = part("count").and_then(|text| str::from_utf8(&text).ok()?.parse().ok());
        // Whoever publishes may have written any number.
        count = u64::saturating_add(count, times.unwrap_or(1));
    }
    if count > 0 {
        facts.attempts.get_or_insert(count);
    }
}

fn text(value: &AMQPValue) -> Option<Vec<u8>> {
    Some(match value {
        AMQPValue::LongString(text) => text.as_bytes().to_vec(),
        AMQPValue::ShortString(text) => text.as_str().as_bytes().to_vec(),
        AMQPValue::ByteArray(bytes) => bytes.as_slice().to_vec(),
        AMQPValue::ShortShortInt(number) => number.to_string().into_bytes(),
        AMQPValue::ShortInt(number) => number.to_string().into_bytes(),
        AMQPValue::LongInt(number) => number.to_string().into_bytes(),
        AMQPValue::LongLongInt(number) => number.to_string().into_bytes(),
        AMQPValue::LongUInt(number) => number.to_string().into_bytes(),
        _ => return None,
    })
}
