//! Keys that every messaging system shares, and which of them a span has from its start.

use std::collections::BTreeMap;

use opentelemetry::{Array, KeyValue, StringValue, Value};

use crate::Telemetry;
use crate::envelope::{Destination, Envelope};
use crate::policy::Rule;
use crate::propagation::Headers;
use crate::semconv::text::{text, tidy};

/// The messaging system, as the conventions name it.
pub const MESSAGING_SYSTEM: &str = "messaging.system";
/// The system's own verb for the operation.
pub const MESSAGING_OPERATION_NAME: &str = "messaging.operation.name";
/// The operation's type: `create`, `send`, `receive`, `process`, `settle`.
pub const MESSAGING_OPERATION_TYPE: &str = "messaging.operation.type";
/// The topic, queue or subject.
pub const MESSAGING_DESTINATION_NAME: &str = "messaging.destination.name";
/// What stands for a destination whose name is one of many.
pub const MESSAGING_DESTINATION_TEMPLATE: &str = "messaging.destination.template";
/// Whether the destination is gone with its user; only set if so.
pub const MESSAGING_DESTINATION_TEMPORARY: &str = "messaging.destination.temporary";
/// Whether the broker chose the destination's name; only set if so.
pub const MESSAGING_DESTINATION_ANONYMOUS: &str = "messaging.destination.anonymous";
/// The partition of the destination, a string.
pub const MESSAGING_DESTINATION_PARTITION_ID: &str = "messaging.destination.partition.id";
/// The consumer group.
pub const MESSAGING_CONSUMER_GROUP_NAME: &str = "messaging.consumer.group.name";
/// The client's identifier.
pub const MESSAGING_CLIENT_ID: &str = "messaging.client.id";
/// The message's own identifier.
pub const MESSAGING_MESSAGE_ID: &str = "messaging.message.id";
/// What a message and the answer to it have in common.
pub const MESSAGING_MESSAGE_CONVERSATION_ID: &str = "messaging.message.conversation_id";
/// Beginning of the key of a captured header. Not registered in the conventions.
pub const MESSAGING_HEADER: &str = "messaging.header";
/// Which delivery of the message it is, from 1. Not registered in the conventions.
pub const DELIVERY_ATTEMPT: &str = "otel_messaging.message.delivery_attempt";
/// How many messages a batch has.
pub const MESSAGING_BATCH_MESSAGE_COUNT: &str = "messaging.batch.message_count";
/// How many messages share a link of a batch's span. Not registered in the conventions.
pub const LINK_MESSAGE_COUNT: &str = "otel_messaging.link.message_count";
/// How many traces got no span for a batch, being too many. Not registered in the conventions.
pub const FAN_BACK_LEFT_OUT: &str = "otel_messaging.fan_back.left_out";
/// The broker's address, where just one is known.
pub const SERVER_ADDRESS: &str = "server.address";
/// The broker's port.
pub const SERVER_PORT: &str = "server.port";
/// What kind of error an operation ended with.
pub const ERROR_TYPE: &str = "error.type";

pub(crate) const EXCEPTION_EVENT: &str = "exception";
pub(crate) const EXCEPTION_TYPE: &str = "exception.type";
pub(crate) const EXCEPTION_MESSAGE: &str = "exception.message";
pub(crate) const EXCEPTION_STACKTRACE: &str = "exception.stacktrace";

