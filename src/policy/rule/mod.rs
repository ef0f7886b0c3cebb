//! What a rule sets for its destinations.

mod effective;
mod settings;

use std::time::Duration;

pub(super) use self::settings::Settings;
use super::choices::{Carried, Incoming, Parent, Record};
use super::pattern::{HeaderPattern, Pattern};

/// Settings for the destinations of one name or pattern.
///
/// # Examples
///
/// Trust: a partner's contexts are linked and not continued, and their baggage is dropped.
///
/// ```
/// use std::time::Duration;
/// use otel_messaging::policy::{Incoming, Parent, Rule};
///
/// let partner = Rule::of("partner.*").incoming(Incoming::Restart).accept_baggage([]);
/// let retries = Rule::of("orders.retry")
///     .redelivered(Incoming::LinkOnly)
///     .max_age(Duration::from_secs(24 * 3600))
///     .parent(Parent::Message);
/// ```
///
/// Sending: what goes out with a message.
///
/// ```
/// use otel_messaging::policy::{Carried, Rule};
///
/// let export = Rule::of("export")
///     .carried(Carried::LinkOnly)
///     .send_baggage(["tenant", "shop.*"])
///     .max_message_bytes(64 * 1024);
/// ```
///
/// Spans: which operations have one.
///
/// ```
/// use otel_messaging::policy::{Record, Rule};
///
/// let health = Rule::of("*.health").record(Record::PropagateOnly);
/// let orders = Rule::of("orders")
///     .create_spans(false)
///     .receive_spans(true)
///     .settle_spans(false)
///     .fan_back(100);
/// ```
///
/// Names, attributes and metrics.
///
/// ```
/// use otel_messaging::policy::Rule;
///
/// let orders = Rule::of("orders.*")
///     .template("orders.{id}")
///     .message_key(false)
///     .capture_headers(["x-tenant"])
///     .baggage_on_spans(["tenant", "cohort"])
///     .baggage_on_metrics(["cohort"])
///     .unregistered_attributes(true)
///     .partition_on_metrics(true)
///     .time_in_queue(true)
///     .lag(true);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a rule does nothing unless it is part of a policy"]
pub struct Rule(pub(super) Settings);

impl Rule {
    /// A rule without settings for the destination of this name, or for those that match this
    /// pattern.
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

    /// Sets how a received context is used. Unset: [`Incoming::Continue`].
    pub const fn incoming(mut self, incoming: Incoming) -> Self {
        self.0.incoming = Some(incoming);
        self
    }

    /// Sets how the context of a message is used that is delivered again, where that trusts it less than
    /// [`incoming`](Self::incoming) does. Unset: as for the first delivery.
    ///
    /// Without effect on Kafka, whose messages do not show whether they were delivered before.
    pub const fn redelivered(mut self, incoming: Incoming) -> Self {
        self.0.redelivered = Some(incoming);
        self
    }

    /// Sets the parent of process spans.
    ///
    /// Unset: the active span, if it was opened since the message was delivered to the application,
    /// as the conventions recommend; else the message's creation context. A span that was active
    /// before, such as the span around a consumer loop, is not about the message and is only
    /// linked. A batch has no creation context of its own: its span is a root instead.
    ///
    /// A span was active before if it was active at the delivery, or if this client has seen it
    /// before the delivery. A span that the client first sees when a message is processed is taken
    /// as opened for that message.
    ///
    /// Spec: [messaging-spans § Consumer spans].
    ///
    /// [messaging-spans § Consumer spans]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-spans.md#consumer-spans
    pub const fn parent(mut self, parent: Parent) -> Self {
        self.0.parent = Some(parent);
        self
    }

    /// Sets how a context is used that a message already carries when it is sent. Unset:
    /// [`Carried::Continue`].
    pub const fn carried(mut self, carried: Carried) -> Self {
        self.0.carried = Some(carried);
        self
    }

