//! What one rule can say of its destinations.

mod effective;
mod settings;

use std::time::Duration;

pub(super) use self::settings::Settings;
use super::choices::{Carried, Incoming, Parent, Record};
use super::pattern::{HeaderPattern, Pattern};

/// What holds for the destinations that a name or pattern stands for.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a rule does nothing unless it is part of a policy"]
pub struct Rule(pub(super) Settings);

impl Rule {
    /// A rule for a destination of this name, or for all that match this pattern.
    pub fn of(destination: &str) -> Self {
        Self(Settings {
            destination: Pattern::new(destination),
            ..Settings::default()
        })
    }

    /// Sets what is recorded. Unset: [`Record::Full`].
    pub const fn record(mut self, record: Record) -> Self {
        self.0.record = Some(record);
        self
    }

    /// Sets what becomes of a received context. Unset: [`Incoming::Continue`].
    pub const fn incoming(mut self, incoming: Incoming) -> Self {
        self.0.incoming = Some(incoming);
        self
    }

    /// Sets what becomes of the context of a message that the broker delivers not for the first
    /// time. Unset: the same as for the first.
    ///
    /// Kafka does not tell; there this has no effect.
    pub const fn redelivered(mut self, incoming: Incoming) -> Self {
        self.0.redelivered = Some(incoming);
        self
    }

    /// Sets what a process span is a child of.
    ///
    /// Unset: of a span that was opened since the message was delivered to the application, as the
    /// conventions recommend, else of the message's creation context. A span that was active before
    /// (a loop's or a worker's, the client's own) is about no message: it is linked. A batch has no
    /// message for its parent; its span is a root then.
    ///
    /// Active before is what was active when the message was delivered, and what this client has met
    /// before that. A span that it meets for the first time when a message is processed counts as
    /// opened for that message.
    ///
    /// Spec: [messaging-spans § Consumer spans].
    ///
    /// [messaging-spans § Consumer spans]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-spans.md#consumer-spans
    pub const fn parent(mut self, parent: Parent) -> Self {
        self.0.parent = Some(parent);
        self
    }

    /// Sets what becomes of a context that a message to be sent carries already. Unset:
    /// [`Carried::Continue`].
    pub const fn carried(mut self, carried: Carried) -> Self {
        self.0.carried = Some(carried);
        self
    }

    /// Sets the age of a message from which on its context is linked to, not continued. Unset: no
    /// age is too old.
    ///
    /// The age is counted from the message's timestamp; a message without one is never too old.
    pub const fn max_age(mut self, age: Duration) -> Self {
        self.0.max_age = Some(age);
        self
    }

