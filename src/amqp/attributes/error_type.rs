//! What can become of a message: its `error.type`, and whether its size is to blame.

use lapin::message::BasicReturnMessage;
use lapin::protocol::{AMQPErrorKind, AMQPHardError as Hard, AMQPSoftError as Soft};
use lapin::{Confirmation, Error, ErrorKind};

use crate::semconv::outcome::OTHER;

/// `error.type` of a client error: the name of the broker's reply code, `not-found` for instance.
///
/// Errors that the client found itself are named by their kind, `invalid-channel-state` for
/// instance. What the client may come to know later is `_OTHER`.
///
/// Spec: [RabbitMQ § RabbitMQ spans], `error.type`.
///
/// [RabbitMQ § RabbitMQ spans]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/rabbitmq.md#rabbitmq-spans
pub(in crate::amqp) fn error_type(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::ProtocolError(error) => reply_code(error.kind()),
        ErrorKind::ChannelsLimitReached => "channels-limit-reached",
        ErrorKind::InvalidProtocolVersion(_) => "invalid-protocol-version",
        ErrorKind::InvalidChannel(_) => "invalid-channel",
        ErrorKind::InvalidChannelState(..) => "invalid-channel-state",
        ErrorKind::InvalidConnectionState(_) => "invalid-connection-state",
        ErrorKind::IOError(_) => "io-error",
        ErrorKind::RuntimeShutdownError(_) => "runtime-shutdown",
        ErrorKind::ParsingError(_) => "parsing-error",
        ErrorKind::SerialisationError(_) => "serialisation-error",
        ErrorKind::AuthProviderError(_) => "auth-provider-error",
        ErrorKind::FutureCompleted => "future-completed",
        ErrorKind::NoDefaultRuntime => "no-default-runtime",
        ErrorKind::MissingHeartbeatError => "missing-heartbeat",
        _ => OTHER,
    }
}

/// What the broker says of a message that it took.
pub(super) const ACK: &str = "ack";

/// What the broker said, as [`CONFIRMATION`](super::CONFIRMATION) has it, and `error.type` where it is
/// no success.
pub(in crate::amqp) fn answer(confirmation: &Confirmation) -> (&'static str, Option<&'static str>) {
    match confirmation {
        Confirmation::Ack(None) => (ACK, None),
        // The broker has taken the message, and had no queue for it.
        Confirmation::Ack(Some(message)) => ("returned", Some(returned(message))),
        Confirmation::Nack(_) => ("nack", Some("nack")),
        Confirmation::NotRequested => ("not_requested", None),
    }
}

/// `error.type` of a message that the broker took and gave back, `no-route` mostly.
fn returned(message: &BasicReturnMessage) -> &'static str {
    AMQPErrorKind::from_id(message.reply_code).map_or(OTHER, |kind| reply_code(&kind))
}

/// Whether the broker refuses a message for its size. With the channel or the connection, all that
/// were on their way there are refused: it does not say which one was too large.
///
/// RabbitMQ has one code for whatever condition a message fails to meet, and says which in the text.
pub(in crate::amqp) fn is_for_size(error: &Error) -> bool {
    let ErrorKind::ProtocolError(error) = error.kind() else {
        return false;
    };
    match error.kind() {
        AMQPErrorKind::Soft(Soft::PRECONDITIONFAILED) => {
            error.get_message().as_str().contains("message size")
        }
        kind => is_size(kind),
    }
}

/// Whether the broker gives a message back for its size.
pub(in crate::amqp) fn is_returned_for_size(confirmation: &Confirmation) -> bool {
    match confirmation {
        Confirmation::Ack(Some(message)) | Confirmation::Nack(Some(message)) => {
            AMQPErrorKind::from_id(message.reply_code).is_some_and(|kind| is_size(&kind))
        }
        Confirmation::Ack(None) | Confirmation::Nack(None) | Confirmation::NotRequested => false,
    }
}

