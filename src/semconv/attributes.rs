//! Keys of attributes that all messaging systems share.
//!
//! Spec: [attributes registry § Messaging].
//!
//! [attributes registry § Messaging]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/registry/attributes/messaging.md

use opentelemetry::{KeyValue, StringValue};

/// The messaging system: `kafka`, `rabbitmq` or `nats`.
pub const MESSAGING_SYSTEM_NAME: &str = "messaging.system.name";
/// Name of the operation in the messaging system, for example `send` or `ack`.
pub const MESSAGING_OPERATION_NAME: &str = "messaging.operation.name";
/// Type of the operation: `create`, `send`, `receive`, `process` or `settle`.
pub const MESSAGING_OPERATION_TYPE: &str = "messaging.operation.type";
/// Name of the destination: a topic, a queue or a subject.
pub const MESSAGING_DESTINATION_NAME: &str = "messaging.destination.name";
/// Template of the destination, for example `orders.{id}`.
pub const MESSAGING_DESTINATION_TEMPLATE: &str = "messaging.destination.template";
/// Whether the destination is temporary. Set only if true.
pub const MESSAGING_DESTINATION_TEMPORARY: &str = "messaging.destination.temporary";
/// Whether the destination is anonymous. Set only if true.
pub const MESSAGING_DESTINATION_ANONYMOUS: &str = "messaging.destination.anonymous";
/// Partition of the destination, a string.
pub const MESSAGING_DESTINATION_PARTITION_ID: &str = "messaging.destination.partition.id";
/// Name of the consumer group.
pub const MESSAGING_CONSUMER_GROUP_NAME: &str = "messaging.consumer.group.name";
/// Id of the client.
pub const MESSAGING_CLIENT_ID: &str = "messaging.client.id";
/// Id of the message.
pub const MESSAGING_MESSAGE_ID: &str = "messaging.message.id";
/// Id that a message and its answer share.
pub const MESSAGING_MESSAGE_CONVERSATION_ID: &str = "messaging.message.conversation_id";
/// Prefix of the key of a captured header. Not registered in the conventions.
pub const HEADER: &str = "otel_messaging.header";
/// Number of the delivery of a message, from 1. Not registered in the conventions.
///
/// The first has it only with
/// [`unregistered_attributes`](crate::policy::Rule::unregistered_attributes).
pub const DELIVERY_ATTEMPT: &str = "otel_messaging.message.delivery_attempt";
/// Number of messages in a batch.
pub const MESSAGING_BATCH_MESSAGE_COUNT: &str = "messaging.batch.message_count";
/// Number of messages that share a link. Not registered in the conventions.
pub const LINK_MESSAGE_COUNT: &str = "otel_messaging.link.message_count";
/// Number of messages of a batch that are from the trace of this span. Not registered in the conventions.
pub const FAN_BACK_MESSAGE_COUNT: &str = "otel_messaging.fan_back.message_count";
/// How many traces got no span for a batch, being too many. Not registered in the conventions.
pub const FAN_BACK_LEFT_OUT: &str = "otel_messaging.fan_back.left_out";
/// Address of the broker.
pub const SERVER_ADDRESS: &str = "server.address";
/// Port of the broker.
pub const SERVER_PORT: &str = "server.port";
/// Class of the error that an operation ended with.
pub const ERROR_TYPE: &str = "error.type";

pub(crate) const EXCEPTION_EVENT: &str = "exception";
pub(crate) const EXCEPTION_TYPE: &str = "exception.type";
pub(crate) const EXCEPTION_MESSAGE: &str = "exception.message";
pub(crate) const EXCEPTION_STACKTRACE: &str = "exception.stacktrace";

/// Whether a key is in a namespace of the attributes that spans and metrics have here, or that
/// OpenTelemetry keeps for itself and for resources. Nobody else is to say something by it.
pub(crate) fn is_taken(key: &str) -> bool {
    let namespace = key.split('.').next().unwrap_or_default();
    matches!(
        namespace,
        "messaging"
            | "otel_messaging"
            | "kafka"
            | "rabbitmq"
            | "nats"
            | "server"
            | "error"
            | "exception"
            | "otel"
            | "service"
            | "telemetry"
    )
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_ours_and_of_opentelemetry_are_taken_and_others_are_not() {
        let ours = [
            MESSAGING_SYSTEM_NAME,
            HEADER,
            LINK_MESSAGE_COUNT,
            SERVER_PORT,
            ERROR_TYPE,
            EXCEPTION_STACKTRACE,
            "messaging",
            "kafka.offset",
            "messaging.kafka.offset",
            "rabbitmq.destination.routing_key",
            "nats.stream.name",
            "otel.status_code",
            "service.name",
            "telemetry.sdk.name",
        ];
        for key in ours {
            assert!(is_taken(key), "{key}");
        }
        for key in [
            "tenant",
            "cohort",
            "user.id",
            "session.id",
            "servers.eu",
            "errors",
            "",
        ] {
            assert!(!is_taken(key), "{key}");
        }
    }
}
