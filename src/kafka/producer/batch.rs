//! Sending many records under one call.

use std::collections::VecDeque;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, Waker};

use opentelemetry::Context;
use rdkafka::client::ClientContext;
use rdkafka::message::ToBytes;
use rdkafka::producer::future_producer::{DeliveryFuture, OwnedDeliveryResult};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use rdkafka::util::{AsyncRuntime, Timeout};

use super::Producer;
use super::future::{outgoing, reported};
use super::sending::is_for_size;
use crate::engine::ambient::{ambient, current};
use crate::engine::sending::Contexts;
use crate::engine::sending::batch::SendingBatch;
use crate::kafka::attributes::{ClientInfo, error_type, offset_told};
use crate::kafka::carrier::Given;
use crate::semconv::exception::ErrorDetails;

impl<C, R> Producer<FutureProducer<C, R>>
where
    C: ClientContext + 'static,
    R: AsyncRuntime,
{
    /// Sends records in their order, and returns the result of each, in the same order.
    ///
    /// Each record has a `create {topic}` span, whose context it carries. One `send {topic}` span
    /// of kind CLIENT links to all of these and ends with the last delivery report. With
    /// [`create_spans`](crate::policy::Rule::create_spans) off, the send span is of kind PRODUCER
    /// and all records carry its context.
    ///
    /// All records are created in what is current; to give each a context of its own, use
    /// [`send_batch_with_contexts`](Self::send_batch_with_contexts).
    ///
    /// Attributes that all records share are on the send span, those that differ are on its links.
    /// Partition and offset of a record, or its error, are on its create span.
    ///
    /// `queue_timeout` applies to each record, as in [`FutureProducer::send`]. If a record fails,
    /// those after it are still sent.
    ///
    /// ```
    /// use std::time::Duration;
    /// use otel_messaging::kafka;
    /// use rdkafka::producer::FutureRecord;
    ///
    /// async fn send(producer: &kafka::Producer, orders: &[String]) -> anyhow::Result<()> {
    ///     let records = orders.iter().map(|order| FutureRecord::to("orders").key("42").payload(order));
    ///     for result in producer.send_batch(records, Duration::from_secs(5)).await {
    ///         result.map_err(|(error, _)| error)?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// For each record the error of [`FutureProducer::send`], with the message as it was given. A
    /// context that it carried is still in its headers; when it is sent again, its send span links
    /// to that context.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop records that are queued; those after them are not sent. What
    /// the client has reported by then is recorded.
    pub fn send_batch<'a, K, V, T>(
        &self,
        records: impl IntoIterator<Item = FutureRecord<'a, K, V>>,
        queue_timeout: T,
    ) -> impl Future<Output = Vec<OwnedDeliveryResult>>
    where
        K: ToBytes + ?Sized + 'a,
        V: ToBytes + ?Sized + 'a,
        T: Into<Timeout>,
    {
        let records = records.into_iter().collect();
        self.send_together(current(), records, None, queue_timeout.into())
    }

    /// Sends records as [`send_batch`](Self::send_batch) does, each created in a context of its own,
    /// for a service that forwards in batches: trace, tracestate and baggage of each origin go on.
    ///
    /// The create span of a record is a child of the span in its context, and the record carries the
    /// baggage of that context and none of what is current at the call: all is as for
    /// [`send`](Self::send) in that context, and an empty context is an empty one. The `send {topic}`
    /// span is a child of what is current at the call. With
    /// [`create_spans`](crate::policy::Rule::create_spans) off, a record carries the context that is
    /// given with it, to which the send span links; with one that has no span, it carries the
    /// context of the send span.
    ///
    /// ```
    /// use std::time::Duration;
    /// use otel_messaging::{Batch, kafka};
    /// use rdkafka::message::{BorrowedMessage, Message as _};
    /// use rdkafka::producer::FutureRecord;
    ///
    /// async fn forward(
    ///     producer: &kafka::Producer,
    ///     orders: &Batch<BorrowedMessage<'_>>,
    /// ) -> anyhow::Result<()> {
    ///     orders
    ///         .process(async |orders| -> anyhow::Result<()> {
    ///             let bills = orders.iter().map(|order| {
    ///                 let bill = order.payload().unwrap_or_default();
    ///                 let record = FutureRecord::to("bills").key("42").payload(bill);
    ///                 (order.creation_context().clone(), record)
    ///             });
    ///             for result in producer.send_batch_with_contexts(bills, Duration::from_secs(5)).await {
    ///                 result.map_err(|(error, _)| error)?;
    ///             }
    ///             Ok(())
    ///         })
    ///         .await
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`send_batch`](Self::send_batch).
    ///
    /// # Cancel safety
    ///
    /// As for [`send_batch`](Self::send_batch).
    pub fn send_batch_with_contexts<'a, K, V, T>(
        &self,
        records: impl IntoIterator<Item = (Context, FutureRecord<'a, K, V>)>,
        queue_timeout: T,
    ) -> impl Future<Output = Vec<OwnedDeliveryResult>>
    where
        K: ToBytes + ?Sized + 'a,
        V: ToBytes + ?Sized + 'a,
        T: Into<Timeout>,
    {
        let (contexts, records) = records.into_iter().unzip();
        let called = current();
        self.send_together(called, records, Some(contexts), queue_timeout.into())
    }

    async fn send_together<K, V>(
        &self,
        called: Context,
        mut records: Vec<FutureRecord<'_, K, V>>,
        own: Option<Vec<Context>>,
        queue_timeout: Timeout,
    ) -> Vec<OwnedDeliveryResult>
    where
        K: ToBytes + ?Sized,
        V: ToBytes + ?Sized,
    {
        self.info.learn_cluster_id(self.client.client());
        let contexts = Contexts::new(ambient(called), own);
        let mut batch = SendingRecords::start(&self.info, contexts, &mut records);
        let mut results = Vec::with_capacity(records.len());
        for (index, record) in records.into_iter().enumerate() {
            results.push(match self.queue(record, queue_timeout).await {
                Ok(delivery) => {
                    batch.sending.handed_over(index);
                    batch.awaited.push_back((index, delivery));
                    None
                }
                Err(refused) => Some(batch.end(index, Err(refused))),
            });
        }
        while let Some((index, delivery)) = batch.awaited.front_mut() {
            let (index, report) = (*index, reported(delivery).await);
            batch.awaited.pop_front();
            let result = batch.end(index, report);
            if let Some(place) = results.get_mut(index) {
                *place = Some(result);
            }
        }
        self.info.learn_cluster_id(self.client.client());
        results.into_iter().flatten().collect()
    }
}

