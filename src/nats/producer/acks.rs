//! The acknowledgements of messages that are published under one call.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::error::Error;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use async_nats::jetstream::context::traits::TimeoutProvider as _;
use async_nats::jetstream::context::{
    self as client, PublishError as JetStreamError, PublishErrorKind,
};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::publish::PublishAck;
use async_nats::message::OutboundMessage;
use tokio::time::{Instant, Interval, interval_at, timeout};

use crate::engine::sending::batch::SendingBatch;
use crate::nats::attributes::{duplicates, is_for_size, of_ack, of_jetstream_publish, sequence};
use crate::semconv::exception::ErrorDetails;

/// Longest time between two tries to hand a message over that there is no room for, and between two
/// looks at all acknowledgements while the first of them is missing.
const PAUSE: Duration = Duration::from_millis(10);

type Published<T> = Result<T, JetStreamError>;

/// The acknowledgement of a message. None tells that it is there: it is looked at.
enum Ack {
    Awaited(<client::PublishAckFuture as IntoFuture>::IntoFuture),
    Ended(Published<PublishAck>),
}

impl Ack {
    /// Whether it has ended at this look, by what the server said.
    fn arrives(&mut self, task: &mut std::task::Context<'_>) -> bool {
        let Self::Awaited(ack) = self else {
            return false;
        };
        let Poll::Ready(result) = ack.as_mut().poll(task) else {
            return false;
        };
        let is_heard = !is_timed_out(&result);
        *self = Self::Ended(result);
        is_heard
    }
}

fn is_timed_out<T>(result: &Published<T>) -> bool {
    matches!(result, Err(error) if error.kind() == PublishErrorKind::TimedOut)
}

fn timed_out<T>() -> Published<T> {
    Err(JetStreamError::new(PublishErrorKind::TimedOut))
}

/// The acknowledgements of messages, in the order of these. They run out of time together, when none
/// arrives any more.
pub(super) struct Acks {
    sending: SendingBatch,
    awaited: VecDeque<Ack>,
    results: Vec<Published<PublishAck>>,
    timeout: Duration,
    /// For how long no acknowledgement has arrived and no message was handed over. Counted in looks: a
    /// task that did not run for long has not looked.
    silence: Duration,
    looks: Option<Interval>,
    /// Whether messages have waited in vain for as long as the context allows.
    is_out_of_time: bool,
}

impl Acks {
    /// Hands messages over, each as soon as there is room for it, and takes their acknowledgements.
    pub(super) async fn of_published(
        client: &client::Context,
        messages: Vec<OutboundMessage>,
        sending: SendingBatch,
    ) -> Vec<Published<PublishAck>> {
        let mut acks = Self {
            sending,
            awaited: VecDeque::new(),
            results: Vec::with_capacity(messages.len()),
            timeout: client.timeout(),
            silence: Duration::ZERO,
            looks: None,
            is_out_of_time: false,
        };
        // The client's own time for an acknowledgement runs from the first look at it. The last ones of
        // a slow stream would be out of time when looked at early, and when looked at late keep their
        // room for as long as one before them is missing.
        let mut patient = client.clone();
        patient.set_timeout(Duration::MAX);
        for message in messages {
            acks.hand_over(client, &patient, message).await;
        }
        poll_fn(|task| acks.poll(task)).await;
        acks.sending.record(|| duplicates(&acks.results));
        acks.results
    }

    /// When one message has waited in vain, those after it do not wait again: a batch of many would
    /// take as many times as long.
    async fn hand_over(
        &mut self,
        client: &client::Context,
        patient: &client::Context,
        message: OutboundMessage,
    ) {
        let headers = message.headers.unwrap_or_default();
        let publish = PublishMessage::build().payload(message.payload);
        let publish = publish.headers(headers);
        loop {
            // While none is awaited, only the client knows whether it waits for others, who have the
            // room, or for the connection, for which its time is limited. So is that of the
            // acknowledgement then, as of a message that is published alone.
            let is_alone = self.awaited.is_empty();
            let context = if is_alone { client } else { patient };
            // A context does not tell whether it refuses what it has no room for, and then the message
            // is gone. Of the copy the headers alone are more than a count.
            let publishing = context.send_publish(message.subject.clone(), publish.clone());
            match self.take_while(publishing, is_alone).await {
                None => (),
                Some(Err(error)) if error.kind() == PublishErrorKind::MaxAckPending => {
                    if self.is_out_of_time {
                        return self.push(timed_out());
                    }
                    self.wait_for_room().await;
                }
                Some(published) => return self.push(published),
            }
        }
    }

