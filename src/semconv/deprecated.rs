//! Names that the conventions have replaced, for back ends that do not know the new ones yet.

use opentelemetry::KeyValue;

/// Variable of the environment whose value is a list of what a program opts in to.
///
/// Spec: [messaging], on the transition from version 1.24.
///
/// [messaging]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/README.md
pub(crate) const STABILITY_OPT_IN: &str = "OTEL_SEMCONV_STABILITY_OPT_IN";

/// Whether a list of what a program opts in to asks for deprecated names beside the present ones.
pub(crate) fn are_wanted(opt_in: &str) -> bool {
    opt_in.split(',').any(|one| one.trim() == "messaging/dup")
}

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

/// Adds each attribute that has a new name under the deprecated one too.
pub(crate) fn add_to(attributes: &mut Vec<KeyValue>) {
    let twins = attributes.iter().filter_map(|one| {
        let key = before(one.key.as_str())?;
        Some(KeyValue::new(key, one.value.clone()))
    });
    let twins: Vec<_> = twins.collect();
    attributes.extend(twins);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deprecated_names_are_wanted_where_the_list_has_that_of_messaging() {
        let lists = [
            ("messaging/dup", true),
            ("http/dup, messaging/dup ,database", true),
            ("messaging", false),
            ("http/dup", false),
            ("messaging/dupe", false),
            ("", false),
        ];

        for (list, expected) in lists {
            assert_eq!(are_wanted(list), expected, "{list:?}");
        }
    }

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
