//! What one rule can say of its destinations.

mod effective;

use std::time::Duration;

use super::choices::{Carried, Incoming, Parent, Record};
use super::pattern::{HeaderPattern, Pattern};

/// What holds for the destinations that a name or pattern stands for.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "policy-files",
    derive(serde::Deserialize),
    serde(deny_unknown_fields)
)]
#[must_use = "a rule does nothing unless it is part of a policy"]
pub struct Rule {
    destination: Pattern,
    record: Option<Record>,
    incoming: Option<Incoming>,
    redelivered: Option<Incoming>,
    parent: Option<Parent>,
    carried: Option<Carried>,
    #[cfg_attr(
        feature = "policy-files",
        serde(default, rename = "max_age_seconds", deserialize_with = "seconds")
    )]
    max_age: Option<Duration>,
    accept_baggage: Option<Vec<Pattern>>,
    send_baggage: Option<Vec<Pattern>>,
    max_message_bytes: Option<usize>,
    create_spans: Option<bool>,
    receive_spans: Option<bool>,
    settle_spans: Option<bool>,
    message_key: Option<bool>,
    capture_headers: Option<Vec<HeaderPattern>>,
    template: Option<String>,
    partition_on_metrics: Option<bool>,
    time_in_queue: Option<bool>,
    lag: Option<bool>,
    fan_back: Option<usize>,
    unregistered_attributes: Option<bool>,
}

impl Rule {
    /// A rule for a destination of this name, or for all that match this pattern.
    pub fn of(destination: &str) -> Self {
        Self {
            destination: Pattern::new(destination),
            record: None,
            incoming: None,
            redelivered: None,
            parent: None,
            carried: None,
            max_age: None,
            accept_baggage: None,
            send_baggage: None,
            max_message_bytes: None,
            create_spans: None,
            receive_spans: None,
            settle_spans: None,
            message_key: None,
            capture_headers: None,
            template: None,
            partition_on_metrics: None,
            time_in_queue: None,
            lag: None,
            fan_back: None,
            unregistered_attributes: None,
        }
    }

    /// Sets what is recorded. Unset: [`Record::Full`].
    pub const fn record(mut self, record: Record) -> Self {
        self.record = Some(record);
        self
    }

    /// Sets what becomes of a received context. Unset: [`Incoming::Continue`].
    pub const fn incoming(mut self, incoming: Incoming) -> Self {
        self.incoming = Some(incoming);
        self
    }

    /// Sets what becomes of the context of a message that the broker delivers not for the first
    /// time. Unset: the same as for the first.
    ///
    /// Kafka does not tell; there this has no effect.
    pub const fn redelivered(mut self, incoming: Incoming) -> Self {
        self.redelivered = Some(incoming);
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
    /// Spec: messaging-spans § Consumer spans, 1.45.0.
    pub const fn parent(mut self, parent: Parent) -> Self {
        self.parent = Some(parent);
        self
    }

    /// Sets what becomes of a context that a message to be sent carries already. Unset:
    /// [`Carried::Continue`].
    pub const fn carried(mut self, carried: Carried) -> Self {
        self.carried = Some(carried);
        self
    }

    /// Sets the age of a message from which on its context is linked to, not continued. Unset: no
    /// age is too old.
    ///
    /// The age is counted from the message's timestamp; a message without one is never too old.
    pub const fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Sets which members of a received message's baggage are accepted, by name or pattern. Unset: all.
    pub fn accept_baggage<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.accept_baggage = Some(patterns(names));
        self
    }

