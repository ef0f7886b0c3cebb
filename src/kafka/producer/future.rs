//! The client whose delivery reports are futures, [`FutureProducer`].

use std::fmt;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{OwnedMessage, Timestamp, ToBytes};
use rdkafka::producer::future_producer::OwnedDeliveryResult;
use rdkafka::producer::{self as client, FutureProducer, FutureRecord, Producer as _};
use rdkafka::util::{AsyncRuntime, Timeout};

use super::Producer;
use super::sending::{OutgoingRecord, SendingRecord};
use crate::engine::ambient::{ambient, current};
use crate::kafka::attributes::ClientInfo;

/// How long the bare client waits for room in its queue before it asks again.
const QUEUE_PAUSE: Duration = Duration::from_millis(100);

impl<C, R> Producer<FutureProducer<C, R>>
where
    C: ClientContext + 'static,
    R: AsyncRuntime,
{
    /// Sends a record, as [`FutureProducer::send`] does, in a `send {topic}` span that ends with
    /// the delivery report.
    ///
    /// The parent is the span that is active when the future is first polled, or, if no context is
    /// attached then, at the call. The future can be spawned, or used with `with_context`.
    ///
    /// # Errors
    ///
    /// The error of [`FutureProducer::send`], with the message as it was given. A context that it
    /// carried is still in its headers; when it is sent again, its send span links to that context.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop a record that is queued. Its span ends with the status
    /// unset, because the outcome is unknown.
    pub fn send<K, V, T>(
        &self,
        mut record: FutureRecord<'_, K, V>,
        queue_timeout: T,
    ) -> impl Future<Output = OwnedDeliveryResult>
    where
        K: ToBytes + ?Sized,
        V: ToBytes + ?Sized,
        T: Into<Timeout>,
    {
        let called = current();
        async move {
            let outgoing = outgoing(&self.info, &mut record);
            let (mut sending, headers) =
                SendingRecord::start(&self.info, ambient(called), outgoing);
            record.headers = headers;
            let result = match self.queue(record, queue_timeout.into()).await {
                Ok(mut delivery) => {
                    sending.handed_over();
                    reported(&mut delivery).await
                }
                Err(refused) => Err(refused),
            };
            self.info.learn_cluster_id(self.client.client());
            told(&mut sending, result)
        }
    }

    /// Queues a record, as [`FutureProducer::send_result`] does, in a `send {topic}` span that ends
    /// when the returned future receives the delivery report.
    ///
    /// ```
    /// use otel_messaging::kafka;
    /// use rdkafka::producer::FutureRecord;
    ///
    /// async fn send(producer: &kafka::Producer) -> anyhow::Result<()> {
    ///     let record = FutureRecord::to("orders").key("42").payload("two books");
    ///     let delivery = producer.send_result(record).map_err(|(error, _)| error)?;
    ///     delivery.await?.map_err(|(error, _)| error)?;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The error of [`FutureProducer::send_result`], with the record as it was given. A context
    /// that it carried is still in its headers; when it is sent again, its send span links to that
    /// context.
    pub fn send_result<'a, K, V>(
        &self,
        mut record: FutureRecord<'a, K, V>,
    ) -> Result<DeliveryFuture, (KafkaError, FutureRecord<'a, K, V>)>
    where
        K: ToBytes + ?Sized,
        V: ToBytes + ?Sized,
    {
        let outgoing = outgoing(&self.info, &mut record);
        let (mut sending, headers) = SendingRecord::start(&self.info, current(), outgoing);
        record.headers = headers;
        match self.client.send_result(record) {
            Ok(delivery) => {
                sending.handed_over();
                self.info.learn_cluster_id(self.client.client());
                Ok(DeliveryFuture {
                    delivery,
                    sending: Some(sending),
                })
            }
            Err((error, mut record)) => {
                record.headers = sending.give_back(&error, record.headers);
                Err((error, record))
            }
        }
    }

    /// Serves the events of the client, as [`FutureProducer::poll`] does. There is no need to call
    /// it.
    pub fn poll<T: Into<Timeout>>(&self, timeout: T) {
        self.client.poll(timeout);
    }

    /// Queues a record; while there is no room, again and again, as [`FutureProducer::send`] does.
    pub(super) async fn queue<K, V>(
        &self,
        mut record: FutureRecord<'_, K, V>,
        timeout: Timeout,
    ) -> Result<client::DeliveryFuture, (KafkaError, OwnedMessage)>
    where
        K: ToBytes + ?Sized,
        V: ToBytes + ?Sized,
    {
        const FULL: KafkaError = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
        let started = Instant::now();
        loop {
            let is_time = match timeout {
                Timeout::Never => true,
                Timeout::After(limit) => started.elapsed() < limit,
            };
            record = match self.client.send_result(record) {
                Ok(delivery) => return Ok(delivery),
                Err((FULL, record)) if is_time => record,
                Err((error, record)) => return Err((error, owned(record))),
            };
            R::delay_for(QUEUE_PAUSE).await;
        }
    }
}

