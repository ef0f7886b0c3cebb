//! Context as one text, against a reader that first makes whole lines of it.

use opentelemetry::Context;
use otel_messaging::text::{extract, inject};
use otel_messaging::w3c::Propagator;

use crate::reference::{Carried, Order};

pub fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let carried = carried(&text);
    let context = extract(&Propagator::new(), &text);
    carried.assert_is(&context);

    let written = inject(&Propagator::new(), &context);
    assert!(written.is_ascii(), "{written:?}");
    let lines = written.lines().map(|line| {
        let (name, value) = line.split_once('=').expect("a name and a value");
        // What has to be escaped in headers is percent-encoded, but for this one.
        (name.to_owned(), value.replace("\\\\", "\\"))
    });
    let expected = carried.written().into_iter();
    let expected = expected.map(|(name, value)| (name.to_owned(), value));
    assert_eq!(lines.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    self::carried(&written).assert_is(&extract(&Propagator::new(), &written));
    assert_eq!(inject(&Propagator::new(), &Context::new()), "");
}

fn carried(text: &str) -> Carried {
    let properties: Vec<_> = lines(text)
        .iter()
        .filter_map(|line| property(line))
        .collect();
    let headers = properties.iter();
    let headers = headers.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    Carried::of_message(&headers.collect::<Vec<_>>(), Order::AsSent)
}

/// The lines, each with those that go on with it, without comments.
fn lines(text: &str) -> Vec<String> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut whole = Vec::new();
    let mut begun: Option<String> = None;
    for line in text.split('\n') {
        let line = line.trim_start_matches(BLANK);
        if begun.is_none() && (line.is_empty() || line.starts_with(['#', '!'])) {
            continue;
        }
        let mut joined = begun.take().unwrap_or_default();
        joined.push_str(line);
        let backslashes = line.len() - line.trim_end_matches('\\').len();
        if backslashes % 2 == 1 {
            joined.pop();
            begun = Some(joined);
        } else {
            whole.push(joined);
        }
    }
    whole.extend(begun);
    whole
}

fn property(line: &str) -> Option<(String, String)> {
    let mut is_escaped = false;
    let end = line.find(|one| {
        let is_end = !is_escaped && (BLANK.contains(&one) || one == '=' || one == ':');
        is_escaped = !is_escaped && one == '\\';
        is_end
    });
    let (name, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start_matches(BLANK);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    let name = unescaped(name);
    (!name.is_empty()).then(|| (name, unescaped(value.trim_start_matches(BLANK))))
}

fn unescaped(text: &str) -> String {
    let mut units: Vec<u16> = Vec::new();
    let chars: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < chars.len() {
        let mut one = chars[at];
        at += 1;
        if one == '\\' {
            let Some(escaped) = chars.get(at) else { break };
            at += 1;
            one = match escaped {
                'u' => {
                    let digits: String = chars.iter().skip(at).take(4).collect();
                    let is_unit =
                        digits.len() == 4 && digits.bytes().all(|d| d.is_ascii_hexdigit());
                    if is_unit {
                        units.push(u16::from_str_radix(&digits, 16).expect("four digits"));
                        at += 4;
                    }
                    continue;
                }
                't' => '\t',
                'n' => '\n',
                'r' => '\r',
                'f' => '\x0c',
                other => *other,
            };
        }
        units.extend_from_slice(one.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16_lossy(&units)
}

const BLANK: [char; 3] = [' ', '\t', '\x0c'];
