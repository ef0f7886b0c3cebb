//! The ways to ask a pull consumer for messages, set up as the client's own.
//!
//! What a setting means and what holds where it is unset is the client's affair.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::StreamError;
use async_nats::jetstream::consumer::pull::{self, BatchError};

use super::Messages;
use crate::nats::attributes::ConsumerInfo;

/// A builder of the client's with the same settings, which the client has no trait for.
macro_rules! builder {
    (
        $(#[$doc:meta])*
        $builder:ident, $max_bytes:ident, $max_messages:ident, $stream:ty, $error:ty
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

            /// Most bytes of the messages of one request.
            pub fn $max_bytes(mut self, bytes: usize) -> Self {
                self.builder = self.builder.$max_bytes(bytes);
                self
            }

            /// Most messages of one request.
            pub fn $max_messages(mut self, messages: usize) -> Self {
                self.builder = self.builder.$max_messages(messages);
                self
            }

            /// How often the server says that it is there while it has no message.
            pub fn heartbeat(mut self, heartbeat: Duration) -> Self {
                self.builder = self.builder.heartbeat(heartbeat);
                self
            }

            /// How long the server keeps a request that it cannot fill.
            pub fn expires(mut self, expires: Duration) -> Self {
                self.builder = self.builder.expires(expires);
                self
            }

            /// Takes part only where so many messages wait, for consumers of a group with
            /// priorities.
            pub fn min_pending(mut self, messages: usize) -> Self {
                self.builder = self.builder.min_pending(messages);
                self
            }

            /// Takes part only where so many messages are unacknowledged, for consumers of a group
            /// with priorities.
            pub fn min_ack_pending(mut self, messages: usize) -> Self {
                self.builder = self.builder.min_ack_pending(messages);
                self
            }

            /// The group with priorities that the consumer takes part in.
            pub fn group<G: Into<String>>(mut self, group: G) -> Self {
                self.builder = self.builder.group(group);
                self
            }

            /// Asks for the messages.
            ///
            /// # Errors
            ///
            /// The client's own error, as it came.
            pub async fn messages(self) -> Result<Messages<$stream>, $error> {
                let stream = self.builder.messages().await?;
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
    /// All messages, as [`pull::StreamBuilder`] asks for them.
    StreamBuilder, max_bytes_per_batch, max_messages_per_batch, pull::Stream, StreamError
);

builder!(
    /// The messages that there are, as [`pull::FetchBuilder`] asks for them.
    FetchBuilder, max_bytes, max_messages, pull::Batch, BatchError
);

builder!(
    /// Some messages, waited for, as [`pull::BatchBuilder`] asks for them.
    BatchBuilder, max_bytes, max_messages, pull::Batch, BatchError
);