/// Attributes that samplers may decide on, so that a span has them from its start.
///
/// Spec: messaging-spans § Attributes, "important for making sampling decisions", 1.44.0.
pub(crate) fn at_start(envelope: &Envelope<'_>) -> Vec<KeyValue> {
    let client = envelope.client;
    let operation = envelope.operation;
    let mut attributes = Vec::with_capacity(12);
    attributes.extend([
        KeyValue::new(MESSAGING_SYSTEM, client.system),
        KeyValue::new(MESSAGING_OPERATION_NAME, envelope.operation_name),
        KeyValue::new(MESSAGING_OPERATION_TYPE, operation.operation_type()),
    ]);
    if let Some(destination) = envelope.destination {
        attributes.extend(destination_name(destination));
        // A template is there to be one of few.
        if let Some(template) = destination.usable_template() {
            attributes.push(KeyValue::new(
                MESSAGING_DESTINATION_TEMPLATE,
                template.clone(),
            ));
        }
        if destination.is_temporary {
            attributes.push(KeyValue::new(MESSAGING_DESTINATION_TEMPORARY, true));
        }
        if destination.is_anonymous {
            attributes.push(KeyValue::new(MESSAGING_DESTINATION_ANONYMOUS, true));
        }
    }
    if let Some(partition) = envelope.partition {
        attributes.push(partition_id(partition));
    }
    if let Some(messages) = envelope.batch {
        attributes.push(count(MESSAGING_BATCH_MESSAGE_COUNT, messages));
    }
    if let Some(group) = client
        .consumer_group
        .as_ref()
        .filter(|_| !operation.is_producing())
    {
        attributes.push(KeyValue::new(MESSAGING_CONSUMER_GROUP_NAME, group.clone()));
    }
    if let Some(server) = client.server() {
        attributes.push(KeyValue::new(SERVER_ADDRESS, server.address));
        attributes.push(KeyValue::new(SERVER_PORT, i64::from(server.port)));
    }
    attributes
}

/// Attributes of a span that is there for links alone.
pub(crate) fn of_overflow(envelope: &Envelope<'_>) -> impl Iterator<Item = KeyValue> {
    let system = KeyValue::new(MESSAGING_SYSTEM, envelope.client.system);
    let destination = envelope.destination;
    let destination = destination.and_then(|destination| destination_name(destination));
    [system].into_iter().chain(destination)
}

/// What kind of error it was.
pub(crate) fn of_error(error_type: impl Into<StringValue>) -> KeyValue {
    KeyValue::new(ERROR_TYPE, error_type.into())
}

/// The name of a destination; several have none in common.
pub(crate) fn destination_name(destination: &Destination) -> Option<KeyValue> {
    let name = || KeyValue::new(MESSAGING_DESTINATION_NAME, destination.name.clone());
    (!destination.is_many).then(name)
}

/// A number of things; more than an attribute can say are as many as it can.
pub(crate) fn count(key: &'static str, things: usize) -> KeyValue {
    KeyValue::new(key, i64::try_from(things).unwrap_or(i64::MAX))
}

/// Attributes that are of no use to samplers, for spans that are recorded.
///
/// Spec: messaging-spans § Attributes, 1.44.0.
pub(crate) fn when_recorded(envelope: &Envelope<'_>) -> Option<KeyValue> {
    let client_id = envelope.client.id.as_ref()?;
    Some(KeyValue::new(MESSAGING_CLIENT_ID, client_id.clone()))
}

/// The partition as the conventions want it: a string, though brokers number them.
pub(crate) fn partition_id(partition: i32) -> KeyValue {
    // The text of the common ones need not be made for each message.
    const FIRST: [&str; 16] = [
        "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15",
    ];
    let first = usize::try_from(partition)
        .ok()
        .and_then(|partition| FIRST.get(partition));
    let text = match first {
        Some(text) => StringValue::from(*text),
        None => StringValue::from(partition.to_string()),
    };
    KeyValue::new(MESSAGING_DESTINATION_PARTITION_ID, text)
}

/// Most values of headers that a span has as attributes.
const MAX_CAPTURED: usize = 64;

/// The headers that a rule wants as attributes, each with all its values, as far as there is room.
pub(crate) fn captured<H: Headers>(
    headers: &H,
    rule: &Rule,
    telemetry: &Telemetry,
) -> impl Iterator<Item = KeyValue> + use<H> {
    let mut found: BTreeMap<String, Vec<StringValue>> = BTreeMap::new();
    if rule.captures_headers() {
        let mut room = MAX_CAPTURED;
        headers.for_each(&mut |name, value| {
            if room > 0
                && let Ok(name) = str::from_utf8(name)
                && rule.captures(name)
                && !telemetry.writes(name)
                && let Ok(value) = str::from_utf8(value)
            {
                room -= 1;
                let values = found.entry(tidy(name).to_lowercase()).or_default();
                values.push(text(value));
            }
        });
    }
    found.into_iter().map(|(name, values)| {
        let key = [MESSAGING_HEADER, ".", &name].concat();
        KeyValue::new(key, Value::Array(Array::String(values)))
    })
}
