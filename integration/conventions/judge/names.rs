//! Names of release 1.45.0 as the judge knows them: none is taken from the crate.

use std::sync::LazyLock;

use opentelemetry::trace::SpanKind;
use opentelemetry::{Array, Value};

use crate::model::Instrument;

pub(crate) const SCHEMA: &str = "https://opentelemetry.io/schemas/1.45.0";

pub(crate) const SYSTEM: &str = "messaging.system.name";
pub(crate) const OPERATION: &str = "messaging.operation.name";
pub(crate) const OPERATION_TYPE: &str = "messaging.operation.type";
pub(crate) const DESTINATION: &str = "messaging.destination.name";
pub(crate) const TEMPLATE: &str = "messaging.destination.template";
pub(crate) const TEMPORARY: &str = "messaging.destination.temporary";
pub(crate) const ANONYMOUS: &str = "messaging.destination.anonymous";
pub(crate) const PARTITION: &str = "messaging.destination.partition.id";
pub(crate) const BATCH: &str = "messaging.batch.message_count";
pub(crate) const GROUP: &str = "messaging.consumer.group.name";
pub(crate) const CLIENT: &str = "messaging.client.id";
pub(crate) const MESSAGE_ID: &str = "messaging.message.id";
pub(crate) const CONVERSATION: &str = "messaging.message.conversation_id";
pub(crate) const ADDRESS: &str = "server.address";
pub(crate) const PORT: &str = "server.port";
pub(crate) const ERROR: &str = "error.type";
pub(crate) const ROUTING_KEY: &str = "rabbitmq.destination.routing_key";
pub(crate) const DELIVERY_TAG: &str = "rabbitmq.message.delivery_tag";

pub(crate) const OPERATION_DURATION: &str = "messaging.client.operation.duration";
pub(crate) const PROCESS_DURATION: &str = "messaging.process.duration";
pub(crate) const SENT: &str = "messaging.client.sent.messages";
pub(crate) const CONSUMED: &str = "messaging.client.consumed.messages";

pub(crate) const BOUNDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// Types of operations with the kinds that their spans may have.
pub(crate) const OPERATIONS: [(&str, &[SpanKind]); 5] = [
    ("create", &[SpanKind::Producer]),
    ("send", &[SpanKind::Producer, SpanKind::Client]),
    ("receive", &[SpanKind::Client]),
    ("process", &[SpanKind::Consumer]),
    ("settle", &[SpanKind::Client]),
];

/// Each system's own words for operations of a type.
pub(crate) const VERBS: [(&str, &str, &[&str]); 15] = [
    ("kafka", "create", &["create"]),
    ("kafka", "send", &["send"]),
    ("kafka", "receive", &["poll"]),
    ("kafka", "process", &["process"]),
    ("kafka", "settle", &["commit"]),
    ("rabbitmq", "create", &["create"]),
    ("rabbitmq", "send", &["publish"]),
    ("rabbitmq", "receive", &["consume", "get"]),
    ("rabbitmq", "process", &["process"]),
    ("rabbitmq", "settle", &["ack", "nack", "reject"]),
    ("nats", "create", &["create"]),
    ("nats", "send", &["publish", "request"]),
    ("nats", "receive", &["next"]),
    ("nats", "process", &["process"]),
    (
        "nats",
        "settle",
        &[
            "ack",
            "nak",
            "term",
            "double_ack",
            "double_nak",
            "double_term",
        ],
    ),
];

/// Spans of ours that are no operation, by the first word of their names: what is documented of each is that it is
/// there for its links.
pub(crate) const OWN_SPANS: [&str; 2] = ["links", "batch"];

/// The type of an attribute's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Int,
    Bool,
    Texts,
}

impl Form {
    pub(crate) fn fits(self, value: &Value) -> bool {
        matches!(
            (self, value),
            (Self::Text, Value::String(_))
                | (Self::Int, Value::I64(_))
                | (Self::Bool, Value::Bool(_))
                | (Self::Texts, Value::Array(Array::String(_)))
        )
    }
}

