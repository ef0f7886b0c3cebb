//! What the command is given of a stream of NATS by no consumer: the headers of a stored message, and what is told of
//! a dead one.

#[path = "../../src/bin/otel-messaging/brokers/nats/advisory.rs"]
mod advisory;
#[path = "../../src/bin/otel-messaging/brokers/nats/headers.rs"]
mod headers;

use std::collections::BTreeMap;

use async_nats::HeaderMap;
use serde_json::Value;

use self::advisory::Advisory;
use self::headers::headers;
use crate::command::in_bounds;
use crate::facts::Facts;

/// The block of headers of a message, or the payload of an advisory.
pub fn check(input: &[u8]) {
    block(input);
    for (subject, reason) in SUBJECTS {
        advisory(subject, reason, input);
    }
}

/// The values of each name, in order.
type Headers = BTreeMap<String, Vec<String>>;

fn block(input: &[u8]) {
    let read = headers(input).as_ref().map(plain);
    assert_eq!(read, reference(input));
    let Some(read) = read else { return };
    // What begins with a blank was in a line of its own, and would not be again.
    let is_written_so = |value: &String| !value.starts_with(char::is_whitespace);
    if read.values().flatten().all(is_written_so) {
        let mut written = "NATS/1.0\r\n".to_owned();
        for (name, values) in &read {
            for value in values {
                written += &format!("{name}: {value}\r\n");
            }
        }
        written += "\r\n";
        let again = headers(written.as_bytes());
        assert_eq!(again.as_ref().map(plain), Some(read));
    }
}

fn plain(headers: &HeaderMap) -> Headers {
    let headers = headers.iter().map(|(name, values)| {
        let values = values.iter().map(|value| value.as_str().to_owned());
        (name.to_string(), values.collect())
    });
    headers.collect()
}

/// As the format of NATS has it, and its client for Rust: a line of the version, with or without a status, and a line for
/// each value. A line behind it that begins with a blank belongs to it.
fn reference(block: &[u8]) -> Option<Headers> {
    let mut lines = lines(str::from_utf8(block).ok()?).into_iter();
    let mut status = lines.next()?.strip_prefix("NATS/1.0")?.trim().split(' ');
    let code = status.next().unwrap_or_default().trim().as_bytes();
    if !matches!(code, [] | [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9']) {
        return None;
    }

    let mut fields = Vec::<(String, String)>::new();
    let mut is_in_field = false;
    for line in lines {
        if line.starts_with(char::is_whitespace) {
            // Of no value, and no name begins so.
            let (_, value) = fields.last_mut().filter(|_| is_in_field)?;
            *value += line;
            continue;
        }
        is_in_field = !line.is_empty();
        if is_in_field {
            let colon = line.find(':')?;
            let (name, value) = (line.get(..colon)?, line.get(colon + 1..)?);
            if !name.bytes().all(|byte| (b'!'..=b'~').contains(&byte)) {
                return None;
            }
            fields.push((name.to_owned(), value.trim_start().to_owned()));
        }
    }

    let mut headers = Headers::new();
    for (name, value) in fields {
        let value = value.trim_end();
        if value.contains('\r') {
            return None;
        }
        headers.entry(name).or_default().push(value.to_owned());
    }
    Some(headers)
}

/// Each without its end; what is behind the last end is one if there is anything.
fn lines(mut text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    while let Some((line, rest)) = text.split_once('\n') {
        lines.push(line.strip_suffix('\r').unwrap_or(line));
        text = rest;
    }
    if !text.is_empty() {
        lines.push(text);
    }
    lines
}

/// With what the server says by them of a dead message.
const SUBJECTS: [(&str, Option<&str>); 3] = [
    (
        "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.ORDERS.billing",
        Some("max_deliveries"),
    ),
    (
        "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.ORDERS.billing",
        Some("terminated"),
    ),
    ("$JS.EVENT.ADVISORY.CONSUMER.CREATED.ORDERS.billing", None),
];

fn advisory(subject: &str, reason: Option<&str>, input: &[u8]) {
    let read = Advisory::read(subject, input);
    assert_eq!(read, Advisory::read(subject, input));
    let told = serde_json::from_slice::<Value>(input).unwrap_or_default();
    let text = |name: &str| text(told.get(name));
    let sequence = told.get("stream_seq").and_then(Value::as_u64);
    let (stream, consumer, message) = (text("stream"), text("consumer"), text("reason"));
    let is_one = [&stream, &consumer].iter().all(|name| name.is_some());
    let Some(read) = read else {
        assert!(reason.is_none() || !is_one || sequence.is_none());
        return;
    };

    let said = read.not_looked_up("the stream \x1b[2J\r\ncannot be found");
    assert!(!said.contains(char::is_control), "{said:?}");
    let facts = read.add_to(Facts::default());
    let expected = Facts {
        died_in: stream,
        died_offset: sequence,
        given_up_by: consumer,
        reason: reason.map(str::to_owned),
        message,
        attempts: told.get("deliveries").and_then(Value::as_u64),
        is_in_place: true,
        ..Facts::default()
    };
    assert_eq!(facts, expected);
    in_bounds(&facts);
    assert!(facts.is_dead());
}

/// The begin of a text that has anything in it.
fn text(value: Option<&Value>) -> Option<String> {
    let Value::String(text) = value? else {
        return None;
    };
    let begin: String = text.trim().chars().take(256).collect();
    (!begin.is_empty()).then_some(begin)
}
