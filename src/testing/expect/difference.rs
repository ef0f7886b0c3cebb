//! Differences between what is expected and what is found, in readable form.

use std::collections::BTreeMap;

use opentelemetry::trace::{Event, SpanContext, SpanId, TraceId};
use opentelemetry::{Array, Key, StringValue, Value};

pub(super) struct Differences(pub(super) Vec<String>);

impl Differences {
    pub(super) fn compare(
        &mut self,
        what: &str,
        expected: impl Into<Option<String>>,
        found: impl Into<Option<String>>,
    ) {
        let (expected, found) = (expected.into(), found.into());
        if expected != found {
            let [expected, found] =
                [expected, found].map(|text| text.unwrap_or_else(|| "none".to_owned()));
            self.0
                .push(format!("{what}: expected {expected}, found {found}"));
        }
    }

    pub(super) fn compare_each(
        &mut self,
        what: &str,
        mut expected: impl ExactSizeIterator<Item = String>,
        mut found: impl ExactSizeIterator<Item = String>,
    ) {
        for number in 1..=expected.len().max(found.len()) {
            self.compare(&format!("{what} {number}"), expected.next(), found.next());
        }
    }

    /// Compares what is expected with what is found among others, in the same order. What was found
    /// is told by `text`, where something is expected.
    pub(super) fn compare_among<'a, F>(
        &mut self,
        what: &str,
        expected: impl Iterator<Item = &'a String>,
        mut found: impl Iterator<Item = F> + Clone,
        text: impl Fn(F, &'a String) -> String,
    ) {
        for (before, expected) in expected.enumerate() {
            let mut ahead = found.clone();
            if ahead.any(|found| text(found, expected) == *expected) {
                found = ahead;
            } else {
                self.compare(&format!("{what} {}", before + 1), expected.clone(), None);
            }
        }
    }

    /// Compares attributes; an expected one without a value may have any. Where one is missing, a key that has its name
    /// in it, or is in its name, is told: the conventions rename.
    pub(super) fn compare_attributes<'a, V: 'a>(
        &mut self,
        expected: impl Iterator<Item = (&'a Key, &'a Option<V>)>,
        found: impl Iterator<Item = (&'a Key, &'a V)>,
        text: fn(&V) -> String,
    ) {
        // Lists, because the SDK keeps both values of a key that was set twice.
        let mut both: BTreeMap<&Key, (Option<&Option<V>>, Vec<String>)> = BTreeMap::new();
        for (key, value) in expected {
            both.entry(key).or_default().0 = Some(value);
        }
        for (key, value) in found {
            both.entry(key).or_default().1.push(text(value));
        }
        let there: Vec<&Key> = both
            .iter()
            .filter(|(_, (_, found))| !found.is_empty())
            .map(|(key, _)| *key)
            .collect();
        for (key, (expected, found)) in both {
            let expected = match expected {
                Some(None) if found.len() == 1 => continue,
                Some(None) => Some("one value, whatever it is".to_owned()),
                Some(Some(value)) => Some(text(value)),
                None => None,
            };
            let found = if found.is_empty() {
                let alike = there.iter().find(|other| are_alike(key, other));
                alike.map(|other| format!("none, but {other}"))
            } else {
                Some(found.join(" and "))
            };
            self.compare(&format!("attribute {key}"), expected, found);
        }
    }
}

fn are_alike(key: &Key, other: &Key) -> bool {
    key.as_str().contains(other.as_str()) || other.as_str().contains(key.as_str())
}

/// An exception shows its type, unless one of whatever type is expected.
pub(super) fn event_text(event: &Event, expected: Option<&String>) -> String {
    let name = quoted(&event.name);
    if expected == Some(&name) {
        return name;
    }
    let exception_type = event
        .attributes
        .iter()
        .find(|attribute| event.name == EXCEPTION && attribute.key.as_str() == EXCEPTION_TYPE);
    exception_type.map_or(name, |attribute| exception_text(&attribute.value))
}

pub(super) fn exception_text(exception_type: &Value) -> String {
    format!("{EXCEPTION} of type {}", value_text(exception_type))
}

pub(super) fn quoted(text: &str) -> String {
    format!("{text:?}")
}

pub(super) fn span_text(context: &SpanContext) -> String {
    ids_text(context.trace_id(), context.span_id())
}

pub(super) fn ids_text(trace: TraceId, span: SpanId) -> String {
    format!("span {span} in trace {trace}")
}

/// Unlike `Value`'s own `Display`, which shows 1, 1.0 and "1" alike.
pub(super) fn value_text(value: &Value) -> String {
    match value {
        Value::F64(number) => format!("{number:?}"),
        Value::String(text) => quoted(text.as_str()),
        Value::Array(Array::F64(numbers)) => format!("{numbers:?}"),
        Value::Array(Array::String(texts)) => {
            let texts: Vec<_> = texts.iter().map(StringValue::as_str).collect();
            format!("{texts:?}")
        }
        _ => value.to_string(),
    }
}

const EXCEPTION: &str = "exception";
const EXCEPTION_TYPE: &str = "exception.type";

#[cfg(test)]
mod tests {
    use opentelemetry::KeyValue;

    use super::*;

    #[test]
    fn values_of_different_types_differ() {
        let table = [
            (Value::from(true), "true"),
            (Value::from("true"), r#""true""#),
            (Value::from(1), "1"),
            (Value::from(1.0), "1.0"),
            (Value::from("1"), r#""1""#),
            (Value::Array(vec![1].into()), "[1]"),
            (Value::Array(vec![1.0].into()), "[1.0]"),
            (
                Value::Array(vec![StringValue::from(r#"a","b"#)].into()),
                r#"["a\",\"b"]"#,
            ),
        ];

        for (value, expected) in table {
            assert_eq!(value_text(&value), expected);
        }
    }

    #[test]
    fn a_missing_attribute_names_one_that_is_called_almost_the_same() {
        let expected = ["messaging.system", "messaging.kafka.offset", "error.type"];
        let expected = expected.map(|key| (Key::new(key), Some(Value::from(1))));
        let found = ["messaging.system.name", "kafka.offset"];
        let found = found.map(|key| KeyValue::new(key, 1));

        let mut differences = Differences(Vec::new());
        differences.compare_attributes(
            expected.iter().map(|(key, value)| (key, value)),
            found.iter().map(|found| (&found.key, &found.value)),
            value_text,
        );

        assert_eq!(
            differences.0,
            [
                "attribute error.type: expected 1, found none",
                "attribute kafka.offset: expected none, found 1",
                "attribute messaging.kafka.offset: expected 1, found none, but kafka.offset",
                "attribute messaging.system: expected 1, found none, but messaging.system.name",
                "attribute messaging.system.name: expected none, found 1",
            ]
        );
    }

    #[test]
    fn an_exception_shows_its_type_and_any_other_event_its_name() {
        let event = |name: &'static str, key: &'static str| {
            let attributes = vec![KeyValue::new(key, "Timeout")];
            let event = Event::new(name, opentelemetry::time::now(), attributes, 0);
            event_text(&event, None)
        };

        assert_eq!(
            event("exception", "exception.type"),
            r#"exception of type "Timeout""#
        );
        assert_eq!(event("exception", "exception.message"), r#""exception""#);
        assert_eq!(event("retry", "exception.type"), r#""retry""#);
    }
}
