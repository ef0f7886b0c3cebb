//! RabbitMQ. What is published is read by a queue of our own, which nobody else has and which goes with the connection;
//! a stream as a stream, from which nothing is ever taken; an existing queue by messages that are got and put back.

mod connection;
mod facts;
mod send;

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::StreamExt as _;
use futures::future::try_join_all;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicNackOptions, BasicQosOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, Consumer};
use otel_messaging::amqp::internal::{diagnose, sent_at};

use self::connection::connect;
use self::facts::facts;
pub(crate) use self::send::Sender;
use super::{Judge, Sink, Wish, firehose};
use crate::destination::Destination;
use crate::failure::Failure;
use crate::original::Original;
use crate::output;
use crate::seen::{Place, Publication, Seen};

/// Messages that are under way at a time.
const UNDER_WAY: u16 = 500;

/// Messages that wait in a queue of our own; what comes when it is full pushes out the oldest.
const OWN_QUEUE: i32 = 10_000;

/// How long a broker may take to send what it has.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Source {
    connection: Connection,
    destinations: Vec<Destination>,
    wish: Wish,
}

impl Source {
    pub(super) async fn open(destinations: Vec<Destination>, wish: Wish) -> Result<Self, Failure> {
        let connection = connect(&wish.access).await?;
        Ok(Self {
            connection,
            destinations,
            wish,
        })
    }

    pub(super) fn destinations(&self) -> impl Iterator<Item = Arc<str>> {
        // Of the firehose each key is one.
        let is_name = |one: &&Destination| !matches!(one, Destination::Firehose(_));
        let names = self.destinations.iter().filter(is_name);
        names.map(|one| one.to_string().into())
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
        let failed = |error: Failure| match error {
            Failure::Told(text) => Failure::because(&destination.to_string(), text),
            other => other,
        };
        let channel = self.connection.create_channel().await;
        let channel = channel.map_err(|error| failed(error.into()))?;
        let mut reading = Reading {
            connection: &self.connection,
            channel,
            name: destination.to_string().into(),
            sink,
            is_stream: matches!(destination, Destination::RabbitStream(_)),
            is_live: matches!(
                destination,
                Destination::Exchange(..) | Destination::Firehose(_)
            ),
            count: 0,
        };
        let read = match destination {
            Destination::Exchange(exchange, key) => reading.exchange(exchange, key).await,
            Destination::Firehose(key) => reading.firehose(key).await,
            Destination::RabbitStream(stream) => reading.stream(stream, &self.wish).await,
            Destination::Queue(queue) => reading
                .queue(queue, &self.wish)
                .await
                .map_err(Failure::from),
            _ => Ok(()),
        };
        let _ = reading.channel.close(200, "read".into()).await;
        read.map_err(failed)
    }
}

/// One destination, by a channel of its own.
pub(super) struct Reading<'a> {
    pub(super) connection: &'a Connection,
    pub(super) channel: Channel,
    pub(super) name: Arc<str>,
    pub(super) sink: &'a Sink,
    is_stream: bool,
    is_live: bool,
    count: u64,
}

impl Reading<'_> {
    async fn firehose(&mut self, key: &str) -> Result<(), Failure> {
        self.exchange(firehose::EXCHANGE, key).await?;
        if self.count == 0 {
            let name = &self.name;
            output::complain(&format!(
                "{name}: nothing came; the broker has to trace, by rabbitmqctl trace_on"
            ));
        }
        Ok(())
    }

    async fn exchange(&mut self, exchange: &str, key: &str) -> Result<(), Failure> {
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
        let mut consumer = consumer(&self.channel, queue.as_str(), None).await?;
        let sink = self.sink;
        let mut over = pin!(sink.over());
        loop {
            let delivery = tokio::select! {
                () = &mut over => break,
                next = consumer.next() => next.ok_or_else(cancelled)??,
            };
            let seen = match exchange {
                firehose::EXCHANGE => self.traced(&delivery),
                _ => self.seen(&delivery),
            };
            // It makes room for more.
            delivery.acker.ack(BasicAckOptions::default()).await?;
            if !sink.give(seen).await {
                break;
            }
        }
        Ok(())
    }

    async fn queue(&mut self, queue: &str, wish: &Wish) -> lapin::Result<()> {
        let there = QueueDeclareOptions::default().passive();
        let there = self
            .channel
            .queue_declare(queue.into(), there, FieldTable::default())
            .await?;
        let mut held = None;
        for _ in 0..wish.held.min(there.message_count().into()) {
            let mut left = match &wish.left {
                Some(left) => Some(left.lock().await),
                None => None,
            };
            if left.as_deref() == Some(&0) {
                break;
            }
            let got = self
                .channel
                .basic_get(queue.into(), BasicGetOptions::default())
                .await?;
            let Some(message) = got else {
                break;
            };
            if let Some(left) = left.as_deref_mut() {
                *left -= 1;
            }
            drop(left);
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
        Ok(())
    }

    /// The message that the broker tells of.
    fn traced(&mut self, delivery: &Delivery) -> Seen {
        let traced = firehose::traced(&delivery.properties);
        let name = format!("rabbitmq-firehose:{}", delivery.routing_key).into();
        let published = (traced.exchange.as_str(), traced.key.as_str());
        let mut seen = self.look(name, published, &traced.properties, &delivery.data);
        seen.facts.is_redelivered = traced.is_redelivered;
        seen
    }

    pub(super) fn seen(&mut self, delivery: &Delivery) -> Seen {
        let name = Arc::clone(&self.name);
        let published = (delivery.exchange.as_str(), delivery.routing_key.as_str());
        let mut seen = self.look(name, published, &delivery.properties, &delivery.data);
        seen.original = self.sink.is_whole.then(|| original(delivery));
        seen
    }

    fn look(
        &mut self,
        destination: Arc<str>,
        published: (&str, &str),
        properties: &BasicProperties,
        payload: &[u8],
    ) -> Seen {
        self.count += 1;
        let judge: &Judge = &self.sink.judge;
        let diagnosis = diagnose(&judge.telemetry, properties, &judge.formats());
        // In a queue it is what the message was published with.
        let place = match stream_offset(properties).filter(|_| self.is_stream) {
            Some(offset) => Place::Sequence(offset),
            None => Place::Number(self.count),
        };
        Seen {
            destination,
            place,
            publication: Publication::of(published, payload),
            time: sent_at(properties),
            now: SystemTime::now(),
            is_live: self.is_live,
            bytes: diagnosis.header_bytes + payload.len(),
            diagnosis,
            original: None,
            facts: facts(properties),
        }
    }
}

fn original(delivery: &Delivery) -> Original {
    Original::RabbitMq {
        routing_key: delivery.routing_key.to_string(),
        properties: Box::new(delivery.properties.clone()),
        payload: delivery.data.clone(),
    }
}

pub(super) async fn consumer(
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

/// Nobody here ends a consumer before it is done with it.
pub(super) fn cancelled() -> Failure {
    Failure::new("the broker sends no more of it, as it does when a queue is deleted")
}

impl From<lapin::Error> for Failure {
    fn from(error: lapin::Error) -> Self {
        Self::new(error.to_string())
    }
}

/// Where in a stream it is.
pub(super) fn stream_offset(properties: &BasicProperties) -> Option<u64> {
    let headers = properties.headers().as_ref()?;
    match headers.inner().get("x-stream-offset")? {
        AMQPValue::LongLongInt(offset) => u64::try_from(*offset).ok(),
        _ => None,
    }
}
