//! `error.type` of what the client reports.
//!
//! | value | the client's error |
//! |---|---|
//! | `invalid_subject` | the subject is malformed |
//! | `max_payload_exceeded` | the message is larger than the server takes |
//! | `send_failed` | the client has stopped, as publishing without an answer and `ack`, `nak` and `term` find; the client's errors of requests, of publishing into streams and of settling with an answer do not tell it, and have `_OTHER` |
//! | `no_responders` | nobody listens to the subject of a request, or there is no JetStream to ask for messages |
//! | `service_error_` with the service's code, `service_error_400` for one | a micro-service answers with an error of a code of up to three digits |
//! | `service_error` | a micro-service answers with an error of another code, or of none |
//! | `timeout` | no answer to a request, no acknowledgement by a stream, in time |
//! | `stream_not_found` | no stream listens to the subject |
//! | `wrong_last_message_id`, `wrong_last_sequence` | the stream is not where the publisher expects it |
//! | `max_ack_pending` | too many acknowledgements are awaited |
//! | `broken_pipe` | the acknowledgement cannot come any more |
//! | `jetstream_` with the server's number, `jetstream_10077` for one | the stream refused the message |
//! | `missing_heartbeat` | a consumer's server has not been heard of for too long |
//! | `consumer_deleted` | the consumer is no longer there |
//! | `push_based_consumer`, `pull_based_consumer` | the consumer is of the other kind |
//! | `request_limit_exceeded` | a consumer asks for more than it may |
//! | `pull_failed` | the client could not ask for messages |
//! | `recreate_failed` | an ordered consumer could not be made anew |
//! | `_OTHER` | any other |

use std::any::Any;
use std::borrow::Cow;
use std::error::Error;
use std::io;

use async_nats::client::{
    FlushError, PublishError, PublishErrorKind, RequestError, RequestErrorKind, SubscribeError,
};
use async_nats::jetstream::consumer::pull::{self, BatchError};
use async_nats::jetstream::consumer::push;
use async_nats::jetstream::context as jetstream;
use async_nats::service::{NATS_SERVICE_ERROR, NATS_SERVICE_ERROR_CODE};
use async_nats::{HeaderMap, HeaderValue};

use crate::semconv::exception::ErrorDetails;
use crate::semconv::outcome::{KnownError, OTHER, known};

const TIMEOUT: &str = "timeout";
const NO_RESPONDERS: &str = "no_responders";
const MISSING_HEARTBEAT: &str = "missing_heartbeat";
const CONSUMER_DELETED: &str = "consumer_deleted";
const PUSH_BASED_CONSUMER: &str = "push_based_consumer";
const PULL_BASED_CONSUMER: &str = "pull_based_consumer";
const REQUEST_LIMIT_EXCEEDED: &str = "request_limit_exceeded";
const PULL_FAILED: &str = "pull_failed";
const RECREATE_FAILED: &str = "recreate_failed";
const INVALID_SUBJECT: &str = "invalid_subject";
const MAX_PAYLOAD_EXCEEDED: &str = "max_payload_exceeded";
const SERVICE_ERROR: &str = "service_error";

/// Digits of a micro-service's error code that is one of few, as those of HTTP are.
const MAX_DIGITS: usize = 3;

/// Finds a client's error.
pub(super) fn known_error(value: &dyn Any) -> Option<&(dyn Error + 'static)> {
    let known: [KnownError; 6] = [
        known::<PublishError>,
        known::<RequestError>,
        known::<SubscribeError>,
        known::<FlushError>,
        known::<jetstream::PublishError>,
        known::<async_nats::jetstream::Error>,
    ];
    known.iter().find_map(|known| known(value))
}

pub(crate) fn of_publish(error: &PublishError) -> &'static str {
    match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => MAX_PAYLOAD_EXCEEDED,
        PublishErrorKind::InvalidSubject => INVALID_SUBJECT,
        PublishErrorKind::Send => "send_failed",
    }
}

pub(crate) fn of_request(error: &RequestError) -> &'static str {
    match error.kind() {
        RequestErrorKind::TimedOut => TIMEOUT,
        RequestErrorKind::NoResponders => NO_RESPONDERS,
        RequestErrorKind::InvalidSubject => INVALID_SUBJECT,
        RequestErrorKind::MaxPayloadExceeded => MAX_PAYLOAD_EXCEEDED,
        RequestErrorKind::Other => OTHER,
    }
}

