//! One message of a stream, by its number. Any stream gives it, also one that lets nobody but workers consume.
//!
//! The client's own call for that keeps one value of each header.

use std::time::SystemTime;

use async_nats::Message;
use async_nats::jetstream::context::RequestError;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::RawMessage;
use async_nats::jetstream::{Context, ErrorCode};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::headers::headers;

/// One that is there.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) sequence: u64,
    /// When it was stored.
    pub(super) time: SystemTime,
    /// As it is delivered; without headers, where they cannot be read.
    pub(super) message: Message,
    /// Its headers are such that this client would deliver it.
    pub(super) is_readable: bool,
}

#[derive(Deserialize)]
struct Answer {
    message: RawMessage,
}

/// The one with this number, where it is still there.
pub(super) async fn get(
    context: &Context,
    stream: &str,
    sequence: u64,
) -> Result<Option<Stored>, String> {
    ask(context, stream, &json!({ "seq": sequence })).await
}

/// The first one from there on with a subject that matches.
pub(super) async fn next(
    context: &Context,
    stream: &str,
    subject: &str,
    sequence: u64,
) -> Result<Option<Stored>, String> {
    let wanted = json!({ "seq": sequence, "next_by_subj": subject });
    ask(context, stream, &wanted).await
}

async fn ask(context: &Context, stream: &str, wanted: &Value) -> Result<Option<Stored>, String> {
    if !is_name(stream) {
        return Err("no stream has such a name".to_owned());
    }
    let asked = format!("STREAM.MSG.GET.{stream}");
    let answer = context.request(asked, wanted).await;
    let mut message = match answer.map_err(|error: RequestError| error.to_string())? {
        Response::Ok(Answer { message }) => message,
        Response::Err { error } => {
            return match error.error_code() {
                ErrorCode::NO_MESSAGE_FOUND => Ok(None),
                ErrorCode::STREAM_NOT_FOUND => Err("the stream cannot be found".to_owned()),
                _ => Err(error.to_string()),
            };
        }
    };
    let (sequence, time) = (message.sequence, SystemTime::from(message.time));
    let (headers, is_readable) = match message.headers.take() {
        None => (None, true),
        Some(encoded) => {
            let headers = decoded(encoded, &message).as_deref().and_then(headers);
            let is_readable = headers.is_some();
            (headers, is_readable)
        }
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
    Ok(Some(Stored {
        sequence,
        time,
        message,
        is_readable,
    }))
}

/// Of another name, the server would be asked something else.
fn is_name(stream: &str) -> bool {
    let is_special = |c: char| c.is_whitespace() || c.is_control() || ".*>".contains(c);
    !stream.is_empty() && !stream.contains(is_special)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_no_stream_is_asked_of_no_server() {
        for name in ["ORDERS", "orders-eu_1", "größe"] {
            assert!(is_name(name), "{name:?}");
        }
        for name in ["", "a.b", "a b", "*", "a>", "a\r\nPUB x 0", "a\u{7f}"] {
            assert!(!is_name(name), "{name:?}");
        }
    }
}
