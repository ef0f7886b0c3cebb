//! Which attributes spans and metrics have.

use std::borrow::Cow;
use std::collections::BTreeMap;

use opentelemetry::{Array, KeyValue, StringValue, Value};

#[cfg(feature = "bound-instruments")]
use super::destination::Bound;
use super::destination::{Destination, Prepared};
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
use crate::semconv::deprecated;
use crate::semconv::operation_type::OperationType;
use crate::semconv::text::{text, tidy};
use crate::telemetry::Telemetry;

/// What all spans and metrics of an operation have: made once for a destination, and each time for
/// several that nothing stands for.
pub(super) fn prepared<'a>(operation: &Operation<'a>) -> Cow<'a, Prepared> {
    match operation.destination {
        Some(destination) => Cow::Borrowed(destination.prepared(
            operation.operation_name,
            operation.operation_type,
            || prepare(operation),
        )),
        None => Cow::Owned(prepare(operation)),
    }
}

fn prepare(operation: &Operation<'_>) -> Prepared {
    let messages = of_counters(operation);
    Prepared {
        span_name: operation.span_name(),
        durations: with_type(&messages, operation.operation_type),
        messages,
        #[cfg(feature = "bound-instruments")]
        bound: Bound::default(),
    }
}

/// Attributes that a span has from its start, so that samplers may decide on them, with room for those
/// that it gets when it is recorded. To copy ones that were made before would take longer.
///
/// Spec: [messaging-spans § Messaging spans].
///
/// [messaging-spans § Messaging spans]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-spans.md#messaging-spans
pub(super) fn at_start(operation: &Operation<'_>) -> Vec<KeyValue> {
    let client = operation.client;
    let mut attributes = Vec::with_capacity(16);
    attributes.push(KeyValue::new(MESSAGING_SYSTEM_NAME, client.system));
    attributes.push(KeyValue::new(
        MESSAGING_OPERATION_NAME,
        operation.operation_name,
    ));
    attributes.push(KeyValue::new(
        MESSAGING_OPERATION_TYPE,
        operation.operation_type.as_str(),
    ));
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
    attributes.extend(operation.partition.map(partition_id));
    let messages = operation.batch;
    attributes.extend(messages.map(|messages| count(MESSAGING_BATCH_MESSAGE_COUNT, messages)));
    attributes.extend(consumer_group(operation));
    if let Some(server) = &client.server {
        attributes.push(KeyValue::new(SERVER_ADDRESS, server.address.clone()));
        attributes.push(KeyValue::new(SERVER_PORT, i64::from(server.port)));
    }
    // The table of a create span does not have it.
    if operation.operation_type != OperationType::Create
        && let Some(id) = &client.id
    {
        attributes.push(KeyValue::new(MESSAGING_CLIENT_ID, id.clone()));
    }
    if let Some(baggage) = operation.baggage {
        attributes.extend(baggage.on_spans.iter().cloned());
    }
    attributes
}

/// Spec: [messaging-metrics], the attributes of each metric.
///
/// [messaging-metrics]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-metrics.md
fn of_counters(operation: &Operation<'_>) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new(MESSAGING_SYSTEM_NAME, operation.client.system),
        KeyValue::new(MESSAGING_OPERATION_NAME, operation.operation_name),
    ];
    if let Some(destination) = operation.destination {
        let name = destination.low_cardinality_name().cloned();
        let key = match destination.template {
            Some(_) => MESSAGING_DESTINATION_TEMPLATE,
            None => MESSAGING_DESTINATION_NAME,
        };
        attributes.extend(name.map(|name| KeyValue::new(key, name)));
    }
    if let Some(server) = &operation.client.server {
        attributes.push(KeyValue::new(SERVER_ADDRESS, server.address.clone()));
        attributes.push(KeyValue::new(SERVER_PORT, i64::from(server.port)));
    }
    attributes.extend(consumer_group(operation));
    if operation.client.telemetry.adds_deprecated_names {
        deprecated::add_to(&mut attributes);
    }
    attributes
}

/// Attributes of durations, by those of counters. That of processing is a metric of its own.
fn with_type(attributes: &[KeyValue], operation_type: OperationType) -> Vec<KeyValue> {
    let is_told = operation_type != OperationType::Process;
    let told = || KeyValue::new(MESSAGING_OPERATION_TYPE, operation_type.as_str());
    let attributes = attributes.iter().cloned();
    attributes.chain(is_told.then(told)).collect()
}

fn consumer_group(operation: &Operation<'_>) -> Option<KeyValue> {
    let group = operation.client.consumer_group.as_ref();
    let group = group.filter(|_| !operation.operation_type.is_producing())?;
    Some(KeyValue::new(MESSAGING_CONSUMER_GROUP_NAME, group.clone()))
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
    set: &mut dyn FnMut(KeyValue),
) {
    if !rule.captures_headers() {
        return;
    }
    let mut found: BTreeMap<String, Vec<StringValue>> = BTreeMap::new();
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
    for (name, values) in found {
        let key = [HEADER, ".", &name].concat();
        set(KeyValue::new(key, Value::Array(Array::String(values))));
    }
}
