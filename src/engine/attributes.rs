//! Which attributes a span has, and which of them from its start.

use std::collections::BTreeMap;

use opentelemetry::{Array, KeyValue, StringValue, Value};

use super::destination::Destination;
use super::operation::Operation;
use super::propagation::Headers;
use crate::policy::Rule;
use crate::semconv::attributes::{
    DELIVERY_ATTEMPT, HEADER, MESSAGING_BATCH_MESSAGE_COUNT, MESSAGING_CLIENT_ID,
    MESSAGING_CONSUMER_GROUP_NAME, MESSAGING_DESTINATION_ANONYMOUS, MESSAGING_DESTINATION_NAME,
    MESSAGING_DESTINATION_TEMPLATE, MESSAGING_DESTINATION_TEMPORARY, MESSAGING_OPERATION_NAME,
    MESSAGING_OPERATION_TYPE, MESSAGING_SYSTEM_NAME, SERVER_ADDRESS, SERVER_PORT, count,
    partition_id,
};
use crate::semconv::operation_type::OperationType;
use crate::semconv::text::{text, tidy};
use crate::telemetry::Telemetry;

/// Attributes that samplers may decide on, so that a span has them from its start.
///
/// Spec: [messaging-spans § Messaging spans], "important for making sampling decisions".
///
/// [messaging-spans § Messaging spans]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-spans.md#messaging-spans
pub(crate) fn at_start(operation: &Operation<'_>) -> Vec<KeyValue> {
    let client = operation.client;
    let mut attributes = Vec::with_capacity(12);
    attributes.extend([
        KeyValue::new(MESSAGING_SYSTEM_NAME, client.system),
        KeyValue::new(MESSAGING_OPERATION_NAME, operation.operation_name),
        KeyValue::new(MESSAGING_OPERATION_TYPE, operation.operation_type.as_str()),
    ]);
    if let Some(destination) = operation.destination {
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
    if let Some(partition) = operation.partition {
        attributes.push(partition_id(partition));
    }
    if let Some(messages) = operation.batch {
        attributes.push(count(MESSAGING_BATCH_MESSAGE_COUNT, messages));
    }
    if let Some(group) = client
        .consumer_group
        .as_ref()
        .filter(|_| !operation.operation_type.is_producing())
    {
        attributes.push(KeyValue::new(MESSAGING_CONSUMER_GROUP_NAME, group.clone()));
    }
    if let Some(server) = &client.server {
        attributes.push(KeyValue::new(SERVER_ADDRESS, server.address.clone()));
        attributes.push(KeyValue::new(SERVER_PORT, i64::from(server.port)));
    }
    attributes
}

/// Attributes of a span that is there for links alone, and is no operation.
pub(crate) fn of_own_span(operation: &Operation<'_>) -> impl Iterator<Item = KeyValue> {
    let system = KeyValue::new(MESSAGING_SYSTEM_NAME, operation.client.system);
    let destination = operation.destination;
    let destination = destination.and_then(|destination| destination_name(destination));
    [system].into_iter().chain(destination)
}

/// The name of a destination; several have none in common.
pub(crate) fn destination_name(destination: &Destination) -> Option<KeyValue> {
    let name = destination.usable_name()?;
    Some(KeyValue::new(MESSAGING_DESTINATION_NAME, name.clone()))
}

/// Attributes that are of no use to samplers, for spans that are recorded.
///
/// Spec: [messaging-spans § Messaging spans], the attributes of each span.
///
/// [messaging-spans § Messaging spans]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-spans.md#messaging-spans
pub(crate) fn when_recorded(operation: &Operation<'_>) -> Option<KeyValue> {
    // The table of a create span does not have it.
    let has_client_id = operation.operation_type != OperationType::Create;
    let client_id = operation.client.id.as_ref().filter(|_| has_client_id)?;
    Some(KeyValue::new(MESSAGING_CLIENT_ID, client_id.clone()))
}

/// An attribute that the conventions have no counterpart of: it is there where its value is out of the
/// ordinary, and otherwise if the rule wants such.
pub(crate) fn unregistered(
    rule: &Rule,
    is_ordinary: bool,
    attribute: impl FnOnce() -> KeyValue,
) -> Option<KeyValue> {
    (!is_ordinary || rule.wants_unregistered_attributes()).then(attribute)
}

/// Which delivery of a message it is.
pub(crate) fn delivery_attempt(rule: &Rule, attempt: i64) -> Option<KeyValue> {
    unregistered(rule, attempt == 1, || {
        KeyValue::new(DELIVERY_ATTEMPT, attempt)
    })
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
        let key = [HEADER, ".", &name].concat();
        KeyValue::new(key, Value::Array(Array::String(values)))
    })
}
