//! Context as one text, for a column of an outbox, a field of a payload, an attribute of a file.
//!
//! The text is a list of Java properties, a line for each header: what Debezium's outbox has in the column
//! `tracingspancontext`, so that Debezium continues what is written here, and what is written there is
//! read here.
//!
//! ```text
//! traceparent=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
//! tracestate=vendor=1
//! ```
//!
//! Where there is room for a map, a `HashMap<String, String>` is a carrier by itself, and serializes as a JSON object:
//!
//! ```
//! use std::collections::HashMap;
//!
//! use opentelemetry::Context;
//! use opentelemetry::propagation::TextMapPropagator;
//! use otel_messaging::w3c;
//!
//! let mut map = HashMap::new();
//! w3c::Propagator::new().inject_context(&Context::current(), &mut map);
//! let context = w3c::Propagator::new().extract(&map);
//! ```

use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;

use crate::engine::carriers::{extract_alone, inject_alone};
use crate::engine::propagation::{Headers, HeadersMut};

/// Returns `context` as a text, by any propagator: what is to be stored beside what the context is about.
///
/// It is empty if there is no context to write.
///
/// ```
/// use opentelemetry::Context;
/// use otel_messaging::{text, w3c};
///
/// // `INSERT INTO outbox (topic, payload, tracingspancontext) VALUES (?, ?, ?)`
/// let column = text::inject(&w3c::Propagator::new(), &Context::current());
/// ```
#[must_use]
pub fn inject(propagator: &dyn TextMapPropagator, context: &Context) -> String {
    let mut properties = Properties::default();
    inject_alone(propagator, context, &mut properties);
    properties.written()
}

/// Reads the context of a text with any propagator, onto an empty context.
///
/// The text is that of [`inject`] or of any program that stores Java properties: with comments, escapes and `:` for `=`.
/// Of several traceparents, the last valid one is used. Without a valid one, the context is empty.
///
/// ```
/// use opentelemetry::trace::TraceContextExt as _;
/// use otel_messaging::{text, w3c};
///
/// let column = "#Fri Nov 27 12:00:00 UTC 2026\n\
///     traceparent=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n";
/// let context = text::extract(&w3c::Propagator::new(), column);
/// assert!(context.span().span_context().is_sampled());
/// ```
#[must_use]
pub fn extract(propagator: &dyn TextMapPropagator, text: &str) -> Context {
    extract_alone(propagator, &Properties::read(text))
}

/// Names and values in the order of their lines.
///
/// Spec: [java.util.Properties § load].
///
/// [java.util.Properties § load]: https://docs.oracle.com/en/java/javase/25/docs/api/java.base/java/util/Properties.html#load(java.io.Reader)
#[derive(Debug, Default)]
struct Properties(Vec<(String, String)>);

impl Properties {
    fn read(text: &str) -> Self {
        let mut rest = text;
        let mut properties = Vec::new();
        loop {
            rest = rest.trim_start_matches(|next| is_blank(next) || is_line_end(next));
            if rest.is_empty() {
                return Self(properties);
            }
            if rest.starts_with(['#', '!']) {
                rest = rest.trim_start_matches(|next| !is_line_end(next));
                continue;
            }
            let (name, behind) = take(rest, |next| is_blank(next) || matches!(next, '=' | ':'));
            let behind = without_blanks(behind);
            let value = match behind.strip_prefix(['=', ':']) {
                Some(value) => without_blanks(value),
                None => behind,
            };
            let (value, behind) = take(value, |_| false);
            if !name.is_empty() {
                properties.push((name, value));
            }
            rest = behind;
        }
    }

    fn written(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.0 {
            write(&mut text, name, true);
            text.push('=');
            write(&mut text, value, false);
            text.push('\n');
        }
        text
    }
}

impl Headers for Properties {
    fn for_each<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], &'a [u8])) {
        for (name, value) in &self.0 {
            visit(name.as_bytes(), value.as_bytes());
        }
    }
}

