//! Names of spans.

/// Name of a span: the operation's name, then what stands for the destination where names are few.
///
/// Spec: [messaging-spans § Span name].
///
/// [messaging-spans § Span name]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/messaging-spans.md#span-name
pub(crate) fn span_name(operation_name: &str, destination: Option<&str>) -> String {
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
            assert_eq!(span_name(operation_name, destination), expected);
        }
    }
}
