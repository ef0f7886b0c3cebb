//! How an operation ended: `error.type` and the error that a handler returned.

use std::any::{Any, type_name};
use std::borrow::Cow;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

/// `error.type` of a handler or guard that was dropped before it had an outcome.
///
/// Spec: [recording-errors § Recording errors on spans]. The value is our own.
///
/// [recording-errors § Recording errors on spans]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/general/recording-errors.md#recording-errors-on-spans
pub(crate) const CANCELLED: &str = "cancelled";

/// `error.type` of a handler that panicked.
pub(crate) const PANIC: &str = "panic";

/// `error.type` where no better one is known.
///
/// Spec: [attributes registry § error.type].
///
/// [attributes registry § error.type]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/registry/attributes/error.md#error-type
#[cfg(any(feature = "amqp", feature = "kafka", feature = "nats"))]
pub(crate) const OTHER: &str = "_OTHER";

/// What a handler returns: `()`, a `Result` whose error is `Debug`, a `ControlFlow`, or a type of
/// your own.
///
/// The value is returned to the caller unchanged. Only its error is recorded, if it has one.
///
/// ```
/// use otel_messaging::{HandlerError, Outcome};
///
/// enum Billed {
///     Paid,
///     Refused(String),
/// }
///
/// impl Outcome for Billed {
///     fn error(&self) -> Option<HandlerError<'_>> {
///         match self {
///             Self::Paid => None,
///             Self::Refused(reason) => Some(HandlerError::new(reason)),
///         }
///     }
/// }
/// ```
pub trait Outcome {
    /// The error; `None` if the outcome is a success.
    fn error(&self) -> Option<HandlerError<'_>>;
}

impl Outcome for () {
    fn error(&self) -> Option<HandlerError<'_>> {
        None
    }
}

impl<T, E: fmt::Debug + 'static> Outcome for Result<T, E> {
    fn error(&self) -> Option<HandlerError<'_>> {
        self.as_ref().err().map(HandlerError::new)
    }
}

/// `Break` is not an error.
impl<B, C> Outcome for ControlFlow<B, C> {
    fn error(&self) -> Option<HandlerError<'_>> {
        None
    }
}

/// An error that a handler returned, of any type.
///
/// An [error classifier](crate::Telemetry::error_classifier) is called with it, and an [`Outcome`]
/// of your own makes one.
///
/// ```
/// use std::io;
/// use otel_messaging::HandlerError;
///
/// let error = io::Error::from(io::ErrorKind::TimedOut);
/// let error = HandlerError::new(&error);
///
/// let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
/// assert_eq!(kind, Some(io::ErrorKind::TimedOut));
/// assert_eq!(error.type_name(), "std::io::error::Error");
/// ```
#[derive(Clone, Copy)]
pub struct HandlerError<'a> {
    error: &'a dyn Any,
    debug: &'a dyn fmt::Debug,
    type_name: &'static str,
}

impl<'a> HandlerError<'a> {
    /// The error of an [`Outcome`] of your own.
    pub fn new<E: fmt::Debug + 'static>(error: &'a E) -> Self {
        Self {
            error,
            debug: error,
            type_name: type_name::<E>(),
        }
    }

    /// The error itself, if its type is `E`.
    #[must_use]
    pub fn downcast_ref<E: 'static>(&self) -> Option<&'a E> {
        self.error.downcast_ref()
    }

    /// Name of the type of the error, for example `my_crate::Error`.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        self.type_name
    }

    /// Text for people, and the backtrace that some errors add to it.
    ///
    /// The text is as the error displays itself where its type is a common one, else its `Debug`
    /// form, the only one that every error has. `anyhow` writes a backtrace behind that.
    pub(crate) fn message_and_backtrace(&self) -> (String, Option<String>) {
        let text = self.text();
        match text.split_once("\n\nStack backtrace:\n") {
            Some((message, backtrace)) => (message.to_owned(), Some(backtrace.to_owned())),
            None => (text, None),
        }
    }

    fn text(&self) -> String {
        type Boxed = Box<dyn std::error::Error>;
        type BoxedSend = Box<dyn std::error::Error + Send + Sync>;

        if let Some(text) = self.downcast_ref::<String>() {
            text.clone()
        } else if let Some(text) = self.downcast_ref::<&'static str>() {
            (*text).to_owned()
        } else if let Some(error) = self.downcast_ref::<BoxedSend>() {
            error.to_string()
        } else if let Some(error) = self.downcast_ref::<Boxed>() {
            error.to_string()
        } else {
            format!("{:?}", self.debug)
        }
    }
}

impl fmt::Debug for HandlerError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HandlerError").field(&self.debug).finish()
    }
}

/// Says which `error.type` an error has; `None` where it is no failure.
pub(crate) type Classifier =
    Arc<dyn Fn(&HandlerError<'_>) -> Option<Cow<'static, str>> + Send + Sync>;

/// The default classifier: each error is a failure, named by its type.
#[expect(
    clippy::unnecessary_wraps,
    reason = "it has the signature of a classifier"
)]
pub(crate) const fn by_type_name(error: &HandlerError<'_>) -> Option<Cow<'static, str>> {
    Some(Cow::Borrowed(error.type_name()))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn message<E: fmt::Debug + 'static>(error: E) -> Option<(String, &'static str)> {
        Err::<(), E>(error)
            .error()
            .map(|error| (error.message_and_backtrace().0, error.type_name()))
    }

    #[test]
    fn an_error_of_any_type_has_a_message_and_a_type() {
        let boxed: Box<dyn std::error::Error + Send + Sync> = "no stock".into();

        assert_eq!(message("no stock"), Some(("no stock".to_owned(), "&str")));
        assert_eq!(
            message(String::from("no stock")),
            Some(("no stock".to_owned(), "alloc::string::String"))
        );
        assert_eq!(
            message(boxed).map(|(text, _)| text),
            Some("no stock".to_owned())
        );
        assert_eq!(
            message(anyhow::anyhow!("no stock").context("order 7")),
            Some((
                "order 7\n\nCaused by:\n    no stock".to_owned(),
                "anyhow::Error"
            ))
        );
        assert_eq!(message(()), Some(("()".to_owned(), "()")));
        assert_eq!(
            message(io::ErrorKind::TimedOut).map(|(text, _)| text),
            Some("TimedOut".to_owned())
        );
    }

    #[test]
    fn success_and_control_flow_are_no_errors() {
        assert!(().error().is_none());
        assert!(Ok::<_, String>(7).error().is_none());
        assert!(
            ControlFlow::<String, ()>::Break(String::new())
                .error()
                .is_none()
        );
    }
}
