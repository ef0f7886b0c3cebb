//! Headers that somebody sends to make reading or forwarding them expensive.
//!
//! This is the only place that knows them; it needs nothing of the crate.

use std::iter;

/// Name and value, of any bytes; the value of a null header is `None`.
pub type Header = (Vec<u8>, Option<Vec<u8>>);

/// What is wrong with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hostile {
    /// As many spellings of a name as it has, each a context of its own, then again.
    SpelledTraceparents,
    SpelledXraceparents,
    SpelledTracestates,
    SpelledBaggage,
    /// A name of nobody's with more spellings than there are headers.
    SpelledOthers,
    /// One name with many values.
    Traceparents,
    BrokenTraceparents,
    Tracestates,
    /// Those that are no member of the list, however long it is.
    BlankTracestates,
    Baggage,
    OneOther,
    /// As many names.
    Others,
    /// Neither name nor value is UTF-8.
    NotText,
    /// Names of contexts without a value.
    Null,
    /// One value that is as long as all of the others together.
    LongTraceparent,
    LongTracestate,
    LongBaggage,
    LongMember,
    LongProperties,
    LongOther,
    /// One of each in turn.
    Mixed,
}

impl Hostile {
    pub const ALL: [Self; 21] = [
        Self::SpelledTraceparents,
        Self::SpelledXraceparents,
        Self::SpelledTracestates,
        Self::SpelledBaggage,
        Self::SpelledOthers,
        Self::Traceparents,
        Self::BrokenTraceparents,
        Self::Tracestates,
        Self::BlankTracestates,
        Self::Baggage,
        Self::OneOther,
        Self::Others,
        Self::NotText,
        Self::Null,
        Self::LongTraceparent,
        Self::LongTracestate,
        Self::LongBaggage,
        Self::LongMember,
        Self::LongProperties,
        Self::LongOther,
        Self::Mixed,
    ];

    /// Whether all headers have the same name, which is of a context.
    pub const fn is_of_one_name(self) -> bool {
        matches!(
            self,
            Self::Traceparents
                | Self::BrokenTraceparents
                | Self::Tracestates
                | Self::BlankTracestates
                | Self::Baggage
        )
    }

    /// So many headers, or one of the length of so many.
    pub fn headers(self, count: usize) -> Vec<Header> {
        let length = count * 64;
        match self {
            Self::LongTraceparent => vec![long("traceparent", &traceparent(1, "01"), "-x", length)],
            Self::LongTracestate => vec![long("tracestate", "a=1", " ,", length)],
            Self::LongBaggage => vec![long("baggage", "a=1", ",k1=value", length)],
            Self::LongMember => vec![long("baggage", "a=", "%41%zz", length)],
            Self::LongProperties => vec![long("baggage", "a=1", ";p=%zz;", length)],
            Self::LongOther => vec![long("X-Step", "", "x", length)],
            // Whole rounds, and a tail that leaves no tracestate to its traceparent: what is first and
            // last decides what else counts, and shall do so in the same way for any number.
            Self::Mixed => (0..count - count % ROUND)
                .map(|number| self.header(number))
                .chain((1..ROUND).map(|number| Self::Traceparents.header(number)))
                .collect(),
            several => (0..count).map(|number| several.header(number)).collect(),
        }
    }

    /// One of many.
    fn header(self, number: usize) -> Header {
        let text = |name: &str, value: String| (name.into(), Some(value.into_bytes()));
        let spelled =
            |name: &str, value: String| (spelling(name, number).into(), Some(value.into_bytes()));
        let valid = traceparent(number, "00");
        match self {
            Self::SpelledTraceparents => spelled("traceparent", valid),
            Self::SpelledXraceparents => spelled("xraceparent", valid),
            Self::SpelledTracestates => spelled("tracestate", format!("k{number}=1")),
            Self::SpelledBaggage => spelled("baggage", format!("k{number}=1")),
            Self::SpelledOthers => spelled("x-some-very-long-header-name", number.to_string()),
            Self::Traceparents => text("traceparent", valid),
            Self::BrokenTraceparents => text("traceparent", traceparent(number, "ff")),
            Self::Tracestates => text("tracestate", format!("k{number}=1")),
            Self::BlankTracestates => text("tracestate", " , ".to_owned()),
            Self::Baggage => text("baggage", format!("k{number}=1")),
            Self::OneOther => text("X-Step", number.to_string()),
            Self::Others => text(&format!("X-Step-{number}"), "1".to_owned()),
            Self::NotText => {
                let name = [b"\xff".as_slice(), number.to_string().as_bytes()].concat();
                (name, Some(vec![0xff; 8]))
            }
            Self::Null => (spelling("traceparent", number).into(), None),
            _ => {
                // The long ones are for themselves.
                Self::ALL[number % ROUND].header(number / ROUND)
            }
        }
    }
}

/// A name with the case of each letter turned by a bit of `number`.
fn spelling(name: &str, number: usize) -> String {
    let turned = name.char_indices().map(|(place, letter)| {
        if number >> (place % 30) & 1 == 1 {
            letter.to_ascii_uppercase()
        } else {
            letter
        }
    });
    turned.collect()
}

fn traceparent(number: usize, version: &str) -> String {
    format!("{version}-{:032x}-{:016x}-01", number + 1, number + 1)
}

fn long(name: &str, begin: &str, more: &str, length: usize) -> Header {
    let value: String = iter::once(begin)
        .chain(iter::repeat_n(more, length / more.len()))
        .collect();
    (name.into(), Some(value.into_bytes()))
}

/// Headers of a round of [`Hostile::Mixed`].
const ROUND: usize = Hostile::ALL.len() - 7;
