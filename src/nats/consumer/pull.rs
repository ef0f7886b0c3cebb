//! Builders for requests of a pull consumer, with the settings of the client's own.
//!
//! Meaning and default of a setting are those of the client.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::StreamError;
use async_nats::jetstream::consumer::pull::{self, BatchError};

use super::{Messages, unless_failed};
use crate::engine::received::sealed::MessageSource as _;
use crate::nats::attributes::ConsumerInfo;

/// A builder of the client's with the same settings, which the client has no trait for.
macro_rules! builder {
    (
        $(#[$doc:meta])*
        $builder:ident, $max_bytes:ident, $max_messages:ident, $stream:ty, $error:ty,
        $asks_at_once:literal
    ) => {
        $(#[$doc])*
        #[must_use = "builders do nothing unless asked for messages"]
        pub struct $builder<'a> {
            builder: pull::$builder<'a>,
            info: &'a Arc<ConsumerInfo>,
        }

        impl<'a> $builder<'a> {
            pub(super) const fn new(
                builder: pull::$builder<'a>,
                info: &'a Arc<ConsumerInfo>,
            ) -> Self {
                Self { builder, info }
            }

            /// Sets the most bytes of the messages of one request.
            pub fn $max_bytes(mut self, bytes: usize) -> Self {
                self.builder = self.builder.$max_bytes(bytes);
                self
            }

            /// Sets the most messages of one request.
            pub fn $max_messages(mut self, messages: usize) -> Self {
                self.builder = self.builder.$max_messages(messages);
                self
            }

            /// Sets the interval at which the server confirms that it is alive while it has no
            /// messages.
            pub fn heartbeat(mut self, heartbeat: Duration) -> Self {
                self.builder = self.builder.heartbeat(heartbeat);
                self
            }

            /// Sets how long the server keeps a request that it cannot fulfil.
            pub fn expires(mut self, expires: Duration) -> Self {
                self.builder = self.builder.expires(expires);
                self
            }

            /// Sets how many messages have to be pending for this consumer to get any, in a
            /// priority group.
            pub fn min_pending(mut self, messages: usize) -> Self {
                self.builder = self.builder.min_pending(messages);
                self
            }

            /// Sets how many messages have to be unacknowledged for this consumer to get any, in a
            /// priority group.
            pub fn min_ack_pending(mut self, messages: usize) -> Self {
                self.builder = self.builder.min_ack_pending(messages);
                self
            }

            /// Sets the priority group of the consumer.
            pub fn group<G: Into<String>>(mut self, group: G) -> Self {
                self.builder = self.builder.group(group);
                self
            }

            /// Requests the messages.
            ///
            /// # Errors
            ///
            /// The error of the method `messages` of the client's own builder.
            pub async fn messages(self) -> Result<Messages<$stream>, $error> {
                let since = self.info.wait().filter(|_| $asks_at_once);
                let stream = self.builder.messages().await;
                let stream = unless_failed(stream, &**self.info, since)?;
                Ok(Messages::new(stream, Arc::clone(self.info)))
            }
        }

        impl fmt::Debug for $builder<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($builder)).finish_non_exhaustive()
            }
        }
    };
}

builder!(
    /// All messages, as from [`pull::StreamBuilder`]. Made by
    /// [`Consumer::stream`](crate::nats::jetstream::Consumer).
    StreamBuilder, max_bytes_per_batch, max_messages_per_batch, pull::Stream, StreamError, false
);

builder!(
    /// The messages that are available, as from [`pull::FetchBuilder`]. Made by
    /// [`Consumer::fetch`](crate::nats::jetstream::Consumer).
    FetchBuilder, max_bytes, max_messages, pull::Batch, BatchError, true
);

builder!(
    /// A number of messages, as from [`pull::BatchBuilder`]. Made by
    /// [`Consumer::batch`](crate::nats::jetstream::Consumer).
    BatchBuilder, max_bytes, max_messages, pull::Batch, BatchError, true
);