/// What a micro-service says that went wrong with the request that it answers: the type of the error,
/// and its text.
pub(crate) fn of_answer(headers: Option<&HeaderMap>) -> Option<(Cow<'static, str>, &str)> {
    let headers = headers?;
    let code = headers.get(NATS_SERVICE_ERROR_CODE);
    let text = headers.get(NATS_SERVICE_ERROR);
    code.or(text)?;
    let text = text.map_or("", HeaderValue::as_str);
    Some((of_code(code.map_or("", HeaderValue::as_str)), text))
}

fn of_code(code: &str) -> Cow<'static, str> {
    let is_number = code.bytes().all(|digit| digit.is_ascii_digit());
    let is_short = (1..=MAX_DIGITS).contains(&code.len());
    if is_number && is_short {
        format!("{SERVICE_ERROR}_{code}").into()
    } else {
        SERVICE_ERROR.into()
    }
}

pub(crate) fn of_jetstream_publish(error: &jetstream::PublishError) -> Cow<'static, str> {
    use jetstream::PublishErrorKind as Kind;

    let error_type = match error.kind() {
        Kind::StreamNotFound => "stream_not_found",
        Kind::WrongLastMessageId => "wrong_last_message_id",
        Kind::WrongLastSequence => "wrong_last_sequence",
        Kind::TimedOut => TIMEOUT,
        Kind::BrokenPipe => "broken_pipe",
        Kind::MaxAckPending => "max_ack_pending",
        Kind::MaxPayloadExceeded => MAX_PAYLOAD_EXCEEDED,
        Kind::Other => return of_source(error),
    };
    error_type.into()
}

/// What the server said, or the client of the subject.
fn of_source(error: &jetstream::PublishError) -> Cow<'static, str> {
    let Some(source) = error.source() else {
        return OTHER.into();
    };
    if let Some(refused) = source.downcast_ref::<async_nats::jetstream::Error>() {
        return format!("jetstream_{}", refused.error_code().0).into();
    }
    if source.is::<async_nats::SubjectError>() {
        return INVALID_SUBJECT.into();
    }
    OTHER.into()
}

pub(crate) fn of_settle(error: &async_nats::Error) -> &'static str {
    if let Some(error) = error.downcast_ref::<PublishError>() {
        return of_publish(error);
    }
    match error.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::TimedOut) => TIMEOUT,
        _ => OTHER,
    }
}

/// What is told of a message that could not be settled.
pub(crate) fn why_not_settled(error: &async_nats::Error) -> ErrorDetails {
    match error.downcast_ref::<PublishError>() {
        Some(error) => ErrorDetails::from_error(error),
        None => ErrorDetails::from_any_error(&**error),
    }
}

/// The error of one of the streams that a consumer has, each of which has a type of its own.
pub(crate) fn of_receive<E: Any>(error: &E) -> &'static str {
    let error: &dyn Any = error;
    if let Some(error) = error.downcast_ref::<pull::MessagesError>() {
        of_pull(error)
    } else if let Some(error) = error.downcast_ref::<pull::OrderedError>() {
        of_ordered_pull(error)
    } else if let Some(error) = error.downcast_ref::<push::MessagesError>() {
        of_push(error)
    } else if let Some(error) = error.downcast_ref::<push::OrderedError>() {
        of_ordered_push(error)
    } else if error.is::<BatchError>() {
        PULL_FAILED
    } else {
        OTHER
    }
}

fn of_pull(error: &pull::MessagesError) -> &'static str {
    use pull::MessagesErrorKind as Kind;

    match error.kind() {
        Kind::MissingHeartbeat => MISSING_HEARTBEAT,
        Kind::ConsumerDeleted => CONSUMER_DELETED,
        Kind::Pull => PULL_FAILED,
        Kind::PushBasedConsumer => PUSH_BASED_CONSUMER,
        Kind::NoResponders => NO_RESPONDERS,
        Kind::RequestLimitExceeded => REQUEST_LIMIT_EXCEEDED,
        Kind::Other => OTHER,
    }
}

fn of_ordered_pull(error: &pull::OrderedError) -> &'static str {
    use pull::OrderedErrorKind as Kind;

    match error.kind() {
        Kind::MissingHeartbeat => MISSING_HEARTBEAT,
        Kind::ConsumerDeleted => CONSUMER_DELETED,
        Kind::Pull => PULL_FAILED,
        Kind::PushBasedConsumer => PUSH_BASED_CONSUMER,
        Kind::Recreate => RECREATE_FAILED,
        Kind::NoResponders => NO_RESPONDERS,
        Kind::RequestLimitExceeded => REQUEST_LIMIT_EXCEEDED,
        Kind::Other => OTHER,
    }
}

