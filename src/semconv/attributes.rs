//! Keys that every messaging system shares, and which of them a span has from its start.

use opentelemetry::{KeyValue, StringValue};

use super::operation::Operation;
use crate::envelope::Envelope;

/// The messaging system, as the conventions name it.
pub const MESSAGING_SYSTEM: &str = "messaging.system";
/// The system's own verb for the operation.
pub const MESSAGING_OPERATION_NAME: &str = "messaging.operation.name";
/// The operation's type: `send`, `process`, `settle`.
pub const MESSAGING_OPERATION_TYPE: &str = "messaging.operation.type";
/// The topic, queue or subject.
pub const MESSAGING_DESTINATION_NAME: &str = "messaging.destination.name";
/// The partition of the destination, a string.
pub const MESSAGING_DESTINATION_PARTITION_ID: &str = "messaging.destination.partition.id";
/// The consumer group.
pub const MESSAGING_CONSUMER_GROUP_NAME: &str = "messaging.consumer.group.name";
/// The client's identifier.
pub const MESSAGING_CLIENT_ID: &str = "messaging.client.id";
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
pub(crate) fn at_start(operation: Operation, envelope: &Envelope<'_>) -> Vec<KeyValue> {
    let mut attributes = Vec::with_capacity(12);
    attributes.extend([
        KeyValue::new(MESSAGING_SYSTEM, envelope.system),
        KeyValue::new(MESSAGING_OPERATION_NAME, envelope.operation_name),
        KeyValue::new(MESSAGING_OPERATION_TYPE, operation.operation_type()),
    ]);
    if let Some(destination) = envelope.destination {
        attributes.push(KeyValue::new(
            MESSAGING_DESTINATION_NAME,
            destination.to_owned(),
        ));
    }
    if let Some(partition) = envelope.partition {
        attributes.push(partition_id(partition));
    }
    if let Some(group) = envelope.consumer_group {
        attributes.push(KeyValue::new(MESSAGING_CONSUMER_GROUP_NAME, group.clone()));
    }
    if let Some(server) = envelope.server {
        attributes.push(KeyValue::new(SERVER_ADDRESS, server.address.clone()));
        attributes.push(KeyValue::new(SERVER_PORT, i64::from(server.port)));
    }
    attributes
}

/// Attributes that are of no use to samplers, for spans that are recorded.
///
/// Spec: messaging-spans § Attributes, 1.44.0.
pub(crate) fn when_recorded(envelope: &Envelope<'_>) -> Option<KeyValue> {
    let client_id = envelope.client_id?;
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