const fn is_size(kind: &AMQPErrorKind) -> bool {
    matches!(
        kind,
        AMQPErrorKind::Soft(Soft::CONTENTTOOLARGE) | AMQPErrorKind::Hard(Hard::FRAMEERROR)
    )
}

const fn reply_code(kind: &AMQPErrorKind) -> &'static str {
    match kind {
        AMQPErrorKind::Soft(error) => match error {
            Soft::CONTENTTOOLARGE => "content-too-large",
            Soft::NOROUTE => "no-route",
            Soft::NOCONSUMERS => "no-consumers",
            Soft::ACCESSREFUSED => "access-refused",
            Soft::NOTFOUND => "not-found",
            Soft::RESOURCELOCKED => "resource-locked",
            Soft::PRECONDITIONFAILED => "precondition-failed",
        },
        AMQPErrorKind::Hard(error) => match error {
            Hard::CONNECTIONFORCED => "connection-forced",
            Hard::INVALIDPATH => "invalid-path",
            Hard::FRAMEERROR => "frame-error",
            Hard::SYNTAXERROR => "syntax-error",
            Hard::COMMANDINVALID => "command-invalid",
            Hard::CHANNELERROR => "channel-error",
            Hard::UNEXPECTEDFRAME => "unexpected-frame",
            Hard::RESOURCEERROR => "resource-error",
            Hard::NOTALLOWED => "not-allowed",
            Hard::NOTIMPLEMENTED => "not-implemented",
            Hard::INTERNALERROR => "internal-error",
        },
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::expect_used, reason = "a test panics where it fails")]

    use std::io;

    use lapin::protocol::AMQPError;

    use super::*;

    #[test]
    fn a_reply_code_has_the_name_that_the_protocol_gives_it() {
        let codes = [
            311, 312, 313, 320, 402, 403, 404, 405, 406, 501, 502, 503, 504, 505, 506, 530, 540,
            541,
        ];

        for code in codes {
            let error = AMQPError::from_id(code, "".into()).expect("a reply code");
            let name = match error.kind() {
                AMQPErrorKind::Soft(error) => error.to_string(),
                AMQPErrorKind::Hard(error) => error.to_string(),
            };
            let error = Error::from(ErrorKind::ProtocolError(error));
            assert_eq!(error_type(&error), name.to_lowercase());
        }
    }

    #[test]
    fn a_broker_says_by_code_or_by_text_that_a_message_is_too_large() {
        let rows = [
            (311, "CONTENT_TOO_LARGE", true),
            (
                501,
                "FRAME_ERROR - type 2, all octets = <<>>: {frame_too_large,5101,4088}",
                true,
            ),
            (
                406,
                "PRECONDITION_FAILED - message size 134217729 is larger than max size 134217728",
                true,
            ),
            (
                406,
                "PRECONDITION_FAILED - message size 2049 is larger than configured max size 2048",
                true,
            ),
            (406, "PRECONDITION_FAILED - unknown delivery tag 7", false),
            (404, "NOT_FOUND - no exchange 'message size'", false),
            (541, "INTERNAL_ERROR", false),
        ];

        for (code, text, expected) in rows {
            let error = AMQPError::from_id(code, text.into()).expect("a reply code");
            let error = Error::from(ErrorKind::ProtocolError(error));
            assert_eq!(is_for_size(&error), expected, "{text}");
        }
        let text = io::Error::other("message size");
        assert!(!is_for_size(&Error::from(text)), "nothing of the broker's");
    }

    #[test]
    fn errors_of_the_client_are_named_by_their_kind() {
        let errors = [
            (Error::from(io::Error::other("broken pipe")), "io-error"),
            (
                Error::from(ErrorKind::MissingHeartbeatError),
                "missing-heartbeat",
            ),
            (Error::from(ErrorKind::InvalidChannel(7)), "invalid-channel"),
        ];

        for (error, expected) in errors {
            assert_eq!(error_type(&error), expected);
        }
    }
}
