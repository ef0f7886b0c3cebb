//! What is told of a failure beside its `error.type`.

use std::error::Error;

use opentelemetry::StringValue;

use super::attributes::{EXCEPTION_MESSAGE, EXCEPTION_STACKTRACE, EXCEPTION_TYPE};
use super::text::{one_line, tidy};

/// Most causes of an error that are told; the chain of an error that names itself has no end.
const MAX_CAUSES: usize = 16;

/// What is told of a failure.
#[derive(Debug, Default)]
pub(crate) enum ErrorDetails {
    /// The type of the error says it all.
    #[default]
    Nothing,
    /// A text alone: somebody else's, or of an exception that is told elsewhere.
    Text(String),
    /// An error of this program.
    Exception(Exception),
}

impl ErrorDetails {
    /// A client's error.
    #[cfg(any(feature = "amqp", feature = "kafka", feature = "nats"))]
    pub(crate) fn from_error<E: Error + 'static>(error: &E) -> Self {
        Self::Exception(Exception {
            name: super::error_name::telling(std::any::type_name::<E>()),
            message: with_causes(error),
            stacktrace: None,
        })
    }

    /// A client's error that tells its causes by itself.
    #[cfg(feature = "nats")]
    pub(crate) fn displayed<E: std::fmt::Display + 'static>(error: &E) -> Self {
        Self::Exception(Exception {
            name: super::error_name::telling(std::any::type_name::<E>()),
            message: error.to_string(),
            stacktrace: None,
        })
    }

    /// A client's error of whatever type.
    #[cfg(feature = "nats")]
    pub(crate) fn from_any_error(error: &(dyn Error + 'static)) -> Self {
        Self::Exception(Exception {
            name: None,
            message: with_causes(error),
            stacktrace: None,
        })
    }

    /// The text alone.
    pub(crate) fn without_exception(self) -> Self {
        match self {
            Self::Exception(exception) => Self::Text(exception.message),
            other => other,
        }
    }

    /// Description of the status of a span: the message, on one line and not too long.
    ///
    /// Spec: [recording-errors § Recording errors on spans].
    ///
    /// [recording-errors § Recording errors on spans]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/general/recording-errors.md#recording-errors-on-spans
    pub(crate) fn description(&self) -> String {
        let message = match self {
            Self::Nothing => "",
            Self::Text(text) => text,
            Self::Exception(exception) => &exception.message,
        };
        tidy(&one_line(message)).into_owned()
    }
}

/// An error that an operation ended with.
#[derive(Debug)]
pub(crate) struct Exception {
    /// Its type, where the name of that says something.
    pub(crate) name: Option<&'static str>,
    pub(crate) message: String,
    pub(crate) stacktrace: Option<String>,
}

impl Exception {
    /// The attributes of the event or of the log record.
    ///
    /// Spec: [exceptions-logs § Attributes].
    ///
    /// [exceptions-logs § Attributes]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/exceptions/exceptions-logs.md#attributes
    pub(crate) fn attributes(&self) -> impl Iterator<Item = (&'static str, StringValue)> {
        let name = self.name.map(StringValue::from);
        let message = StringValue::from(self.message.clone());
        let stacktrace = self.stacktrace.clone().map(StringValue::from);
        let name = name.map(|name| (EXCEPTION_TYPE, name));
        let stacktrace = stacktrace.map(|text| (EXCEPTION_STACKTRACE, text));
        name.into_iter()
            .chain([(EXCEPTION_MESSAGE, message)])
            .chain(stacktrace)
    }
}

/// An error as it displays itself, with the causes that it leaves to others to tell.
pub(crate) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    for _ in 0..MAX_CAUSES {
        let Some(cause) = source else {
            break;
        };
        let text = cause.to_string();
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        source = cause.source();
    }
    message
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    /// An error with a cause, which it may tell by itself; a third one is its own.
    #[derive(Debug)]
    struct Failed {
        text: &'static str,
        cause: Option<Box<Self>>,
        is_its_own: bool,
    }

    impl fmt::Display for Failed {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.text)
        }
    }

    impl Error for Failed {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            if self.is_its_own {
                return Some(self);
            }
            self.cause.as_deref().map(|cause| cause as _)
        }
    }

    fn failed(text: &'static str, cause: Option<Failed>) -> Failed {
        Failed {
            text,
            cause: cause.map(Box::new),
            is_its_own: false,
        }
    }

    #[test]
    fn a_message_has_each_cause_once() {
        let refused = || failed("refused", None);
        let circle = Failed {
            is_its_own: true,
            ..refused()
        };
        let rows = [
            (refused(), "refused"),
            (failed("order 7", Some(refused())), "order 7: refused"),
            (
                failed("order 7: refused", Some(refused())),
                "order 7: refused",
            ),
            (
                failed("shop", Some(failed("order 7", Some(refused())))),
                "shop: order 7: refused",
            ),
            (circle, "refused"),
        ];

        for (error, expected) in rows {
            assert_eq!(with_causes(&error), expected);
        }
    }

    #[test]
    fn a_description_is_one_short_line() {
        let text = |text: &str| {
            let exception = Exception {
                name: None,
                message: text.to_owned(),
                stacktrace: None,
            };
            ErrorDetails::Exception(exception).description()
        };

        assert_eq!(ErrorDetails::Nothing.description(), "");
        assert_eq!(
            text("order 7\n\nCaused by:\n    no stock\n"),
            "order 7 Caused by: no stock"
        );
        assert_eq!(text("\u{1b}[2J"), "\\u{1b}[2J");
        assert!(text(&"k".repeat(900_000)).len() <= 256);
    }
}