impl HeadersMut for Properties {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn remove(&mut self, names: &[&str]) -> bool {
        let before = self.0.len();
        let is_one = |name: &str| names.iter().any(|one| one.eq_ignore_ascii_case(name));
        self.0.retain(|(name, _)| !is_one(name));
        self.0.len() < before
    }

    fn append(&mut self, name: &str, value: &[u8]) {
        let value = String::from_utf8_lossy(value).into_owned();
        self.0.push((name.to_owned(), value));
    }

    fn cost(name: &str, value: &[u8]) -> usize {
        name.len() + value.len() + "=\n".len()
    }
}

/// What is before the end of the line, or before what `ends` it, with escapes resolved; and what comes then.
fn take(text: &str, ends: impl Fn(char) -> bool) -> (String, &str) {
    // Java writes a character as one or two of these.
    let mut units = Vec::new();
    let mut rest = text;
    loop {
        if let Some(next) = continued(rest) {
            rest = next;
            continue;
        }
        let mut behind = rest.chars();
        let one = match behind.next() {
            Some('\\') => match behind.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\x0c',
                Some('u') => {
                    let unit = unit(behind.as_str());
                    units.extend(unit.map(|(unit, _)| unit));
                    rest = unit.map_or_else(|| behind.as_str(), |(_, behind)| behind);
                    continue;
                }
                Some(other) => other,
                // With nothing behind it, it stands for nothing.
                None => return (String::from_utf16_lossy(&units), ""),
            },
            Some(one) if !is_line_end(one) && !ends(one) => one,
            _ => return (String::from_utf16_lossy(&units), rest),
        };
        units.extend_from_slice(one.encode_utf16(&mut [0; 2]));
        rest = behind.as_str();
    }
}

/// What four digits stand for, between which the line may go on in the next one.
fn unit(text: &str) -> Option<(u16, &str)> {
    let (mut unit, mut rest) = (0, text);
    for _ in 0..4 {
        let mut behind = whole(rest).chars();
        let digit = behind.next()?.to_digit(16)?;
        unit = unit << 4 | u16::try_from(digit).ok()?;
        rest = behind.as_str();
    }
    Some((unit, rest))
}

fn without_blanks(text: &str) -> &str {
    whole(text.trim_start_matches(is_blank))
}

/// Where the line goes on, in whichever.
fn whole(mut rest: &str) -> &str {
    while let Some(next) = continued(rest) {
        rest = next;
    }
    rest
}

/// The next line, where this one goes on in it.
fn continued(rest: &str) -> Option<&str> {
    let ends = ["\\\r\n", "\\\n", "\\\r"].iter();
    let next = ends.filter_map(|end| rest.strip_prefix(end)).next()?;
    Some(next.trim_start_matches(is_blank))
}