    /// Sets which members of a received message's baggage are accepted, by name or pattern. Unset: all.
    pub fn accept_baggage<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.0.accept_baggage = Some(patterns(names));
        self
    }

    /// Sets which members of baggage are sent, by name or pattern: of the current baggage and of what
    /// the message carries. Unset: all.
    pub fn send_baggage<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.0.send_baggage = Some(patterns(names));
        self
    }

    /// Sets how many bytes a message to this destination may have, headers included, where that is less
    /// than the client knows: Kafka's `max.message.bytes` of a topic, `max_msg_size` of a JetStream
    /// stream. Unset: what the client knows.
    ///
    /// A context that would make a message larger is left out and counted: baggage first, then
    /// tracestate, then all of it. Where the broker refuses a message for its size that our context
    /// has made larger, the problem `refused_for_size` is counted.
    pub const fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.0.max_message_bytes = Some(bytes);
        self
    }

    /// Sets whether each message of a batch that is sent has a span of its own, whose context it
    /// carries, and which says what became of it. Unset: yes. If not, all carry that of the send span,
    /// but for those that carry a context already: where no span is active, they keep it. Which message
    /// failed is seen by the results of the call alone then.
    pub const fn create_spans(mut self, on: bool) -> Self {
        self.0.create_spans = Some(on);
        self
    }

    /// Sets whether receiving has a span and a measured duration. Unset: that of a batch has, that of
    /// a single message has not.
    pub const fn receive_spans(mut self, on: bool) -> Self {
        self.0.receive_spans = Some(on);
        self
    }

    /// Sets whether commits and acknowledgements have spans. Their metrics stay.
    ///
    /// Unset: those have that are about a known message, and others where a span is active; a commit
    /// of offsets that belongs to nothing would be a trace of its own.
    pub const fn settle_spans(mut self, on: bool) -> Self {
        self.0.settle_spans = Some(on);
        self
    }

    /// Sets whether a message's key is an attribute of its spans. Unset: yes.
    pub const fn message_key(mut self, on: bool) -> Self {
        self.0.message_key = Some(on);
        self
    }

    /// Sets which headers of a message are attributes of its spans, by name or pattern, in any case.
    /// Unset: none.
    ///
    /// The attribute is `otel_messaging.header.{name}`, a list of texts, with the name in lower case; the
    /// conventions do not have it. Context headers are never captured, and no values that are not
    /// UTF-8. A span has at most 64 values, of at most 256 bytes each.
    pub fn capture_headers<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        let patterns = names.into_iter().map(HeaderPattern::new);
        self.0.capture_headers = Some(patterns.collect());
        self
    }

    /// Sets what stands for the destination in span names and on metrics: a template such as
    /// `orders.{id}`, or a name of your own. Unset, or empty:
    /// its name.
    ///
    /// It is the attribute `messaging.destination.template`. Needed where names are many, for one
    /// destination an order or a user.
    pub fn template(mut self, template: impl Into<String>) -> Self {
        self.0.template = Some(template.into());
        self
    }

    /// Sets whether metrics tell the partition, which makes as many series as there are. Unset: no.
    pub const fn partition_on_metrics(mut self, on: bool) -> Self {
        self.0.partition_on_metrics = Some(on);
        self
    }

    /// Sets whether `otel_messaging.message.time_in_queue` is measured: the seconds from a message's
    /// timestamp to its delivery to the application. Unset: no.
    ///
    /// Where the sender's clock is ahead, it is 0, and `otel_messaging.clock.skews` counts.
    pub const fn time_in_queue(mut self, on: bool) -> Self {
        self.0.time_in_queue = Some(on);
        self
    }

    /// Sets whether `otel_messaging.consumer.lag` is measured: how many messages wait behind the one
    /// that is delivered, as far as the client knows. Unset: no.
    pub const fn lag(mut self, on: bool) -> Self {
        self.0.lag = Some(on);
        self
    }

    /// Sets whether attributes that the conventions have no counterpart of are always there. Unset: only
    /// where they are out of the ordinary.
    ///
    /// | attribute | ordinary |
    /// |---|---|
    /// | [`DELIVERY_ATTEMPT`](crate::semconv::attributes::DELIVERY_ATTEMPT) | 1 |
    /// | `otel_messaging.rabbitmq.confirmation` | `ack` |
    pub const fn unregistered_attributes(mut self, on: bool) -> Self {
        self.0.unregistered_attributes = Some(on);
        self
    }

    /// Sets how many of the traces that a batch's messages come from get a span of their own, so that
    /// whoever opens one of them sees when its message was processed, and with which batch. Unset:
    /// none.
    ///
    /// It is a span `batch {destination}` of kind CONSUMER below the creation context of the trace's
    /// first message, from the start to the end of the batch, with the batch's error. It links to the
    /// batch's span, and to each of the trace's messages as far as the limit of links allows;
    /// `otel_messaging.fan_back.message_count` says how many these are. It is no operation of its own, so
    /// that nothing is measured for it. `otel_messaging.fan_back.left_out` on the batch's span says how many
    /// traces were too many.
    pub const fn fan_back(mut self, traces: usize) -> Self {
        self.0.fan_back = Some(traces);
        self
    }

    pub(super) fn names(&self, destination: &str) -> bool {
        self.0.destination.matches(destination)
    }

    pub(super) const fn has_receive_spans(&self) -> bool {
        matches!(self.0.receive_spans, Some(true))
    }

    /// Takes over what a later rule sets.
    pub(super) fn override_by(&mut self, later: &Self) {
        self.0.override_by(&later.0);
    }
}

fn patterns<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Pattern> {
    names.into_iter().map(Pattern::new).collect()
}
