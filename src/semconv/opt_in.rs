//! What a program opts in to by the variables of the environment that the conventions have for that.

/// A variable whose value is a list, and what is looked for in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OptIn {
    pub(crate) variable: &'static str,
    choice: &'static str,
}

/// Deprecated names beside the present ones.
///
/// Spec: [messaging], on the transition from version 1.24.
///
/// [messaging]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/README.md
pub(crate) const DEPRECATED_NAMES: OptIn = OptIn {
    variable: "OTEL_SEMCONV_STABILITY_OPT_IN",
    choice: "messaging/dup",
};

/// Exceptions that are logged, as events of spans too.
///
/// Spec: [exceptions-logs].
///
/// [exceptions-logs]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/exceptions/exceptions-logs.md
pub(crate) const EXCEPTION_EVENTS: OptIn = OptIn {
    variable: "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN",
    choice: "logs/dup",
};

impl OptIn {
    /// Whether a value of the variable asks for it.
    pub(crate) fn is_in(self, value: &str) -> bool {
        value.split(',').any(|one| one.trim() == self.choice)
    }
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
            assert_eq!(DEPRECATED_NAMES.is_in(list), expected, "{list:?}");
        }
    }

    #[test]
    fn events_and_log_records_are_both_there_where_that_is_asked_for() {
        let values = [
            ("logs/dup", true),
            (" logs/dup ,logs", true),
            ("logs", false),
            ("logs/dupe", false),
            ("", false),
        ];

        for (value, expected) in values {
            assert_eq!(EXCEPTION_EVENTS.is_in(value), expected, "{value:?}");
        }
    }
}