fn of_push(error: &push::MessagesError) -> &'static str {
    use push::MessagesErrorKind as Kind;

    match error.kind() {
        Kind::MissingHeartbeat => MISSING_HEARTBEAT,
        Kind::ConsumerDeleted => CONSUMER_DELETED,
        Kind::PullBasedConsumer => PULL_BASED_CONSUMER,
        Kind::Other => OTHER,
    }
}

fn of_ordered_push(error: &push::OrderedError) -> &'static str {
    use push::OrderedErrorKind as Kind;

    match error.kind() {
        Kind::MissingHeartbeat => MISSING_HEARTBEAT,
        Kind::ConsumerDeleted => CONSUMER_DELETED,
        Kind::PullBasedConsumer => PULL_BASED_CONSUMER,
        Kind::Recreate => RECREATE_FAILED,
        Kind::Other => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_type_of_their_kind() {
        let kind = jetstream::PublishErrorKind::Other;
        let by_server = toml::from_str("code = 400\nerr_code = 10077").map(|refused| {
            let refused: async_nats::jetstream::Error = refused;
            jetstream::PublishError::with_source(kind, refused)
        });
        let by_client =
            jetstream::PublishError::with_source(kind, async_nats::SubjectError::InvalidFormat);
        let bare = jetstream::PublishError::new(kind);

        let by_server = by_server.map(|error| of_jetstream_publish(&error));
        assert_eq!(by_server, Ok("jetstream_10077".into()));
        assert_eq!(of_jetstream_publish(&by_client), "invalid_subject");
        assert_eq!(of_jetstream_publish(&bare), "_OTHER");
    }

    #[test]
    fn what_a_micro_service_answers_is_an_error_where_it_says_so() {
        let rows = [
            (None, None, None),
            (
                Some("400"),
                Some("no id"),
                Some(("service_error_400", "no id")),
            ),
            (Some("7"), None, Some(("service_error_7", ""))),
            (None, Some("no id"), Some(("service_error", "no id"))),
            (Some(""), Some(""), Some(("service_error", ""))),
            (Some("10077"), Some("gone"), Some(("service_error", "gone"))),
            (Some("-1"), None, Some(("service_error", ""))),
            (Some("a\u{1b}b"), None, Some(("service_error", ""))),
            (Some("４００"), None, Some(("service_error", ""))),
        ];

        assert_eq!(of_answer(None), None);
        for (code, text, expected) in rows {
            let mut headers = HeaderMap::new();
            headers.insert("X-Other", "400");
            let code = code.map(|code| (NATS_SERVICE_ERROR_CODE, code));
            let text = text.map(|text| (NATS_SERVICE_ERROR, text));
            for (name, value) in code.into_iter().chain(text) {
                headers.insert(name, value);
            }

            let found = of_answer(Some(&headers));
            let found = found.as_ref().map(|(of_type, text)| (&**of_type, *text));
            assert_eq!(found, expected, "{headers:?}");
        }
    }

    #[test]
    fn the_error_of_each_kind_of_consumer_has_the_type_of_its_kind() {
        use pull::{BatchErrorKind, MessagesErrorKind as Pull, OrderedErrorKind as OrderedPull};
        use push::{MessagesErrorKind as Push, OrderedErrorKind as OrderedPush};

        let pull = |kind| of_receive(&pull::MessagesError::new(kind));
        let ordered_pull = |kind| of_receive(&pull::OrderedError::new(kind));
        let push = |kind| of_receive(&push::MessagesError::new(kind));
        let ordered_push = |kind| of_receive(&push::OrderedError::new(kind));
        let opaque: async_nats::Error = "409, \"Consumer Deleted\"".into();

        let rows = [
            (pull(Pull::MissingHeartbeat), MISSING_HEARTBEAT),
            (pull(Pull::RequestLimitExceeded), REQUEST_LIMIT_EXCEEDED),
            (ordered_pull(OrderedPull::NoResponders), NO_RESPONDERS),
            (ordered_pull(OrderedPull::Recreate), RECREATE_FAILED),
            (push(Push::ConsumerDeleted), CONSUMER_DELETED),
            (push(Push::PullBasedConsumer), PULL_BASED_CONSUMER),
            (ordered_push(OrderedPush::Other), OTHER),
            (
                of_receive(&BatchError::new(BatchErrorKind::Flush)),
                PULL_FAILED,
            ),
            (of_receive(&opaque), OTHER),
        ];
        for (found, expected) in rows {
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_settle_that_timed_out_says_so() {
        let timed_out: async_nats::Error = io::Error::from(io::ErrorKind::TimedOut).into();
        let other: async_nats::Error = "no reply subject".into();

        assert_eq!(of_settle(&timed_out), "timeout");
        assert_eq!(of_settle(&other), "_OTHER");
    }
}
