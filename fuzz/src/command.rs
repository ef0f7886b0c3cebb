//! What the command reads: headers as JSON, and the headers of any message.

#[path = "../../src/bin/otel-messaging/given.rs"]
mod given;
#[path = "../../src/bin/otel-messaging/stock.rs"]
mod stock;

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use otel_messaging::internal::{Fault, diagnose};
use otel_messaging::propagators::{CloudEvents, Jaeger};
use serde_json::json;

use self::stock::{Header, verdicts};
use crate::carrier::TELEMETRY;
use crate::facts::{Facts, MOST_DEATHS};
use crate::input::{self, Form};
use crate::reference::{BAGGAGE, Carried, Order, field};

/// The text of a file that `check` is given.
pub fn check(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else {
        return;
    };
    match given::headers(text) {
        Ok(headers) => {
            assert_eq!(given::headers(&in_hex(&headers)).as_ref(), Ok(&headers));
            if let Some(in_turns) = in_turns(&headers) {
                assert_eq!(given::headers(&in_turns).as_ref(), Ok(&headers));
            }
            judged(&headers);
        }
        // A terminal is to obey nothing of what was given.
        Err(told) => assert!(!told.is_empty() && !told.contains(char::is_control)),
    }
}

/// The headers of a message.
pub fn message(input: &[u8]) {
    let headers = input::headers(input).into_iter();
    let headers = headers.map(|header| {
        let is_null = header.form == Form::Null;
        (header.name, (!is_null).then_some(header.value))
    });
    judged(&headers.collect::<Vec<_>>());
}

/// A pair for each, with bytes as digits.
fn in_hex(headers: &[Header]) -> String {
    let pairs = headers.iter().map(|(name, value)| {
        let value = value.as_ref().map(|bytes| {
            let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
            json!({ "hex": digits.collect::<String>() })
        });
        json!([name_of(name), value])
    });
    json!({ "headers": pairs.collect::<Vec<_>>() }).to_string()
}

/// Names and values in turns, as kcat writes them; nothing if a value is no text.
fn in_turns(headers: &[Header]) -> Option<String> {
    let mut turns = Vec::new();
    for (name, value) in headers {
        turns.push(Some(name_of(name)));
        turns.push(match value {
            None => None,
            Some(value) => Some(str::from_utf8(value).ok()?),
        });
    }
    Some(json!(turns).to_string())
}

fn name_of(name: &[u8]) -> &str {
    str::from_utf8(name).expect("JSON has texts")
}

/// What is said of a message is what a plain reader reads, and what no context is in is not well.
fn judged(headers: &[Header]) {
    let (jaeger, events) = (Jaeger::new(), CloudEvents::new());
    let formats = [("Jaeger", &jaeger as _), ("CloudEvents", &events as _)];
    let diagnosis = diagnose(&TELEMETRY, headers, &formats);

    let values = headers
        .iter()
        .filter_map(|(name, value)| Some((&**name, value.as_deref()?)));
    let values: Vec<_> = values.collect();
    let carried = Carried::of_message(&values, Order::AsSent);
    let members = carried.baggage.iter();
    let members = members.map(|(name, (value, _))| (name.clone(), value.clone()));
    assert_eq!(diagnosis.baggage, members.collect::<Vec<_>>());
    let trace = Carried {
        baggage: Default::default(),
        ..carried
    };
    let creation = diagnosis.creation.clone();
    trace.assert_is(&creation.map_or_else(Context::new, |creation| {
        Context::new().with_remote_span_context(creation)
    }));

    let bytes = |name: &[u8], value: &[u8]| name.len() + value.len();
    let all = values.iter().map(|(name, value)| bytes(name, value));
    assert_eq!(diagnosis.header_bytes, all.sum::<usize>());
    let members = values.iter();
    let members = members.filter(|(name, _)| field(name) == Some(BAGGAGE));
    let in_baggage = members.map(|(_, value)| value.len()).sum::<usize>();
    assert_eq!(diagnosis.baggage_bytes, in_baggage);

    assert!(diagnosis.findings.is_sorted_by(|one, other| one < other));
    let is_lost = diagnosis.findings.iter().any(|one| one.fault.is_loss());
    assert!(is_lost || diagnosis.creation.is_some());
    assert!(!diagnosis.has(Fault::Missing) || diagnosis.creation.is_none());
    assert_eq!(
        diagnosis.has(Fault::Conflicting),
        diagnosis.conflicting.is_some()
    );

    for verdict in verdicts(headers, &diagnosis) {
        assert!(!verdict.reader.is_empty() && !verdict.says.is_empty());
    }
    looked_at(&values);
}

/// Of each kind the first text counts, which is short.
fn looked_at(values: &[(&[u8], &[u8])]) {
    let mut facts = Facts::default();
    for (name, value) in values {
        facts.look_at(name, value);
    }
    let first = facts.clone();
    for (name, value) in values.iter().rev() {
        facts.look_at(name, value);
    }
    assert_eq!(facts, first);
    in_bounds(&facts);
    assert!(!facts.is_redelivered, "no header says so");
}

/// What is kept of a message is little.
pub(crate) fn in_bounds(facts: &Facts) {
    assert!(facts.deaths.len() <= MOST_DEATHS);
    let says_so = facts.died_in.is_some() || facts.reason.is_some();
    assert_eq!(facts.is_dead(), says_so || !facts.deaths.is_empty());
    let texts = [
        &facts.identity,
        &facts.writer,
        &facts.died_in,
        &facts.given_up_by,
        &facts.reason,
        &facts.cause,
        &facts.message,
    ];
    let deaths = facts.deaths.iter();
    let deaths = deaths.flat_map(|death| [&death.queue, &death.reason]);
    for text in texts.into_iter().flatten().chain(deaths) {
        assert!((1..=256).contains(&text.chars().count()), "{text:?}");
    }
}
