//! How an operation ended: `error.type` and the error that a handler returned.

use std::any::{Any, type_name};
use std::borrow::Cow;
use std::error::Error;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;
use std::{array, fmt, io, net, num, str, string, time};

use super::error_name::telling;
use super::exception::{ErrorDetails, Exception, with_causes};

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
///
/// A handler that has a value to return and cannot fail returns it as
/// `Ok::<_, std::convert::Infallible>(value)`.
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`, which does not say whether it succeeded",
    label = "returns `{Self}`, which is no `Outcome`",
    note = "return `()`, a `Result` whose error is `Debug`, a `ControlFlow`, or a type of your own that implements `Outcome`",
    note = "to return a value and no error: `Ok::<_, std::convert::Infallible>(value)`; a future lacks its `.await`"
)]
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
///
/// # Text
///
/// The status of the span and the exception have the text of the error:
///
/// | the error is | its text |
/// |---|---|
/// | given to [`of_error`](Self::of_error); a boxed or shared `dyn Error`; a common error of the standard library; an error of the wrapped client | as it displays itself, with its causes behind a colon |
/// | `String`, `&str`, `Cow<str>` | the text |
/// | any other | its `Debug` form, the only one that every error has; of `anyhow` and `eyre` that has the causes, and the backtrace becomes the exception's |
#[derive(Clone, Copy)]
pub struct HandlerError<'a> {
    error: &'a dyn Any,
    text: Text<'a>,
    type_name: &'static str,
}

/// Where the text of an error comes from.
#[derive(Clone, Copy)]
enum Text<'a> {
    Error(&'a (dyn Error + 'static)),
    Debug(&'a dyn fmt::Debug),
}

impl<'a> HandlerError<'a> {
    /// The error of an [`Outcome`] of your own.
    pub fn new<E: fmt::Debug + 'static>(error: &'a E) -> Self {
        Self {
            error,
            text: of_std(error).map_or(Text::Debug(error), Text::Error),
            type_name: type_name::<E>(),
        }
    }

    /// Wraps an error that displays itself, for own implementations of [`Outcome`].
    pub fn of_error<E: Error + 'static>(error: &'a E) -> Self {
        Self {
            error,
            text: Text::Error(error),
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

    /// What `error.type` is where no classifier says otherwise.
    ///
    /// The name of the error's Rust type without references, pointers and what is generic:
    /// `my_crate::Error` of `Arc<my_crate::Error>`. `_OTHER` where the type does not say which error
    /// it is: `dyn Error`, text, primitive types, `()`, tuples and arrays, and `anyhow::Error` and
    /// its like. The same name is the exception's `exception.type`, which is left out for `_OTHER`.
    #[must_use]
    pub fn error_type(&self) -> &'static str {
        telling(self.type_name).unwrap_or(OTHER)
    }

    /// What is told of the error. A client knows its own errors.
    pub(crate) fn details(&self, of_client: KnownError) -> ErrorDetails {
        let text = match of_client(self.error) {
            Some(error) => with_causes(error),
            None => self.text(),
        };
        let (message, stacktrace) = match text.split_once("\n\nStack backtrace:\n") {
            Some((message, backtrace)) => (message.to_owned(), Some(backtrace.to_owned())),
            None => (text, None),
        };
        ErrorDetails::Exception(Exception {
            name: telling(self.type_name),
            message,
            stacktrace,
        })
    }

    fn text(&self) -> String {
        if let Some(text) = self.downcast_ref::<String>() {
            text.clone()
        } else if let Some(text) = self.downcast_ref::<&'static str>() {
            (*text).to_owned()
        } else if let Some(text) = self.downcast_ref::<Cow<'static, str>>() {
            text.clone().into_owned()
        } else {
            match self.text {
                Text::Error(error) => with_causes(error),
                Text::Debug(error) => format!("{error:?}"),
            }
        }
    }
}

/// Finds an error of a known type in a value.
pub(crate) type KnownError = fn(&dyn Any) -> Option<&(dyn Error + 'static)>;

/// Finds an error of type `E`.
pub(crate) fn known<E: Error + 'static>(value: &dyn Any) -> Option<&(dyn Error + 'static)> {
    value.downcast_ref::<E>().map(|error| error as _)
}

/// Errors that the standard library has, and what it holds any error in.
const OF_STD: [KnownError; 18] = [
    |value| Some(&**value.downcast_ref::<Box<dyn Error + Send + Sync>>()?),
    |value| Some(&**value.downcast_ref::<Box<dyn Error + Send>>()?),
    |value| Some(&**value.downcast_ref::<Box<dyn Error>>()?),
    |value| Some(&**value.downcast_ref::<Arc<dyn Error + Send + Sync>>()?),
    |value| Some(&**value.downcast_ref::<Arc<dyn Error>>()?),
    |value| Some(&**value.downcast_ref::<Rc<dyn Error>>()?),
    |value| Some(&**value.downcast_ref::<Arc<io::Error>>()?),
    known::<io::Error>,
    known::<fmt::Error>,
    known::<str::Utf8Error>,
    known::<string::FromUtf8Error>,
    known::<num::ParseIntError>,
    known::<num::ParseFloatError>,
    known::<num::TryFromIntError>,
    known::<str::ParseBoolError>,
    known::<array::TryFromSliceError>,
    known::<net::AddrParseError>,
    known::<time::SystemTimeError>,
];

fn of_std(value: &dyn Any) -> Option<&(dyn Error + 'static)> {
    OF_STD.iter().find_map(|known| known(value))
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => error.fmt(f),
            Self::Debug(error) => error.fmt(f),
        }
    }
}

impl fmt::Debug for HandlerError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HandlerError").field(&self.text).finish()
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
pub(crate) fn by_type_name(error: &HandlerError<'_>) -> Option<Cow<'static, str>> {
    Some(Cow::Borrowed(error.error_type()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `error.type`, `exception.type` and the message.
    type Told = (&'static str, Option<&'static str>, String);

    fn told(error: HandlerError<'_>) -> Told {
        let ErrorDetails::Exception(exception) = error.details(|_| None) else {
            return (error.error_type(), None, String::new());
        };
        (error.error_type(), exception.name, exception.message)
    }

    fn returned<E: fmt::Debug + 'static>(error: E) -> Option<Told> {
        Err::<(), E>(error).error().map(told)
    }

    #[test]
    fn an_error_of_any_type_has_a_message_and_a_type() {
        #[derive(Debug)]
        struct OutOfStock {
            #[expect(dead_code, reason = "it is shown")]
            order: u32,
        }
        let of_any = |text: &str| Some(("_OTHER", None, text.to_owned()));
        let named = |name, text: &str| Some((name, Some(name), text.to_owned()));
        let full = || io::Error::other("no stock");
        let own = type_name::<OutOfStock>();
        let io_error = type_name::<io::Error>();

        assert_eq!(returned("no stock"), of_any("no stock"));
        assert_eq!(returned(String::from("no stock")), of_any("no stock"));
        assert_eq!(returned(Cow::Borrowed("no stock")), of_any("no stock"));
        assert_eq!(returned(()), of_any("()"));
        assert_eq!(returned(404), of_any("404"));
        let boxed: Box<dyn Error + Send + Sync> = full().into();
        assert_eq!(returned(boxed), of_any("no stock"));
        let boxed: Box<dyn Error + Send> = Box::new(full());
        assert_eq!(returned(boxed), of_any("no stock"));
        let boxed: Box<dyn Error> = Box::new(full());
        assert_eq!(returned(boxed), of_any("no stock"));
        let shared: Arc<dyn Error + Send + Sync> = Arc::new(full());
        assert_eq!(returned(shared), of_any("no stock"));
        assert_eq!(
            returned(anyhow::anyhow!("no stock").context("order 7")),
            of_any("order 7\n\nCaused by:\n    no stock")
        );
        assert_eq!(returned(full()), named(io_error, "no stock"));
        assert_eq!(returned(Arc::new(full())), named(io_error, "no stock"));
        assert_eq!(
            returned(OutOfStock { order: 7 }),
            named(own, "OutOfStock { order: 7 }")
        );
    }

    #[test]
    fn an_error_that_displays_itself_is_told_so_and_with_its_causes() {
        #[derive(Debug)]
        struct Unpaid(num::ParseIntError);
        impl fmt::Display for Unpaid {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("unpaid")
            }
        }
        impl Error for Unpaid {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&self.0)
            }
        }
        let unpaid = "seven".parse::<u32>().map_err(Unpaid).err();
        let displayed = "unpaid: invalid digit found in string";

        let by_itself = unpaid.as_ref().map(HandlerError::of_error).map(told);
        let of_client = unpaid.as_ref().map(HandlerError::new);
        let of_client = of_client.map(|error| error.details(known::<Unpaid>).description());

        let name = type_name::<Unpaid>();
        assert_eq!(by_itself, Some((name, Some(name), displayed.to_owned())));
        assert_eq!(of_client.as_deref(), Some(displayed));
    }

    #[test]
    fn a_backtrace_is_no_part_of_the_message() {
        let text = "order 7\n\nStack backtrace:\n   0: main";
        let details = HandlerError::new(&text).details(|_| None);

        let ErrorDetails::Exception(exception) = details else {
            unreachable!("an error is an exception");
        };
        assert_eq!(exception.message, "order 7");
        assert_eq!(exception.stacktrace.as_deref(), Some("   0: main"));
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