    /// Takes acknowledgements while a message is handed over: there may be room only when they are
    /// taken. `None` where none is awaited any more, and the message still waits.
    async fn take_while<T>(
        &mut self,
        publishing: impl Future<Output = Published<T>>,
        is_alone: bool,
    ) -> Option<Published<T>> {
        let mut publishing = pin!(publishing);
        let mut is_last = false;
        poll_fn(|task| {
            if let Poll::Ready(published) = publishing.as_mut().poll(task) {
                return Poll::Ready(Some(published));
            }
            let are_all_there = self.poll(task).is_ready();
            if !self.is_out_of_time && (is_alone || !are_all_there) {
                is_last = false;
                return Poll::Pending;
            }
            // Once more: there may be room now, and tokio lets a task that has done much wait for
            // nothing.
            if !is_last {
                is_last = true;
                task.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(self.is_out_of_time.then(timed_out))
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

    fn push(&mut self, published: Published<client::PublishAckFuture>) {
        self.is_out_of_time |= is_timed_out(&published);
        self.awaited.push_back(match published {
            Ok(ack) => {
                let index = self.results.len() + self.awaited.len();
                self.sending.handed_over(index);
                self.silence = Duration::ZERO;
                Ack::Awaited(ack.into_future())
            }
            Err(error) => Ack::Ended(Err(error)),
        });
    }

    /// Takes what is there, in the order of the messages; ready when nothing is awaited.
    fn poll(&mut self, task: &mut std::task::Context<'_>) -> Poll<()> {
        let mut taken = self.take(task);
        while taken.is_pending() && self.is_time_to_look(task) {
            self.look(task);
            taken = self.take(task);
        }
        taken
    }

    fn take(&mut self, task: &mut std::task::Context<'_>) -> Poll<()> {
        let mut is_heard = false;
        let taken = loop {
            let Some(first) = self.awaited.front_mut() else {
                break Poll::Ready(());
            };
            is_heard |= first.arrives(task);
            if matches!(first, Ack::Awaited(_)) {
                break Poll::Pending;
            }
            if let Some(Ack::Ended(result)) = self.awaited.pop_front() {
                self.count(result);
            }
        };
        if is_heard {
            self.hear();
        }
        taken
    }

    fn is_time_to_look(&mut self, task: &mut std::task::Context<'_>) -> bool {
        let looks = || interval_at(Instant::now() + PAUSE, PAUSE);
        let looks = self.looks.get_or_insert_with(looks);
        let is_time = looks.poll_tick(task).is_ready();
        if is_time {
            looks.reset();
        }
        is_time
    }

    /// Looks at all: what has arrived gives its room up. Not done whenever one arrives, which would take
    /// a batch of many as many times as long.
    fn look(&mut self, task: &mut std::task::Context<'_>) {
        let mut is_heard = false;
        for ack in &mut self.awaited {
            is_heard |= ack.arrives(task);
        }
        if is_heard {
            return self.hear();
        }
        self.silence += PAUSE;
        if self.silence > self.timeout {
            self.is_out_of_time = true;
            for ack in &mut self.awaited {
                if matches!(ack, Ack::Awaited(_)) {
                    *ack = Ack::Ended(timed_out());
                }
            }
        }
    }

    fn hear(&mut self) {
        self.is_out_of_time = false;
        self.silence = Duration::ZERO;
        if let Some(looks) = &mut self.looks {
            looks.reset();
        }
    }

    fn count(&mut self, result: Published<PublishAck>) {
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
