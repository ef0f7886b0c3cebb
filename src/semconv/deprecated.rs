//! Names that the conventions have replaced, for back ends that do not know the new ones yet.

use opentelemetry::KeyValue;

/// The name that an attribute had before.
fn before(key: &str) -> Option<&'static str> {
    match key {
        "messaging.system.name" => Some("messaging.system"),
        "kafka.offset" => Some("messaging.kafka.offset"),
        "kafka.message.key" => Some("messaging.kafka.message.key"),
        "kafka.message.tombstone" => Some("messaging.kafka.message.tombstone"),
        "kafka.cluster.id" => Some("messaging.kafka.cluster.id"),
        "rabbitmq.destination.routing_key" => Some("messaging.rabbitmq.destination.routing_key"),
        "rabbitmq.message.delivery_tag" => Some("messaging.rabbitmq.message.delivery_tag"),
        _ => None,
    }
}

/// An attribute that has a new name, under the deprecated one.
pub(crate) fn twin(attribute: &KeyValue) -> Option<KeyValue> {
    let key = before(attribute.key.as_str())?;
    Some(KeyValue::new(key, attribute.value.clone()))
}

/// Adds each attribute that has a new name under the deprecated one too.
pub(crate) fn add_to(attributes: &mut Vec<KeyValue>) {
    let twins: Vec<_> = attributes.iter().filter_map(twin).collect();
    attributes.extend(twins);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renamed_attribute_is_there_twice_and_others_once() {
        let mut attributes = vec![
            KeyValue::new("messaging.system.name", "kafka"),
            KeyValue::new("messaging.operation.name", "send"),
            KeyValue::new("kafka.offset", 7),
        ];
        let renamed = [
            KeyValue::new("messaging.system", "kafka"),
            KeyValue::new("messaging.kafka.offset", 7),
        ];
        let expected = [attributes.clone(), renamed.into()].concat();

        add_to(&mut attributes);

        assert_eq!(attributes, expected);
    }
}
