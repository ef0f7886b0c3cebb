//! The acknowledgements of messages that are published under one call.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::error::Error;
use std::future::{self, poll_fn};
use std::pin::pin;
use std::task::{Poll, ready};
use std::time::Duration;

use async_nats::jetstream::context::{
    self as client, PublishError as JetStreamError, PublishErrorKind,
};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::publish::PublishAck;
use async_nats::message::OutboundMessage;
use tokio::time::timeout;

use crate::engine::sending::batch::SendingBatch;
use crate::nats::attributes::{duplicates, is_for_size, of_ack, of_jetstream_publish, sequence};
use crate::semconv::exception::ErrorDetails;

/// Longest time between two tries to hand a message over that there is no room for.
const PAUSE: Duration = Duration::from_millis(10);

type Ack = <client::PublishAckFuture as IntoFuture>::IntoFuture;

/// The acknowledgements of messages, in the order of these.
pub(super) struct Acks {
    sending: SendingBatch,
    awaited: VecDeque<Ack>,
    results: Vec<Result<PublishAck, JetStreamError>>,
    /// Whether a message has waited for room in the client for as long as the context allows.
    is_out_of_time: bool,
}

impl Acks {
    /// None yet, of so many messages.
    pub(super) fn of(messages: usize, sending: SendingBatch) -> Self {
        Self {
            sending,
            awaited: VecDeque::new(),
            results: Vec::with_capacity(messages),
            is_out_of_time: false,
        }
    }

    /// Hands a message over as soon as there is room for it. When one has waited in vain, those after
    /// it do not wait again: a batch of many would take as many times as long.
    pub(super) async fn publish(&mut self, client: &client::Context, message: OutboundMessage) {
        let headers = message.headers.unwrap_or_default();
        let publish = PublishMessage::build().payload(message.payload);
        let publish = publish.headers(headers);
        loop {
            // A context does not tell whether it refuses what it has no room for, and then the message
            // is gone. Of the copy the headers alone are more than a count.
            let publishing = client.send_publish(message.subject.clone(), publish.clone());
            if self.take_while(publishing).await {
                return;
            }
            self.wait_for_room().await;
        }
    }

    /// Hands a message over, and takes acknowledgements meanwhile: there may be room only when they
    /// are taken. `false` where the message was refused for want of room.
    async fn take_while(
        &mut self,
        publishing: impl Future<Output = Result<client::PublishAckFuture, JetStreamError>>,
    ) -> bool {
        let mut publishing = pin!(publishing);
        let mut is_polled = false;
        poll_fn(|task| {
            let mut published = publishing.as_mut().poll(task);
            if published.is_pending() && self.is_out_of_time {
                // The second time, for tokio lets a task that has done much wait for nothing.
                if is_polled {
                    let error = JetStreamError::new(PublishErrorKind::TimedOut);
                    published = Poll::Ready(Err(error));
                } else {
                    is_polled = true;
                    task.waker().wake_by_ref();
                }
            }
            let Poll::Ready(published) = published else {
                // Whether all are there or not, it is the message that is waited for.
                let _ = self.poll(task);
                return Poll::Pending;
            };
            let refused = published.as_ref().err();
            let is_full =
                refused.is_some_and(|error| error.kind() == PublishErrorKind::MaxAckPending);
            if !is_full {
                self.push(published, task);
            }
            Poll::Ready(!is_full)
        })
        .await
    }

    /// Waits until one more acknowledgement is taken, and no longer than for a while: others may have
    /// the room, and nobody tells when they are done.
    async fn wait_for_room(&mut self) {
        let before = self.results.len();
        let taken = poll_fn(|task| {
            let _ = self.poll(task);
            match self.results.len() > before {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        });
        // Either way it is time to try again.
        let _ = timeout(PAUSE, taken).await;
    }

    fn push(
        &mut self,
        published: Result<client::PublishAckFuture, JetStreamError>,
        task: &mut std::task::Context<'_>,
    ) {
        let ack: Ack = match published {
            Ok(ack) => {
                let index = self.results.len() + self.awaited.len();
                self.sending.handed_over(index);
                // Its time runs from when it is polled first, which shall not be when its turn comes.
                let mut ack = ack.into_future();
                match ack.as_mut().poll(task) {
                    Poll::Ready(result) => Box::pin(future::ready(result)),
                    Poll::Pending => ack,
                }
            }
            Err(error) => {
                self.is_out_of_time |= error.kind() == PublishErrorKind::TimedOut;
                Box::pin(future::ready(Err(error)))
            }
        };
        self.awaited.push_back(ack);
    }

    /// Takes what is there, in the order of the messages; ready when nothing is awaited.
    pub(super) fn poll(&mut self, task: &mut std::task::Context<'_>) -> Poll<()> {
        while let Some(ack) = self.awaited.front_mut() {
            let result = ready!(ack.as_mut().poll(task));
            self.awaited.pop_front();
            let index = self.results.len();
            match &result {
                Ok(ack) => {
                    self.sending
                        .record_of(index, sequence(ack.sequence), |_| of_ack(ack));
                    self.sending.delivered(index, None);
                }
                Err(error) => {
                    let error_type = of_jetstream_publish(error);
                    fail(&mut self.sending, index, error_type, error);
                }
            }
            self.results.push(result);
        }
        Poll::Ready(())
    }

    pub(super) fn results(self) -> Vec<Result<PublishAck, JetStreamError>> {
        self.sending.record(|| duplicates(&self.results));
        self.results
    }
}

/// Counts a message that failed.
pub(super) fn fail(
    sending: &mut SendingBatch,
    index: usize,
    error_type: Cow<'static, str>,
    error: &(impl Error + 'static),
) {
    if is_for_size(&error_type) {
        sending.refused_for_size(index);
    }
    sending.failed(index, error_type, || ErrorDetails::from_error(error));
}
