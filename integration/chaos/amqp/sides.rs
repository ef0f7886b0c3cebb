//! lapin's channel and consumer, bare and wrapped. A connection that is lost is followed by another one, as lapin leaves
//! to its users.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join_all;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer, Error,
    ErrorKind,
};
use otel_messaging::amqp::{self, ConnectionInfo, Publish};
use otel_messaging::{Received, Telemetry};
use tokio::sync::Mutex as Turn;
use tokio::time::timeout;

use crate::load::{GIVEN_UP, LINGER, Ledger, PATIENCE, Sent, Side};
use crate::plan::Plan;

/// How long a confirm or an acknowledgement may take. lapin waits for ever: now and then for one over a connection that
/// was lost just then.
const ANSWER: Duration = Duration::from_secs(2);
/// Messages that a consumer has at a time, or a batch where that is more: it would never be full, and each would wait
/// for more messages as long as it may.
const PREFETCH: u16 = 20;

/// A queue, by what way, and how a channel is used: bare or wrapped.
pub(crate) struct Clients<U> {
    urls: Vec<String>,
    /// Which of these was there the last time.
    at: AtomicUsize,
    queue: ShortString,
    arguments: FieldTable,
    usage: U,
    /// One at a time makes a connection.
    turn: Turn<()>,
    line: Mutex<Option<Arc<Line>>>,
}

/// A connection for sending.
struct Line {
    /// It is closed when it is dropped.
    _connection: Connection,
    channel: Channel,
    /// Where it is wrapped.
    producer: Option<amqp::Producer>,
}

/// The bare client.
pub(crate) struct Bare;

/// The wrapped one.
pub(crate) struct Wrapped(pub(crate) Telemetry);

impl<U> Clients<U> {
    /// Clients for a queue of theirs.
    pub(crate) fn new(urls: &[String], queue: &str, arguments: &FieldTable, usage: U) -> Self {
        Self {
            urls: urls.to_vec(),
            at: AtomicUsize::new(0),
            queue: integration::unique(queue).into(),
            arguments: arguments.clone(),
            usage,
            turn: Turn::new(()),
            line: Mutex::new(None),
        }
    }

    fn line(&self) -> Option<Arc<Line>> {
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        line.clone()
    }

    fn set_line(&self, line: Option<Arc<Line>>) {
        *self.line.lock().unwrap_or_else(PoisonError::into_inner) = line;
    }

