//! What the engine asks of a received message and of its source, and nobody else can give.

use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::KeyValue;

use crate::engine::client::Client;
use crate::engine::destination::Destination;
use crate::engine::propagation::Headers;
use crate::policy::Rule;
use crate::telemetry::Moment;

/// Where a wrapped consumer takes its messages from.
#[expect(
    private_interfaces,
    unnameable_types,
    reason = "nobody else is to implement or call it"
)]
pub trait MessageSource {
    /// The client that receives.
    fn client(&self) -> &Arc<Client>;
    /// The system's verb for receiving.
    fn receive_name(&self) -> &'static str;
    /// Where all its messages come from, as far as that is known without one: one destination, or what
    /// stands for several.
    fn common_destination(&self) -> Option<Arc<Destination>> {
        None
    }
    /// The partition that all its messages come from, where it is one.
    fn partition(&self) -> Option<i32> {
        None
    }
    /// What only this system says of it, for a span that is about none of its messages.
    fn attributes(&self) -> Option<KeyValue> {
        None
    }
    /// The begin of a wait for a message, where receiving may have a span.
    fn wait(&self) -> Option<Moment> {
        self.client().telemetry.begin_of_wait()
    }
}

/// What the engine asks of a received message.
#[expect(
    private_bounds,
    private_interfaces,
    unnameable_types,
    reason = "nobody else is to implement or call it"
)]
pub trait ConsumedMessage {
    /// What is known of where it came from.
    type Source: MessageSource;
    /// Its headers.
    type Headers: Headers;

    /// Where it came from.
    fn destination(&self, source: &Self::Source) -> Arc<Destination>;
    /// Where it came from together with others that are not quite from there, named without what is
    /// its own; that is more and more, until there is nothing that could be left out.
    fn destination_without(
        &self,
        source: &Self::Source,
        left_out: usize,
    ) -> Option<Arc<Destination>> {
        let _ = (source, left_out);
        None
    }
    /// The partition, where the system has such.
    fn partition(&self) -> Option<i32> {
        None
    }
    /// Its headers, if it has any.
    fn headers(&self) -> Option<&Self::Headers>;
    /// When it was sent, by the broker's clock or the producer's.
    fn sent_at(&self) -> Option<SystemTime> {
        None
    }
    /// Whether the broker says that it has delivered it before.
    fn is_redelivered(&self) -> bool {
        false
    }
    /// Whether it is no message, but what the broker says of one.
    fn is_status(&self) -> bool {
        false
    }
    /// Whether it was read out of a store: the context of its writer is linked, never continued.
    fn is_stored(&self) -> bool {
        false
    }
    /// Its number where it is from, for a span that is recorded: that of another message is the same
    /// only by chance.
    fn number(&self) -> Option<KeyValue> {
        None
    }
    /// What else only this system says of it, for a span that is recorded; it sets it by this function.
    fn attributes(&self, source: &Self::Source, rule: &Rule, set: &mut dyn FnMut(KeyValue));
}
