//! The ways to ask a pull consumer for messages, set up as the client's own.
//!
//! What a setting means and what holds where it is unset is the client's affair.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::StreamError;
use async_nats::jetstream::consumer::pull::{self, BatchError};

use super::Messages;
use crate::nats::envelope::ConsumerInfo;

/// All messages, as [`pull::StreamBuilder`] asks for them.
#[must_use = "builders do nothing unless asked for messages"]
pub struct StreamBuilder<'a> {
    builder: pull::StreamBuilder<'a>,
    info: &'a Arc<ConsumerInfo>,
}

impl<'a> StreamBuilder<'a> {
    pub(super) const fn new(builder: pull::StreamBuilder<'a>, info: &'a Arc<ConsumerInfo>) -> Self {
        Self { builder, info }
    }

    /// Most bytes of the messages of one request.
    pub fn max_bytes_per_batch(mut self, bytes: usize) -> Self {
        self.builder = self.builder.max_bytes_per_batch(bytes);
        self
    }

    /// Most messages of one request.
    pub fn max_messages_per_batch(mut self, messages: usize) -> Self {
        self.builder = self.builder.max_messages_per_batch(messages);
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

    /// Takes part only where so many messages wait, for consumers of a group with priorities.
    pub fn min_pending(mut self, messages: usize) -> Self {
        self.builder = self.builder.min_pending(messages);
        self
    }

    /// Takes part only where so many messages are unacknowledged, for consumers of a group with priorities.
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
    pub async fn messages(self) -> Result<Messages<pull::Stream>, StreamError> {
        let stream = self.builder.messages().await?;
        Ok(Messages::new(stream, Arc::clone(self.info)))
    }
}

impl fmt::Debug for StreamBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamBuilder").finish_non_exhaustive()
    }
}

/// The messages that there are, as [`pull::FetchBuilder`] asks for them.
#[must_use = "builders do nothing unless asked for messages"]
pub struct FetchBuilder<'a> {
    builder: pull::FetchBuilder<'a>,
    info: &'a Arc<ConsumerInfo>,
}

impl<'a> FetchBuilder<'a> {
    pub(super) const fn new(builder: pull::FetchBuilder<'a>, info: &'a Arc<ConsumerInfo>) -> Self {
        Self { builder, info }
    }

    /// Most bytes of all messages together.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.builder = self.builder.max_bytes(bytes);
        self
    }

    /// Most messages.
    pub fn max_messages(mut self, messages: usize) -> Self {
        self.builder = self.builder.max_messages(messages);
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

    /// Takes part only where so many messages wait, for consumers of a group with priorities.
    pub fn min_pending(mut self, messages: usize) -> Self {
        self.builder = self.builder.min_pending(messages);
        self
    }

    /// Takes part only where so many messages are unacknowledged, for consumers of a group with priorities.
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
    pub async fn messages(self) -> Result<Messages<pull::Batch>, BatchError> {
        let stream = self.builder.messages().await?;
        Ok(Messages::new(stream, Arc::clone(self.info)))
    }
}

impl fmt::Debug for FetchBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchBuilder").finish_non_exhaustive()
    }
}

/// Some messages, waited for, as [`pull::BatchBuilder`] asks for them.
#[must_use = "builders do nothing unless asked for messages"]
pub struct BatchBuilder<'a> {
    builder: pull::BatchBuilder<'a>,
    info: &'a Arc<ConsumerInfo>,
}

impl<'a> BatchBuilder<'a> {
    pub(super) const fn new(builder: pull::BatchBuilder<'a>, info: &'a Arc<ConsumerInfo>) -> Self {
        Self { builder, info }
    }

    /// Most bytes of all messages together.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.builder = self.builder.max_bytes(bytes);
        self
    }

    /// Most messages.
    pub fn max_messages(mut self, messages: usize) -> Self {
        self.builder = self.builder.max_messages(messages);
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

    /// Takes part only where so many messages wait, for consumers of a group with priorities.
    pub fn min_pending(mut self, messages: usize) -> Self {
        self.builder = self.builder.min_pending(messages);
        self
    }

    /// Takes part only where so many messages are unacknowledged, for consumers of a group with priorities.
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
    pub async fn messages(self) -> Result<Messages<pull::Batch>, BatchError> {
        let stream = self.builder.messages().await?;
        Ok(Messages::new(stream, Arc::clone(self.info)))
    }
}

impl fmt::Debug for BatchBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchBuilder").finish_non_exhaustive()
    }
}