/// An attribute: its form, and the types of operations in whose tables it stands.
pub(crate) type Listed = (&'static str, Form, &'static [&'static str]);

const ALL: &[&str] = &["create", "send", "receive", "process", "settle"];
const NOT_CREATE: &[&str] = &["send", "receive", "process", "settle"];
const CONSUMING: &[&str] = &["receive", "process", "settle"];

pub(crate) const REGISTERED: [Listed; 24] = [
    (SYSTEM, Form::Text, ALL),
    (OPERATION, Form::Text, ALL),
    (OPERATION_TYPE, Form::Text, ALL),
    (DESTINATION, Form::Text, ALL),
    (TEMPLATE, Form::Text, ALL),
    (TEMPORARY, Form::Bool, ALL),
    (ANONYMOUS, Form::Bool, ALL),
    (PARTITION, Form::Text, ALL),
    (BATCH, Form::Int, NOT_CREATE),
    (GROUP, Form::Text, CONSUMING),
    (CLIENT, Form::Text, NOT_CREATE),
    (MESSAGE_ID, Form::Text, ALL),
    (CONVERSATION, Form::Text, ALL),
    ("messaging.message.body.size", Form::Int, ALL),
    ("messaging.message.envelope.size", Form::Int, ALL),
    (ADDRESS, Form::Text, ALL),
    (PORT, Form::Int, ALL),
    (ERROR, Form::Text, ALL),
    ("kafka.offset", Form::Int, NOT_CREATE),
    ("kafka.message.key", Form::Text, ALL),
    ("kafka.message.tombstone", Form::Bool, ALL),
    ("kafka.cluster.id", Form::Text, NOT_CREATE),
    (ROUTING_KEY, Form::Text, ALL),
    (DELIVERY_TAG, Form::Int, CONSUMING),
];

/// Those that only exceptions have.
pub(crate) const OF_EXCEPTIONS: [&str; 3] = [
    "exception.type",
    "exception.message",
    "exception.stacktrace",
];

/// Names that the conventions do not have, as this crate documents them.
pub(crate) const OURS: [(&str, Form); 11] = [
    ("nats.stream.name", Form::Text),
    ("nats.stream.sequence", Form::Int),
    ("nats.message.duplicate", Form::Bool),
    ("nats.batch.duplicate_count", Form::Int),
    ("otel_messaging.fan_back.left_out", Form::Int),
    ("otel_messaging.fan_back.message_count", Form::Int),
    ("otel_messaging.link.message_count", Form::Int),
    ("otel_messaging.message.delivery_attempt", Form::Int),
    ("otel_messaging.rabbitmq.confirmation", Form::Text),
    ("otel_messaging.rabbitmq.settled", Form::Bool),
    ("otel_messaging.context.problem", Form::Text),
];

/// Beginning of the keys of captured headers.
pub(crate) const CAPTURED: &str = "otel_messaging.header.";

/// What a message has of its own: on the span of a batch if all have the same, else on links.
pub(crate) const PER_MESSAGE: [&str; 8] = [
    MESSAGE_ID,
    CONVERSATION,
    "kafka.message.key",
    "kafka.message.tombstone",
    "kafka.offset",
    ROUTING_KEY,
    DELIVERY_TAG,
    "nats.stream.sequence",
];

/// Those that number messages: if they are equal, it is by chance.
pub(crate) const NUMBERS: [&str; 3] = ["kafka.offset", DELIVERY_TAG, "nats.stream.sequence"];

/// A metric: name, instrument, unit, and attributes beside the common ones.
pub(crate) type Measured = (
    &'static str,
    Instrument,
    &'static str,
    &'static [&'static str],
);

pub(crate) const METRICS: [Measured; 4] = [
    (
        OPERATION_DURATION,
        Instrument::Histogram,
        "s",
        &[OPERATION_TYPE, GROUP],
    ),
    (PROCESS_DURATION, Instrument::Histogram, "s", &[GROUP]),
    (SENT, Instrument::Counter, "{message}", &[]),
    (CONSUMED, Instrument::Counter, "{message}", &[GROUP]),
];

/// What any of them may have.
pub(crate) const ON_METRICS: [&str; 8] = [
    SYSTEM,
    OPERATION,
    DESTINATION,
    TEMPLATE,
    PARTITION,
    ADDRESS,
    PORT,
    ERROR,
];

/// Metrics that the conventions do not have, as this crate documents them.
pub(crate) const OUR_METRICS: [&str; 5] = [
    "otel_messaging.context.problems",
    "otel_messaging.telemetry.panics",
    "otel_messaging.message.time_in_queue",
    "otel_messaging.clock.skews",
    "otel_messaging.consumer.lag",
];

/// The form of an attribute, if it is known.
pub(crate) fn form(key: &str) -> Option<Form> {
    if key.starts_with(CAPTURED) {
        return Some(Form::Texts);
    }
    let registered = REGISTERED.iter().map(|(own, form, _)| (*own, *form));
    let exceptions = OF_EXCEPTIONS.iter().map(|own| (*own, Form::Text));
    let mut all = registered.chain(OURS).chain(exceptions);
    all.find(|(own, _)| *own == key).map(|(_, form)| form)
}

/// Names that the release has and calls deprecated.
pub(crate) fn is_deprecated(name: &str) -> bool {
    static NAMES: LazyLock<Vec<&str>> = LazyLock::new(|| {
        let lines = include_str!("../released.txt").lines();
        let deprecated = lines.filter_map(|line| line.split_once("  deprecated: "));
        deprecated
            .filter_map(|(name, _)| name.split_once(' '))
            .map(|(_, name)| name)
            .collect()
    });
    // These were never in a namespace of messaging, or the list does not go back to them.
    const BEFORE: [&str; 6] = [
        "messaging.client_id",
        "messaging.destination",
        "messaging.destination_kind",
        "net.peer.name",
        "network.protocol.name",
        "network.transport",
    ];
    NAMES.contains(&name) || BEFORE.contains(&name)
}