    /// Sets which members of baggage are sent, by name or pattern: of the current baggage and of what
    /// the message carries. Unset: all.
    pub fn send_baggage<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.send_baggage = Some(patterns(names));
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
        self.max_message_bytes = Some(bytes);
        self
    }

    /// Sets whether each message of a batch that is sent has a span of its own, whose context it
    /// carries. Unset: yes. If not, all carry that of the send span, but for those that carry a
    /// context already: where no span is active, they keep it.
    pub const fn create_spans(mut self, on: bool) -> Self {
        self.create_spans = Some(on);
        self
    }

    /// Sets whether receiving has a span and a measured duration. Unset: that of a batch has, that of
    /// a single message has not.
    pub const fn receive_spans(mut self, on: bool) -> Self {
        self.receive_spans = Some(on);
        self
    }

    /// Sets whether commits and acknowledgements have spans. Their metrics stay.
    ///
    /// Unset: those have that are about a known message, and others where a span is active; a commit
    /// of offsets that belongs to nothing would be a trace of its own.
    pub const fn settle_spans(mut self, on: bool) -> Self {
        self.settle_spans = Some(on);
        self
    }

    /// Sets whether a message's key is an attribute of its spans. Unset: yes.
    pub const fn message_key(mut self, on: bool) -> Self {
        self.message_key = Some(on);
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
        self.capture_headers = Some(patterns.collect());
        self
    }

    /// Sets what stands for the destination in span names and on metrics: a template such as
    /// `orders.{id}`, or a name of your own. Unset, or empty:
    /// its name.
    ///
    /// It is the attribute `messaging.destination.template`. Needed where names are many, for one
    /// destination an order or a user.
    pub fn template(mut self, template: impl Into<String>) -> Self {
        self.template = Some(template.into());
        self
    }

    /// Sets whether metrics tell the partition, which makes as many series as there are. Unset: no.
    pub const fn partition_on_metrics(mut self, on: bool) -> Self {
        self.partition_on_metrics = Some(on);
        self
    }

    /// Sets whether `otel_messaging.message.time_in_queue` is measured: the seconds from a message's
    /// timestamp to its delivery to the application. Unset: no.
    ///
    /// Where the sender's clock is ahead, it is 0, and `otel_messaging.clock.skews` counts.
    pub const fn time_in_queue(mut self, on: bool) -> Self {
        self.time_in_queue = Some(on);
        self
    }

    /// Sets whether `otel_messaging.consumer.lag` is measured: how many messages wait behind the one
    /// that is delivered, as far as the client knows. Unset: no.
    pub const fn lag(mut self, on: bool) -> Self {
        self.lag = Some(on);
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
        self.unregistered_attributes = Some(on);
        self
    }

    pub(super) fn names(&self, destination: &str) -> bool {
        self.destination.matches(destination)
    }

    /// Sets how many of the traces that a batch's messages come from get a span of their own, so that
    /// whoever opens one of them sees when its message was processed, and with which batch. Unset:
    /// none.
    ///
    /// It is a process span below the message's creation context, from the start to the end of the
    /// batch, and links to the batch's span. `otel_messaging.fan_back.left_out` on that one says how
    /// many traces were too many.
    pub const fn fan_back(mut self, traces: usize) -> Self {
        self.fan_back = Some(traces);
        self
    }

    pub(super) const fn has_receive_spans(&self) -> bool {
        matches!(self.receive_spans, Some(true))
    }

    /// Takes over what a later rule sets.
    pub(super) fn override_by(&mut self, later: &Self) {
        fn take<T: Clone>(mine: &mut Option<T>, later: &Option<T>) {
            if later.is_some() {
                mine.clone_from(later);
            }
        }
        take(&mut self.record, &later.record);
        take(&mut self.incoming, &later.incoming);
        take(&mut self.redelivered, &later.redelivered);
        take(&mut self.parent, &later.parent);
        take(&mut self.carried, &later.carried);
        take(&mut self.max_age, &later.max_age);
        take(&mut self.accept_baggage, &later.accept_baggage);
        take(&mut self.send_baggage, &later.send_baggage);
        take(&mut self.max_message_bytes, &later.max_message_bytes);
        take(&mut self.create_spans, &later.create_spans);
        take(&mut self.receive_spans, &later.receive_spans);
        take(&mut self.settle_spans, &later.settle_spans);
        take(&mut self.message_key, &later.message_key);
        take(&mut self.capture_headers, &later.capture_headers);
        take(&mut self.template, &later.template);
        take(&mut self.partition_on_metrics, &later.partition_on_metrics);
        take(&mut self.time_in_queue, &later.time_in_queue);
        take(&mut self.lag, &later.lag);
        take(&mut self.fan_back, &later.fan_back);
        take(
            &mut self.unregistered_attributes,
            &later.unregistered_attributes,
        );
    }
}

fn patterns<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Pattern> {
    names.into_iter().map(Pattern::new).collect()
}

#[cfg(feature = "policy-files")]
fn seconds<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    <u64 as serde::Deserialize>::deserialize(deserializer)
        .map(|seconds| Some(Duration::from_secs(seconds)))
}