/// The delivery report of a record, a future with the output of the client's own. See
/// [`Producer::send_result`].
///
/// # Cancel safety
///
/// Dropping the future does not stop the record. Its span ends with the status unset, because the
/// outcome is unknown.
#[must_use = "the send span ends when this is dropped"]
pub struct DeliveryFuture {
    delivery: client::DeliveryFuture,
    sending: Option<SendingRecord>,
}

impl Future for DeliveryFuture {
    type Output = <client::DeliveryFuture as Future>::Output;

    fn poll(mut self: Pin<&mut Self>, task: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        let delivered = ready!(Pin::new(&mut self.delivery).poll(task));
        let ended = match &mut self.sending {
            Some(sending) => delivered.map(|result| told(sending, result)),
            None => delivered,
        };
        self.sending = None;
        Poll::Ready(ended)
    }
}

impl fmt::Debug for DeliveryFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryFuture")
            .field("sending", &self.sending)
            .finish_non_exhaustive()
    }
}

/// The record as it is about to be sent, without its headers from now on.
pub(super) fn outgoing<'a, K, V>(
    info: &ClientInfo,
    record: &mut FutureRecord<'a, K, V>,
) -> OutgoingRecord<'a>
where
    K: ToBytes + ?Sized,
    V: ToBytes + ?Sized,
{
    let headers = record.headers.take();
    let place = (record.topic, record.partition);
    OutgoingRecord::new(info, place, record.key, record.payload, headers)
}

/// Tells the span what the delivery report says, before it ends.
fn told(sending: &mut SendingRecord, result: OwnedDeliveryResult) -> OwnedDeliveryResult {
    match result {
        Ok(delivery) => {
            sending.delivered(delivery.partition, delivery.offset);
            Ok(delivery)
        }
        Err((error, mut message)) => {
            let headers = sending.give_back(&error, message.detach_headers());
            Err((error, message.replace_headers(headers)))
        }
    }
}

/// A record that could not be queued, as the bare client gives it back.
fn owned<K, V>(record: FutureRecord<'_, K, V>) -> OwnedMessage
where
    K: ToBytes + ?Sized,
    V: ToBytes + ?Sized,
{
    OwnedMessage::new(
        record.payload.map(|payload| payload.to_bytes().to_vec()),
        record.key.map(|key| key.to_bytes().to_vec()),
        record.topic.to_owned(),
        record
            .timestamp
            .map_or(Timestamp::NotAvailable, Timestamp::CreateTime),
        record.partition.unwrap_or(-1),
        0,
        record.headers,
    )
}

/// The delivery report of a record, of a client that is borrowed, and so is there to report.
pub(super) async fn reported(delivery: &mut client::DeliveryFuture) -> OwnedDeliveryResult {
    delivery.await.unwrap_or_else(|_| Err(canceled()))
}

fn canceled() -> (KafkaError, OwnedMessage) {
    let nothing = OwnedMessage::new(
        None,
        None,
        String::new(),
        Timestamp::NotAvailable,
        -1,
        0,
        None,
    );
    (KafkaError::Canceled, nothing)
}
