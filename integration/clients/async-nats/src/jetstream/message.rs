//! Messages.

pub use bare::jetstream::message::*;

use std::fmt::Display;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::Stream;
use otel_messaging::{Received, nats};

use nats::Deliveries;

/// A message that is acknowledged by the wrapper.
#[derive(Debug)]
pub struct Message(Received<bare::jetstream::Message>);

impl Message {
    /// As the client's.
    #[must_use]
    pub fn split(self) -> (bare::Message, Acker) {
        self.0.into_inner().split()
    }
}

impl Deref for Message {
    type Target = Received<bare::jetstream::Message>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// The wrapper's messages.
#[derive(Debug)]
pub struct Messages<S: Deliveries>(pub(super) nats::Messages<S>);

impl<S, E> Stream for Messages<S>
where
    S: Deliveries<Received = Result<Received<bare::jetstream::Message>, E>> + Unpin,
    E: Display + 'static,
{
    type Item = Result<Message, E>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(Pin::new(&mut self.0).poll_next(task));
        Poll::Ready(next.map(|item| item.map(Message)))
    }
}
