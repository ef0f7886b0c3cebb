//! Headers as a target's input, in a form that people can write too.
//!
//! A line is a header: its name, a colon, a sign for the type of its value, and the value. A
//! backslash takes what is special from the byte behind it. A first line `@Others 100000` stands for
//! so many headers of that kind of [`Hostile`], and the lines after it for more behind those.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::iter::Peekable;

use crate::hostile::Hostile;

/// The most headers that a first line can ask for. A build for long runs asks for fewer: what is
/// found with many is found with some, and sooner.
pub const MOST: usize = if cfg!(fuzzing) { 140 } else { 100_000 };

/// One header, of any bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub name: Vec<u8>,
    pub form: Form,
    pub value: Vec<u8>,
}

/// The type of a value, where a carrier has types; no carrier has all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Text,
    ShortText,
    Bytes,
    Number,
    Truth,
    Table,
    List,
    Null,
}

impl Form {
    /// By its sign. What is none belongs to the value, which is text.
    fn of(sign: u8) -> Option<Self> {
        Some(match sign {
            b' ' => Self::Text,
            b'\'' => Self::ShortText,
            b'"' => Self::Bytes,
            b'#' => Self::Number,
            b'?' => Self::Truth,
            b'{' => Self::Table,
            b'[' => Self::List,
            b'-' => Self::Null,
            _ => return None,
        })
    }
}

/// The headers that an input stands for.
pub fn headers(input: &[u8]) -> Vec<Header> {
    let (mut headers, lines) = match many(input) {
        Some((kind, count, rest)) => (hostile(kind, count), rest),
        None => (Vec::new(), input),
    };
    let mut bytes = lines.iter().copied().peekable();
    while bytes.peek().is_some() {
        headers.extend(header(&mut bytes));
    }
    headers
}

/// All of what there is to do with an input. A build for long runs does one of it, by the bytes of the
/// input, since its time is better spent on others.
pub fn in_turns<T>(input: &[u8], all: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut all: Vec<_> = all.into_iter().collect();
    if cfg!(fuzzing) {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(input);
        let turn = usize::try_from(hash % all.len() as u64).expect("less than a length");
        return vec![all.swap_remove(turn)];
    }
    all
}

/// What the first line asks for, and the lines after it.
pub fn many(input: &[u8]) -> Option<(Hostile, usize, &[u8])> {
    let asked = input.strip_prefix(b"@")?;
    let end = asked.iter().position(|byte| *byte == b'\n');
    let (line, rest) = asked.split_at(end.unwrap_or(asked.len()));
    let (name, count) = str::from_utf8(line).ok()?.split_once(' ')?;
    let mut kinds = Hostile::ALL.into_iter();
    let kind = kinds.find(|kind| format!("{kind:?}") == name)?;
    let count = count.parse::<usize>().ok()?.min(MOST);
    Some((kind, count, rest.strip_prefix(b"\n").unwrap_or(rest)))
}

fn hostile(kind: Hostile, count: usize) -> Vec<Header> {
    let headers = kind.headers(count).into_iter();
    let headers = headers.map(|(name, value)| Header {
        name,
        form: value.as_ref().map_or(Form::Null, |_| Form::Text),
        value: value.unwrap_or_default(),
    });
    headers.collect()
}

/// A line; an empty one is no header.
fn header(bytes: &mut Peekable<impl Iterator<Item = u8>>) -> Option<Header> {
    let (name, end) = part(bytes, b":\n");
    if end == Some(b':') {
        let form = bytes.peek().copied().and_then(Form::of);
        if form.is_some() {
            bytes.next();
        }
        let (value, _) = part(bytes, b"\n");
        let form = form.unwrap_or(Form::Text);
        return Some(Header { name, form, value });
    }
    (!name.is_empty()).then_some(Header {
        name,
        form: Form::Text,
        value: Vec::new(),
    })
}

/// The bytes up to one of these, and that one.
fn part(bytes: &mut impl Iterator<Item = u8>, ends: &[u8]) -> (Vec<u8>, Option<u8>) {
    let mut part = Vec::new();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => part.extend(bytes.next()),
            end if ends.contains(&end) => return (part, Some(end)),
            other => part.push(other),
        }
    }
    (part, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &[u8], form: Form, value: &[u8]) -> Header {
        let (name, value) = (name.to_vec(), value.to_vec());
        Header { name, form, value }
    }

    #[test]
    fn a_line_is_a_header_and_a_backslash_takes_what_is_special_from_a_byte() {
        let input = b"a: 1\nb:-\n\nc\\:\\\n:\"\\ \xff\n\\@d:x:y\n:\ne";

        let expected = [
            header(b"a", Form::Text, b"1"),
            header(b"b", Form::Null, b""),
            header(b"c:\n", Form::Bytes, b" \xff"),
            header(b"@d", Form::Text, b"x:y"),
            header(b"", Form::Text, b""),
            header(b"e", Form::Text, b""),
        ];
        assert_eq!(headers(input), expected);
    }

    #[test]
    fn a_first_line_stands_for_many_headers_but_not_for_more_than_the_most() {
        let two = headers(b"@OneOther 2\nlast: 1");
        let expected = [
            header(b"X-Step", Form::Text, b"0"),
            header(b"X-Step", Form::Text, b"1"),
            header(b"last", Form::Text, b"1"),
        ];
        assert_eq!(two, expected);

        assert_eq!(headers(b"@Null 18446744073709551615").len(), MOST);
        assert_eq!(
            headers(b"@Nothing 2"),
            [header(b"@Nothing 2", Form::Text, b"")]
        );
    }
}
