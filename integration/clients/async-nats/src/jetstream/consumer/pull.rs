//! Consumers that pull.

pub use bare::jetstream::consumer::pull::*;

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use otel_messaging::nats::jetstream;

use super::{Messages, PullConsumer, StreamError};

/// As the client's.
pub type Stream = Messages<bare::jetstream::consumer::pull::Stream>;
/// As the client's.
pub type Ordered = Messages<bare::jetstream::consumer::pull::Ordered>;
/// As the client's.
pub type Batch = Messages<bare::jetstream::consumer::pull::Batch>;

/// The wrapper's, and the client's for what the wrapper's does not have: it wraps what that one builds.
macro_rules! builder {
    ($builder:ident, $most:ident, $bytes:ident, $messages:ty, $error:ty) => {
        /// The wrapper's.
        #[expect(missing_debug_implementations, reason = "the client's has none")]
        pub struct $builder<'a> {
            consumer: &'a PullConsumer,
            wrapped: jetstream::$builder<'a>,
            bare: bare::jetstream::consumer::pull::$builder<'a>,
            is_bare: bool,
        }

        #[expect(missing_docs, reason = "the client has them")]
        #[expect(clippy::missing_errors_doc, reason = "the client has them")]
        impl<'a> $builder<'a> {
            pub(super) fn of(
                consumer: &'a PullConsumer,
                wrapped: jetstream::$builder<'a>,
                bare: bare::jetstream::consumer::pull::$builder<'a>,
            ) -> Self {
                Self {
                    consumer,
                    wrapped,
                    bare,
                    is_bare: false,
                }
            }

            builder!(@ $most(most: usize));
            builder!(@ $bytes(most: usize));
            builder!(@ expires(after: Duration));
            builder!(@ heartbeat(interval: Duration));
            builder!(@ group(name: &str));
            builder!(@ min_pending(least: usize));
            builder!(@ min_ack_pending(least: usize));

            pub async fn messages(self) -> Result<$messages, $error> {
                if self.is_bare {
                    let messages = self.bare.messages().await?;
                    return Ok(Messages(self.consumer.wrapped.messages_of(messages)));
                }
                self.wrapped.messages().await.map(Messages)
            }
        }
    };
    (@ $name:ident($argument:ident: $type:ty)) => {
        #[must_use]
        pub fn $name(mut self, $argument: $type) -> Self {
            self.bare = self.bare.$name($argument);
            self.wrapped = self.wrapped.$name($argument);
            self
        }
    };
}

builder!(
    StreamBuilder,
    max_messages_per_batch,
    max_bytes_per_batch,
    Stream,
    StreamError
);
builder!(FetchBuilder, max_messages, max_bytes, Batch, BatchError);
builder!(BatchBuilder, max_messages, max_bytes, Batch, BatchError);

/// The client's, for what the wrapper does not have.
macro_rules! with_priority {
    ($builder:ident) => {
        #[expect(missing_docs, reason = "the client has them")]
        impl $builder<'_> {
            #[must_use]
            pub fn priority(mut self, priority: usize) -> Self {
                self.bare = self.bare.priority(priority);
                self.is_bare = true;
                self
            }
        }
    };
}

with_priority!(StreamBuilder);
with_priority!(FetchBuilder);

/// The wrapper's.
#[derive(Debug)]
pub struct Sequence(pub(super) jetstream::Sequence);

impl futures::Stream for Sequence {
    type Item = Result<Batch, MessagesError>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(Pin::new(&mut self.0).poll_next(task));
        Poll::Ready(next.map(|item| item.map(Messages)))
    }
}