/// No more is escaped than has to be: a reader that takes each line apart at its first `=` has the value too.
fn write(text: &mut String, part: &str, is_name: bool) {
    for (at, one) in part.char_indices() {
        let is_leading = at == 0;
        let is_special = match one {
            '\\' => true,
            '=' | ':' | ' ' => is_name || one == ' ' && is_leading,
            '#' | '!' => is_name && is_leading,
            _ => false,
        };
        if is_special {
            text.extend(['\\', one]);
        } else if one == ' ' || one.is_ascii_graphic() {
            text.push(one);
        } else {
            for unit in one.encode_utf16(&mut [0; 2]) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
}

const fn is_blank(one: char) -> bool {
    matches!(one, ' ' | '\t' | '\x0c')
}

const fn is_line_end(one: char) -> bool {
    matches!(one, '\n' | '\r')
}

#[cfg(test)]
mod tests {
    use opentelemetry::baggage::BaggageExt as _;
    use opentelemetry::trace::TraceContextExt as _;
    use opentelemetry::{Key, KeyValue};
    use proptest::prelude::*;

    use super::*;
    use crate::w3c;

    const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03";

    fn properties(text: &str) -> Vec<(String, String)> {
        Properties::read(text).0
    }

    fn traceparent(text: &str) -> String {
        let propagator = w3c::Propagator::new();
        inject(&propagator, &extract(&propagator, text))
    }

    #[test]
    fn what_was_written_is_read() {
        let text = format!("traceparent={TRACEPARENT}\ntracestate=a=1,b=2:3\nbaggage=shop=north\n");
        assert_eq!(traceparent(&text), text);
        assert_eq!(traceparent(""), "");
        assert_eq!(inject(&w3c::Propagator::new(), &Context::new()), "");
    }

    #[test]
    fn what_debezium_stores_is_read() {
        let stored = format!(
            "#Fri Nov 27 12:00:00 UTC 2026\n\
             traceparent={TRACEPARENT}\n\
             tracestate=a\\=1,b\\=2\\:3\n"
        );
        let expected = format!("traceparent={TRACEPARENT}\ntracestate=a=1,b=2:3\n");
        assert_eq!(traceparent(&stored), expected);
        assert_eq!(traceparent(&stored.replace('\n', "\r\n")), expected);

        let jaeger = "#Fri Nov 27 12:00:00 UTC 2026\nuber-trace-id=2a\\:7\\:0\\:1\n";
        let context = extract(&crate::propagators::Jaeger::new(), jaeger);
        let span_id = context.span().span_context().span_id();
        assert_eq!(span_id.to_string(), "0000000000000007");
    }

    #[test]
    fn properties_are_those_of_java() {
        let rows: [(&str, &[(&str, &str)]); 15] = [
            ("a=b", &[("a", "b")]),
            ("a:b\nc d", &[("a", "b"), ("c", "d")]),
            ("  a \t=\x0c b ", &[("a", "b ")]),
            ("a==b\na::b", &[("a", "=b"), ("a", ":b")]),
            ("a", &[("a", "")]),
            ("# a=b\n  ! c=d\n\n\r\n e=#f", &[("e", "#f")]),
            ("a\\=b\\:\\ c = d", &[("a=b: c", "d")]),
            ("a = b\\\n   c\\\r\n d\\", &[("a", "bcd")]),
            ("a=\\t\\n\\r\\f\\z", &[("a", "\t\n\r\x0cz")]),
            ("a=\\u00e4\\ud83d\\ude00.", &[("a", "\u{e4}\u{1f600}.")]),
            ("a=\\ud83d.\\u12\\ude00", &[("a", "\u{fffd}.12\u{fffd}")]),
            ("a=\\u00\\\n  e\\\r\n4.", &[("a", "\u{e4}.")]),
            ("=a\n:", &[]),
            ("a \\\n = \\\r\n b", &[("a", "b")]),
            ("\\\n# a\n\\\n\nb", &[("#", "a"), ("b", "")]),
        ];
        for (text, expected) in rows {
            let found = properties(text);
            let found: Vec<_> = found
                .iter()
                .map(|(name, value)| (&**name, &**value))
                .collect();
            assert_eq!(found, expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_name_and_any_value_come_back(all in prop::collection::vec(("(?s).{1,9}", "(?s).{0,30}"), 0..5)) {
            let written = Properties(all.clone()).written();
            prop_assert!(written.bytes().all(|byte| byte == b'\n' || matches!(byte, b' '..=b'~')));
            prop_assert_eq!(properties(&written), all);
        }

        #[test]
        fn no_text_panics(text in "(?s).{0,99}", escapes in r"[\\\n\r u0-9a-f=:#!]{0,99}") {
            properties(&text);
            properties(&escapes);
        }

        #[test]
        fn baggage_comes_back(name in "[a-z]{1,5}", value in "(?s).{0,20}") {
            let propagator = w3c::Propagator::new();
            let baggage = [KeyValue::new(name.clone(), value.clone())];
            let text = inject(&propagator, &Context::new().with_baggage(baggage));
            let found = extract(&propagator, &text);
            let found = found.baggage().get(Key::from(name)).map(ToString::to_string);
            prop_assert_eq!(found, Some(value));
        }
    }
}