/// Records that are sent together. Dropped, their span ends.
struct SendingRecords {
    info: Arc<ClientInfo>,
    sending: SendingBatch,
    /// Records that are queued and not reported, by their place among all.
    awaited: VecDeque<(usize, DeliveryFuture)>,
    /// What each record was given, until it comes back.
    given: Vec<Given>,
}

impl SendingRecords {
    /// Starts the spans and gives each record its context.
    fn start<K, V>(
        info: &Arc<ClientInfo>,
        contexts: Contexts,
        records: &mut [FutureRecord<'_, K, V>],
    ) -> Self
    where
        K: ToBytes + ?Sized,
        V: ToBytes + ?Sized,
    {
        let messages = records.iter_mut().map(|record| outgoing(info, record));
        let mut messages: Vec<_> = messages.collect();
        let sending = SendingBatch::start(&info.client, "send", contexts, &mut messages);
        let given = records.iter_mut().zip(messages).map(|(record, message)| {
            let (sent, given) = message.into_headers();
            record.headers = sent;
            given
        });
        Self {
            info: Arc::clone(info),
            given: given.collect(),
            awaited: VecDeque::new(),
            sending,
        }
    }

    /// Counts what became of a record, and gives one that comes back the headers that it had.
    fn end(&mut self, index: usize, result: OwnedDeliveryResult) -> OwnedDeliveryResult {
        let given = self.given.get_mut(index).map(mem::take);
        let given = given.unwrap_or_default();
        match result {
            Ok(delivery) => {
                let at = offset_told(&self.info, delivery.offset);
                self.sending.record_of(index, at, |_| None);
                self.sending.delivered(index, Some(delivery.partition));
                Ok(delivery)
            }
            Err((error, mut message)) => {
                if is_for_size(&error) {
                    self.sending.refused_for_size(index);
                }
                let error_type = error_type(&error).into();
                self.sending
                    .failed(index, error_type, || ErrorDetails::from_error(&error));
                let headers = given.restored(message.detach_headers());
                Err((error, message.replace_headers(headers)))
            }
        }
    }
}

impl Drop for SendingRecords {
    fn drop(&mut self) {
        // Whose turn had not come may be reported all the same; nobody else will ask.
        let mut task = task::Context::from_waker(Waker::noop());
        for (index, mut delivery) in mem::take(&mut self.awaited) {
            if let Poll::Ready(Ok(report)) = Pin::new(&mut delivery).poll(&mut task) {
                // The record goes to nobody.
                let _ = self.end(index, report);
            }
        }
        // Last, since a new client learns it with its first record.
        self.sending.record(|| self.info.cluster_id());
    }
}
