//! One message of a stream, by its number. Any stream gives it, also one that lets nobody but workers consume.
//!
//! The client's own call for that keeps one value of each header.

use std::str::FromStr as _;
use std::time::SystemTime;

use async_nats::header::HeaderName;
use async_nats::jetstream::context::RequestError;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::RawMessage;
use async_nats::jetstream::{Context, ErrorCode};
use async_nats::{HeaderMap, HeaderValue, Message};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

/// What there is of it.
#[derive(Debug)]
pub(super) enum Stored {
    /// As it is delivered, and when it was stored.
    Whole(Box<Message>, SystemTime),
    /// Its headers are none that this client would deliver.
    Unreadable,
    /// It is not there any more, or its stream is not.
    Gone,
}

#[derive(Deserialize)]
struct Answer {
    message: RawMessage,
}

pub(super) async fn get(context: &Context, stream: &str, sequence: u64) -> Result<Stored, String> {
    let answered = ask(context, stream, &json!({ "seq": sequence })).await?;
    Ok(answered.map_or(Stored::Gone, |(_, stored)| stored))
}

/// The first one from there on with a subject that matches, and its number.
pub(super) async fn next(
    context: &Context,
    stream: &str,
    subject: &str,
    sequence: u64,
) -> Result<Option<(u64, Stored)>, String> {
    let wanted = json!({ "seq": sequence, "next_by_subj": subject });
    ask(context, stream, &wanted).await
}

async fn ask(
    context: &Context,
    stream: &str,
    wanted: &Value,
) -> Result<Option<(u64, Stored)>, String> {
    let asked = format!("STREAM.MSG.GET.{stream}");
    let answer = context.request(asked, wanted).await;
    let mut message = match answer.map_err(|error: RequestError| error.to_string())? {
        Response::Ok(Answer { message }) => message,
        Response::Err { error } => {
            let is_gone = [ErrorCode::NO_MESSAGE_FOUND, ErrorCode::STREAM_NOT_FOUND];
            return match is_gone.contains(&error.error_code()) {
                true => Ok(None),
                false => Err(error.to_string()),
            };
        }
    };
    let (sequence, time) = (message.sequence, SystemTime::from(message.time));
    let headers = match message.headers.take() {
        None => None,
        Some(encoded) => match decoded(encoded, &message).as_deref().and_then(headers) {
            Some(headers) => Some(headers),
            None => return Ok(Some((sequence, Stored::Unreadable))),
        },
    };
    let message = StreamMessage::try_from(message).map_err(|error| error.to_string())?;
    let message = Message {
        subject: message.subject,
        reply: None,
        length: message.payload.len(),
        headers,
        payload: message.payload,
        status: None,
        description: None,
    };
    Ok(Some((sequence, Stored::Whole(Box::new(message), time))))
}

/// Headers are encoded as payloads are, which the client decodes.
fn decoded(encoded: String, message: &RawMessage) -> Option<Bytes> {
    let message = RawMessage {
        subject: String::new(),
        sequence: 0,
        payload: encoded,
        headers: None,
        time: message.time,
    };
    StreamMessage::try_from(message)
        .ok()
        .map(|message| message.payload)
}

/// Headers as the client reads them when they are delivered.
fn headers(block: &[u8]) -> Option<HeaderMap> {
    let mut lines = str::from_utf8(block).ok()?.lines().peekable();
    lines.next()?.strip_prefix("NATS/1.0")?;
    let mut headers = HeaderMap::new();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let (name, value) = line.split_once(':')?;
        let mut value = value.trim_start().to_owned();
        while let Some(more) = lines.next_if(|line| line.starts_with(char::is_whitespace)) {
            value.push_str(more);
        }
        let value = HeaderValue::from_str(value.trim_end()).ok()?;
        headers.append(HeaderName::from_str(name).ok()?, value);
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_values_of_a_name_are_kept() {
        let block = b"NATS/1.0\r\nnote: one \r\nnote:two\r\nlong: a\r\n b\r\nempty:\r\n\r\n";
        let mut expected = HeaderMap::new();
        for (name, value) in [
            ("note", "one"),
            ("note", "two"),
            ("long", "a b"),
            ("empty", ""),
        ] {
            expected.append(name, value);
        }
        assert_eq!(headers(block), Some(expected));
    }

    #[test]
    fn what_the_client_does_not_deliver_cannot_be_read() {
        for block in [
            b"".as_slice(),
            b"note: one",
            b"NATS/1.0\r\nnote\r\n",
            b"NATS/1.0\r\nnote: \xff\r\n",
            b"NATS/1.0\r\nno te: one\r\n",
        ] {
            assert_eq!(headers(block), None, "{block:?}");
        }
    }
}
