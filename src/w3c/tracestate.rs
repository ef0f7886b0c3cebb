//! The `tracestate` header: what each tracing system on the way wants to remember.

use opentelemetry::trace::TraceState;

use super::OWS;

/// A list as it was received.
#[derive(Debug, Default)]
pub(super) struct Received {
    /// The members that the API's type can hold, in their order.
    pub(super) held: TraceState,
    /// All members, unset when `held` has them all: the API refuses keys that level 2 allows.
    pub(super) complete: Option<String>,
}

/// Reads header values as one list; `None` when it has no member, an illegal one, or more than 32.
///
/// Space and tab around members and empty members are left out, duplicates are kept. A value that is
/// not UTF-8 counts as absent.
///
/// Spec: [Trace Context Level 2 § Tracestate Header].
///
/// [Trace Context Level 2 § Tracestate Header]: https://www.w3.org/TR/2024/CRD-trace-context-2-20240328/#tracestate-header
pub(super) fn parse(values: &[&[u8]]) -> Option<Received> {
    let mut members = Vec::new();
    for value in values.iter().filter_map(|value| str::from_utf8(value).ok()) {
        for member in value.split(',') {
            let member = member.trim_matches(OWS);
            if member.is_empty() {
                continue;
            }
            let (key, value) = member.split_once('=')?;
            if members.len() == MAX_MEMBERS || !is_key(key) || !is_value(value) {
                return None;
            }
            members.push((key, value));
        }
    }

    if members.is_empty() {
        return None;
    }
    if let Ok(held) = TraceState::from_key_value(members.iter().copied()) {
        return Some(Received {
            held,
            complete: None,
        });
    }
    let complete = Some(join(members.iter().copied()));
    members.retain(|member| TraceState::from_key_value([*member]).is_ok());
    Some(Received {
        held: TraceState::from_key_value(members).unwrap_or_default(),
        complete,
    })
}

/// Writes the list; `None` when it is empty or has an illegal member.
///
/// The API's type lets through what would break a header: line ends, non-ASCII, empty values.
pub(super) fn write(list: &TraceState) -> Option<String> {
    list.into_iter().next()?;
    let is_legal = list
        .into_iter()
        .all(|(key, value)| is_key(key) && is_value(value));
    is_legal.then(|| join(list))
}

fn join<'a>(members: impl IntoIterator<Item = (&'a str, &'a str)> + Clone) -> String {
    let lengths = members.clone().into_iter();
    let length = lengths
        .map(|(key, value)| key.len() + value.len() + 2)
        .sum();
    let mut header = String::with_capacity(length);
    for (key, value) in members {
        if !header.is_empty() {
            header.push(',');
        }
        header.push_str(key);
        header.push('=');
        header.push_str(value);
    }
    header
}

/// Spec: [Trace Context Level 2 § Key].
///
/// [Trace Context Level 2 § Key]: https://www.w3.org/TR/2024/CRD-trace-context-2-20240328/#key
fn is_key(key: &str) -> bool {
    let is_alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    key.len() <= 256
        && key.as_bytes().first().is_some_and(is_alphanumeric)
        && key
            .bytes()
            .all(|byte| is_alphanumeric(&byte) || b"_-*/@".contains(&byte))
}

/// Spec: [Trace Context Level 2 § Value].
///
/// [Trace Context Level 2 § Value]: https://www.w3.org/TR/2024/CRD-trace-context-2-20240328/#value
fn is_value(value: &str) -> bool {
    value.len() <= 256
        && value.bytes().last().is_some_and(|last| last != b' ')
        && value
            .bytes()
            .all(|byte| matches!(byte, b' '..=b'~') && byte != b',' && byte != b'=')
}

pub(crate) const MAX_MEMBERS: usize = 32;
