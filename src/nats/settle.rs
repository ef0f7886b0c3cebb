//! Acknowledging what a JetStream consumer delivered.

use async_nats::Error;
use async_nats::jetstream::{AckKind, Message};

use super::attributes::{message_id, of_settle, sequence, stream_name, why_not_settled};
use crate::engine::ambient::{ambient, current};
use crate::engine::received::Received;

impl Received<Message> {
    /// Acknowledges the message, as [`Message::ack`] does, in an `ack {subject}` span.
    ///
    /// The span is a child of the process span of the message, if there is or was one, else of the
    /// active span. It ends when the client has taken the acknowledgement; that the server received
    /// it is not confirmed.
    ///
    /// # Errors
    ///
    /// The error of [`Message::ack`].
    pub fn ack(&self) -> impl Future<Output = Result<(), Error>> {
        self.settled(verb(AckKind::Ack), (**self).ack())
    }

    /// Settles the message with this kind, as [`Message::ack_with`] does, in a span named after it:
    /// `ack`, `nak` or `term {subject}`. [`AckKind::Progress`] does not settle and has no span.
    ///
    /// # Errors
    ///
    /// The error of [`Message::ack_with`].
    pub fn ack_with(&self, kind: AckKind) -> impl Future<Output = Result<(), Error>> {
        self.settled(verb(kind), (**self).ack_with(kind))
    }

    /// Acknowledges the message and waits for the server's answer, as [`Message::double_ack`] does,
    /// in a `double_ack {subject}` span that ends with the answer.
    ///
    /// # Errors
    ///
    /// The error of [`Message::double_ack`]. On the span, `error.type` is `timeout` if there is no
    /// answer in time.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not take back an acknowledgement that is sent. The span ends with
    /// the status unset, because the outcome is unknown.
    pub fn double_ack(&self) -> impl Future<Output = Result<(), Error>> {
        self.settled(double_verb(AckKind::Ack), (**self).double_ack())
    }

    /// Settles the message with this kind and waits for the server's answer, as
    /// [`Message::double_ack_with`] does. Span and cancel safety are those of
    /// [`double_ack`](Self::double_ack), named after the kind.
    ///
    /// # Errors
    ///
    /// The error of [`Message::double_ack_with`].
    pub fn double_ack_with(&self, kind: AckKind) -> impl Future<Output = Result<(), Error>> {
        self.settled(double_verb(kind), (**self).double_ack_with(kind))
    }

    fn settled(
        &self,
        operation_name: Option<&'static str>,
        settling: impl Future<Output = Result<(), Error>>,
    ) -> impl Future<Output = Result<(), Error>> {
        let called = current();
        async move {
            let ambient = ambient(called);
            let started = operation_name
                .filter(|_| !ambient.is_telemetry_suppressed())
                .map(|name| self.start_settle(name, &ambient));
            if let Some(started) = &started {
                started.record(|| {
                    let place = self.info().into_iter().flat_map(|info| {
                        let stream = [stream_name(info.stream)].into_iter();
                        stream.chain(sequence(info.stream_sequence))
                    });
                    place.chain(message_id(self.headers.as_ref()))
                });
            }
            let result = settling.await;
            if let (Some(mut started), Err(error)) = (started, &result) {
                started.fail(of_settle(error), || why_not_settled(error));
            }
            result
        }
    }
}

/// What settling is called; `None` where nothing is settled.
const fn verb(kind: AckKind) -> Option<&'static str> {
    match kind {
        AckKind::Ack | AckKind::Next => Some("ack"),
        AckKind::Nak(_) => Some("nak"),
        AckKind::Term => Some("term"),
        AckKind::Progress => None,
    }
}

/// The same where the server answers.
const fn double_verb(kind: AckKind) -> Option<&'static str> {
    match kind {
        AckKind::Ack | AckKind::Next => Some("double_ack"),
        AckKind::Nak(_) => Some("double_nak"),
        AckKind::Term => Some("double_term"),
        AckKind::Progress => None,
    }
}