    /// Sets the age up to which a message's context is continued; the context of an older message
    /// is linked. Unset: no limit.
    ///
    /// The age is measured from the message's timestamp. A message without one has no age.
    pub const fn max_age(mut self, age: Duration) -> Self {
        self.0.max_age = Some(age);
        self
    }

    /// Sets which members of received baggage are accepted, by name or pattern. Unset: all. Without effect where
    /// [`incoming`](Self::incoming) is `Restart` or `Ignore`: then none is.
    pub fn accept_baggage<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.0.accept_baggage = Some(patterns(names));
        self
    }

    /// Sets which members of baggage are sent, by name or pattern, both of the ambient baggage and
    /// of what the message already carries. Unset: all.
    pub fn send_baggage<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.0.send_baggage = Some(patterns(names));
        self
    }

    /// Sets which members of baggage are attributes of spans, by name or pattern: of the accepted
    /// baggage of a received message, and of the baggage that is sent with one. Unset: none.
    ///
    /// The key of the attribute is the name of the member. Spans of creating, sending, receiving,
    /// processing and settling have it from their start, so that samplers may decide by it. What all
    /// messages of a batch have in common is on its span once that is recorded, what differs is on
    /// the links. A span has at most 32 members, with values of at most 256 bytes, in which control
    /// characters are escaped. Baggage that is left out of a message for its size is shown all the
    /// same.
    ///
    /// Left out are members whose names are longer than 256 bytes or have control characters, and
    /// those in a namespace of this crate's own attributes, of resources or of OpenTelemetry:
    /// `messaging`, `otel_messaging`, `kafka`, `rabbitmq`, `nats`, `server`, `error`, `exception`,
    /// `otel`, `service`, `telemetry`.
    pub fn baggage_on_spans<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.0.baggage_on_spans = Some(patterns(names));
        self
    }

    /// Sets which members of baggage are attributes of metrics, as
    /// [`baggage_on_spans`](Self::baggage_on_spans) says for spans. Unset: none.
    ///
    /// The counters of messages, the durations and the time in queue have them; those of a batch
    /// have what all its messages have in common. It costs a series of each metric for each
    /// combination of values, and for each message a look-up of its combination. Name members of few
    /// values, such as a cohort: ids of users or of orders make a series each.
    ///
    /// A metric has at most 8 members. A client uses at most as many combinations of values as
    /// [names of destinations](crate::Telemetry::max_destination_names), counted by the same rule.
    /// Further messages are measured without them, and one warning is logged.
    pub fn baggage_on_metrics<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.0.baggage_on_metrics = Some(patterns(names));
        self
    }

    /// Sets the most bytes of a message, headers included, where the broker allows less than the
    /// client: for example the `max.message.bytes` of a Kafka topic, the `max_msg_size` of a
    /// JetStream stream, or the `max_payload` of a NATS account or user, which the client does not
    /// respect. Unset: the client's limit.
    ///
    /// A context that would make the message larger is left out and counted in
    /// `otel_messaging.context.problems`: first the baggage, then the tracestate, then all of it. A
    /// message that the broker refuses for its size is counted there as `refused_for_size`, if it
    /// had a context of ours.
    pub const fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.0.max_message_bytes = Some(bytes);
        self
    }

    /// Sets whether each message of a sent batch has a create span, whose context it carries and
    /// which has its outcome. Unset: yes.
    ///
    /// If not, all messages carry the context of the send span, and only the results of the call
    /// show which message failed. Messages that carry a context already keep it if no span is
    /// active.
    pub const fn create_spans(mut self, on: bool) -> Self {
        self.0.create_spans = Some(on);
        self
    }

    /// Sets whether receiving has a span and a measured duration, also where it fails. Unset: batches
    /// have, single messages have not.
    ///
    /// Where a stream of messages or of batches is waited for, a wait that is given up, such as a
    /// `next` that is timed out, and those after it are one wait: span and duration begin with the
    /// first. Each `recv` or `poll` for a single message of Kafka is a wait of its own, and so is
    /// `basic_get` of AMQP.
    pub const fn receive_spans(mut self, on: bool) -> Self {
        self.0.receive_spans = Some(on);
        self
    }

    /// Sets whether commits and acknowledgements have spans. Their metrics are recorded in any
    /// case.
    ///
    /// Unset: those of a known message have one, and others have one inside an active span. A
    /// commit outside of any span would be a trace of its own.
    pub const fn settle_spans(mut self, on: bool) -> Self {
        self.0.settle_spans = Some(on);
        self
    }

    /// Sets whether spans have the key of their message as an attribute. Unset: yes.
    pub const fn message_key(mut self, on: bool) -> Self {
        self.0.message_key = Some(on);
        self
    }

    /// Sets which headers of a message are attributes of its spans, by name or pattern, in any
    /// case. Unset: none.
    ///
    /// The attribute `otel_messaging.header.{name}`, with the name in lower case, is a list of
    /// strings. It is not registered in the conventions. Headers with context, and values that are
    /// not UTF-8, are left out; of RabbitMQ, numbers and all that is no text or bytes too. A span has at most 64 values of at most 256 bytes each.
    pub fn capture_headers<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        let patterns = names.into_iter().map(HeaderPattern::new);
        self.0.capture_headers = Some(patterns.collect());
        self
    }

    /// Sets the template of the destination, such as `orders.{id}`: it replaces the name in span
    /// names and on metrics, and is the attribute `messaging.destination.template`. Unset or empty:
    /// the name is used.
    ///
    /// Destinations need one if their names are unbounded, for example if each order has its own.
    pub fn template(mut self, template: impl Into<String>) -> Self {
        self.0.template = Some(template.into());
        self
    }

    /// Sets whether metrics have the partition as an attribute, which makes a series for each.
    /// Unset: no.
    pub const fn partition_on_metrics(mut self, on: bool) -> Self {
        self.0.partition_on_metrics = Some(on);
        self
    }

    /// Sets whether `otel_messaging.message.time_in_queue` is recorded: the seconds from a
    /// message's timestamp to its delivery to the application. Unset: no.
    ///
    /// If the timestamp is in the future, the time is 0 and `otel_messaging.clock.skews` is
    /// incremented.
    pub const fn time_in_queue(mut self, on: bool) -> Self {
        self.0.time_in_queue = Some(on);
        self
    }

    /// Sets whether `otel_messaging.consumer.lag` is recorded: how many messages are behind the
    /// delivered one, if the client knows. Unset: no.
    pub const fn lag(mut self, on: bool) -> Self {
        self.0.lag = Some(on);
        self
    }

    /// Sets whether spans always have the attributes below, which the conventions do not have.
    /// Unset: only with an unusual value.
    ///
    /// | attribute | usual value |
    /// |---|---|
    /// | [`DELIVERY_ATTEMPT`](crate::semconv::attributes::DELIVERY_ATTEMPT) | 1 |
    /// | `otel_messaging.rabbitmq.confirmation` | `ack` |
    pub const fn unregistered_attributes(mut self, on: bool) -> Self {
        self.0.unregistered_attributes = Some(on);
        self
    }

    /// Sets in how many of the traces that a batch's messages come from the batch is shown. Unset:
    /// 0.
    ///
    /// Each of these traces gets a span `batch {destination}` of kind CONSUMER. It is a child of
    /// the creation context of the trace's first message, and has the start, the end and the error
    /// of the batch. It links to the span of the batch, and to each of the trace's messages within
    /// the limit of links; `otel_messaging.fan_back.message_count` is their number. It is no
    /// operation of its own and has no metrics. Of further traces only the number is recorded, as
    /// `otel_messaging.fan_back.left_out` on the span of the batch.
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