    /// A connection to the broker that was there the last time, or to the next one that is there.
    async fn connect(&self) -> Result<(Connection, &str), String> {
        let mut refused = "no broker".to_owned();
        let (all, last) = (self.urls.len(), self.at.load(Ordering::Relaxed));
        for (at, url) in self.urls.iter().enumerate().cycle().skip(last).take(all) {
            let connecting = Connection::connect(url, ConnectionProperties::default());
            match answered(connecting).await {
                Ok(connection) => {
                    self.at.store(at, Ordering::Relaxed);
                    return Ok((connection, url));
                }
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    /// A channel that confirms, and the queue, which is made where it is not there.
    async fn confirming(&self, connection: &Connection) -> lapin::Result<Channel> {
        let channel = connection.create_channel().await?;
        let confirms = channel.confirm_select(ConfirmSelectOptions::default());
        confirms.await?;
        let (queue, options) = (self.queue.clone(), QueueDeclareOptions::durable());
        let declared = channel.queue_declare(queue, options, self.arguments.clone());
        declared.await?;
        Ok(channel)
    }

    /// The connection that there is, or another one.
    async fn connected(
        &self,
        wrap: impl Fn(&Connection, &str, &Channel) -> Option<amqp::Producer>,
    ) -> Result<Arc<Line>, String> {
        let _turn = self.turn.lock().await;
        if let Some(line) = self.line() {
            return Ok(line);
        }
        let (connection, url) = self.connect().await?;
        let channel = answered(self.confirming(&connection)).await?;
        let line = Arc::new(Line {
            producer: wrap(&connection, url, &channel),
            channel,
            _connection: connection,
        });
        self.set_line(Some(Arc::clone(&line)));
        Ok(line)
    }

    /// This one is of no use any more.
    fn lost(&self, line: &Arc<Line>) {
        if self.line().is_some_and(|now| Arc::ptr_eq(&now, line)) {
            self.set_line(None);
        }
    }

    /// What became of so many messages, as long as anybody waits for it.
    async fn outcomes(
        &self,
        line: &Arc<Line>,
        messages: usize,
        publishing: impl Future<Output = Vec<lapin::Result<Confirmation>>>,
    ) -> Vec<Sent> {
        let Ok(results) = timeout(ANSWER, publishing).await else {
            self.lost(line);
            return vec![Err(GIVEN_UP.to_owned()); messages];
        };
        // A channel that began while a queue had no leader: RabbitMQ 3.10 refuses all of it until the old one is back.
        let is_useless = |result: &_| matches!(result, Err(_) | Ok(Confirmation::Nack(None)));
        if results.iter().any(is_useless) {
            self.lost(line);
        }
        results.into_iter().map(sent).collect()
    }

    /// A consumer of the queue, over a connection of its own to the broker that is there.
    async fn consumer(&self, plan: Plan) -> Result<(Connection, &str, Channel, Consumer), String> {
        let prefetch = PREFETCH.max(plan.together as u16);
        let (connection, url) = self.connect().await?;
        let consuming = answered(async {
            let channel = self.confirming(&connection).await?;
            let qos = channel.basic_qos(prefetch, BasicQosOptions::default());
            qos.await?;
            let consumer = channel.basic_consume(
                self.queue.clone(),
                "".into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            );
            Ok((consumer.await?, channel))
        });
        let (consumer, channel) = consuming.await?;
        Ok((connection, url, channel, consumer))
    }
}

/// What the broker answers before too long.
async fn answered<T>(asking: impl Future<Output = lapin::Result<T>>) -> Result<T, String> {
    match timeout(PATIENCE / 3, asking).await {
        Ok(answer) => answer.map_err(|error| kind(&error)),
        Err(_) => Err("no answer".to_owned()),
    }
}

/// The kind of an error, without what differs from one to the next.
pub(crate) fn kind(error: &Error) -> String {
    match error.kind() {
        ErrorKind::ProtocolError(error) => format!("ProtocolError {}", error.get_id()),
        ErrorKind::IOError(error) => format!("IOError {:?}", error.kind()),
        kind => format!("{kind:?}"),
    }
}

fn sent(result: lapin::Result<Confirmation>) -> Sent {
    match result {
        Ok(Confirmation::Ack(None)) => Ok(()),
        Ok(Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_))) => Err("returned".to_owned()),
        Ok(Confirmation::Nack(None)) => Err("nack".to_owned()),
        Ok(Confirmation::NotRequested) => Err("not confirmed".to_owned()),
        Err(error) => Err(kind(&error)),
    }
}

fn options() -> BasicPublishOptions {
    BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    }
}

fn persistent() -> BasicProperties {
    BasicProperties::default().with_delivery_mode(2)
}

impl Side for Clients<Bare> {
    const GIVES_UP: Option<Duration> = Some(ANSWER);

    async fn send(&self, bodies: &[Vec<u8>]) -> Result<Vec<Sent>, String> {
        let line = self.connected(|_, _, _| None).await?;
        // One after the other, and then all confirms, as the wrapped one does it under one call.
        let published = async {
            let mut confirms = Vec::new();
            for body in bodies {
                let (queue, options) = (self.queue.clone(), options());
                let channel = &line.channel;
                let published =
                    channel.basic_publish("".into(), queue, options, body, persistent());
                confirms.push(published.await);
            }
            let confirmed = confirms.into_iter().map(async |confirm| confirm?.await);
            join_all(confirmed).await
        };
        Ok(self.outcomes(&line, bodies.len(), published).await)
    }

    async fn consume(&self, ledger: &Ledger) {
        while ledger.again().await {
            let connected = self.consumer(ledger.plan).await;
            let (_connection, _, _channel, mut consumer) = match connected {
                Ok(connected) => connected,
                Err(error) => {
                    ledger.error(format!("connect {error}"));
                    continue;
                }
            };
            loop {
                let next = tokio::select! {
                    biased;
                    () = ledger.finished() => return,
                    next = consumer.next() => next,
                };
                let (taken, end) = ledger.together(next, &mut consumer).await;
                if !taken.is_empty() && !handled(ledger, &taken).await {
                    break;
                }
                if let Some(error) = end {
                    ledger.error(ended(error));
                    break;
                }
            }
        }
    }
}

