//! Keys that every messaging system shares, and values that the conventions give a form.

use opentelemetry::{KeyValue, StringValue};

/// The messaging system, as the conventions name it.
pub const MESSAGING_SYSTEM_NAME: &str = "messaging.system.name";
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
pub const HEADER: &str = "otel_messaging.header";
/// Which delivery of the message it is, from 1. Not registered in the conventions.
pub const DELIVERY_ATTEMPT: &str = "otel_messaging.message.delivery_attempt";
/// How many messages a batch has.
pub const MESSAGING_BATCH_MESSAGE_COUNT: &str = "messaging.batch.message_count";
/// How many messages share a link of a batch's span. Not registered in the conventions.
pub const LINK_MESSAGE_COUNT: &str = "otel_messaging.link.message_count";
/// How many messages of a batch are from the trace of this span. Not registered in the conventions.
pub const FAN_BACK_MESSAGE_COUNT: &str = "otel_messaging.fan_back.message_count";
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

/// What kind of error it was.
pub(crate) fn of_error(error_type: impl Into<StringValue>) -> KeyValue {
    KeyValue::new(ERROR_TYPE, error_type.into())
}

/// A number of things; more than an attribute can say are as many as it can.
pub(crate) fn count(key: &'static str, things: usize) -> KeyValue {
    KeyValue::new(key, i64::try_from(things).unwrap_or(i64::MAX))
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
