//! Names of spans.

use crate::envelope::Envelope;

/// Name of a span: the operation's name, then what stands for the destination where names are few.
///
/// Spec: messaging-spans § Span name, 1.44.0.
pub(crate) fn span_name(envelope: &Envelope<'_>) -> String {
    let destination = envelope.destination;
    let destination = destination.and_then(|destination| destination.low_cardinality_name());
    joined(
        envelope.operation_name,
        destination.map(|name| name.as_str()),
    )
}

fn joined(operation_name: &str, destination: Option<&str>) -> String {
    match destination {
        Some(destination) => [operation_name, " ", destination].concat(),
        None => operation_name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operation_comes_first_and_a_missing_destination_leaves_no_space() {
        let names = [
            ("send", Some("orders"), "send orders"),
            ("process", Some("orders"), "process orders"),
            ("commit", None, "commit"),
        ];

        for (operation_name, destination, expected) in names {
            assert_eq!(joined(operation_name, destination), expected);
        }
    }
}