/// Handles messages, and acknowledges each. Whether the channel is of use after that.
async fn handled(ledger: &Ledger, taken: &[Delivery]) -> bool {
    let bodies: Vec<_> = taken.iter().map(|one| one.data.as_slice()).collect();
    ledger.handle(&bodies).await;
    for delivery in taken {
        if !settled(ledger, delivery.ack(BasicAckOptions::default())).await {
            return false;
        }
    }
    true
}

/// How a consumer ends.
fn ended(error: Option<Error>) -> String {
    let how = error.map_or_else(|| "end".to_owned(), |error| kind(&error));
    format!("receive {how}")
}

async fn settled(ledger: &Ledger, ack: impl Future<Output = lapin::Result<bool>>) -> bool {
    match ledger.settle(kind, ack).await {
        Some(true) => true,
        // What lapin says of a channel that is closed.
        Some(false) => {
            ledger.error("settle on a closed channel".to_owned());
            false
        }
        None => false,
    }
}

impl Side for Clients<Wrapped> {
    const GIVES_UP: Option<Duration> = Some(ANSWER);

    async fn send(&self, bodies: &[Vec<u8>]) -> Result<Vec<Sent>, String> {
        let wrap = |connection: &Connection, url: &str, channel: &Channel| {
            let known = ConnectionInfo::of(connection).uri(url);
            Some(amqp::Producer::wrap(&self.usage.0, known, channel.clone()))
        };
        let line = self.connected(wrap).await?;
        let producer = line.producer.as_ref().expect("it is wrapped");
        if let [body] = bodies {
            let queue = self.queue.clone();
            let published = producer.basic_publish("".into(), queue, options(), body, persistent());
            let published = async { published.await?.await };
            let published = async { vec![published.await] };
            return Ok(self.outcomes(&line, 1, published).await);
        }
        let messages = bodies.iter().map(|body| {
            let message = Publish::new("", self.queue.as_str(), body);
            message.options(options()).properties(persistent())
        });
        let published = producer.publish_batch(messages);
        Ok(self.outcomes(&line, bodies.len(), published).await)
    }

    async fn consume(&self, ledger: &Ledger) {
        while ledger.again().await {
            let (connection, url, _channel, consumer) = match self.consumer(ledger.plan).await {
                Ok(connected) => connected,
                Err(error) => {
                    ledger.error(format!("connect {error}"));
                    continue;
                }
            };
            let known = ConnectionInfo::of(&connection).uri(url);
            let consumer = amqp::Consumer::wrap(&self.usage.0, known, consumer);
            if ledger.plan.together > 1 {
                batches(ledger, consumer).await;
            } else {
                one_by_one(ledger, consumer).await;
            }
        }
    }
}

async fn one_by_one(ledger: &Ledger, mut consumer: amqp::Consumer) {
    loop {
        let next = tokio::select! {
            biased;
            () = ledger.finished() => return,
            next = consumer.next() => next,
        };
        let delivery = match next {
            Some(Ok(delivery)) => delivery,
            other => return ledger.error(ended(other.and_then(Result::err))),
        };
        ledger.operation("process", 1);
        let handle = async |delivery: &Received<Delivery>| ledger.handle(&[&delivery.data]).await;
        delivery.process(handle).await;
        if !settled(ledger, delivery.ack(BasicAckOptions::default())).await {
            return;
        }
    }
}

async fn batches(ledger: &Ledger, consumer: amqp::Consumer) {
    let mut batches = consumer.batches(ledger.plan.together, LINGER);
    loop {
        let next = tokio::select! {
            biased;
            () = ledger.finished() => return,
            next = batches.recv() => next,
        };
        if next.is_some() {
            ledger.operation("receive", 1);
        }
        let batch = match next {
            Some(Ok(batch)) => batch,
            other => return ledger.error(ended(other.and_then(Result::err))),
        };
        ledger.operation("process", 1);
        batch
            .process(async |batch| {
                let bodies: Vec<_> = batch.iter().map(|one| one.data.as_slice()).collect();
                ledger.handle(&bodies).await;
            })
            .await;
        for delivery in &batch {
            if !settled(ledger, delivery.ack(BasicAckOptions::default())).await {
                return;
            }
        }
    }
}

impl<U> Clients<U> {
    /// The queue.
    pub(crate) fn queue(&self) -> ShortString {
        self.queue.clone()
    }
}
