//! The headers of a received message for propagators other than our own.
//!
//! They are looked through once, however often a propagator asks.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use opentelemetry::propagation::Extractor;

use super::{ContextHeaders, Field};
use crate::engine::propagation::Headers;

/// Headers as an [`Extractor`], for propagators other than our own.
///
/// The W3C names follow the same rule as for our own codec, under one spelling; of any other name the last value
/// counts, and where names have no order among each other, of several other spellings the greatest.
/// Values that are not UTF-8 count as absent.
pub(in crate::engine::propagation) struct HeaderExtractor<'a, H> {
    headers: &'a H,
    w3c: ContextHeaders<'a>,
    named: OnceCell<Named<'a>>,
    any_case: OnceCell<Spelled<'a>>,
}

impl<'a, H: Headers> HeaderExtractor<'a, H> {
    pub(in crate::engine::propagation) fn new(headers: &'a H) -> Self {
        Self {
            headers,
            w3c: ContextHeaders::read(headers),
            named: OnceCell::new(),
            any_case: OnceCell::new(),
        }
    }

    pub(in crate::engine::propagation) const fn malformed(&self) -> Option<&'static str> {
        self.w3c.malformed()
    }

    fn w3c(&self, key: &str) -> Option<&[&'a [u8]]> {
        let (field, _) = Field::named(key.as_bytes())?;
        Some(match field {
            Field::Traceparent => self.w3c.traceparent_text.as_slice(),
            Field::Tracestate => &self.w3c.incoming.tracestate,
            Field::Baggage => &self.w3c.incoming.baggage,
        })
    }

    fn named(&self) -> &Named<'a> {
        self.named.get_or_init(|| {
            let mut named = Named::default();
            self.headers.for_each(&mut |name, value| {
                if let Some((field, _)) = Field::named(name) {
                    named.add(field.name(), None);
                } else if let Ok(name) = str::from_utf8(name) {
                    named.add(name, str::from_utf8(value).ok());
                }
            });
            named
        })
    }

    /// All values of one name that is none of W3C's.
    fn values(&self, key: &str) -> &[&'a str] {
        if let Some(values) = self
            .named()
            .values
            .get(key)
            .filter(|values| !values.is_empty())
        {
            return values;
        }
        let any_case = self.any_case.get_or_init(|| {
            if H::IS_ORDERED {
                self.in_order()
            } else {
                self.of_one_spelling()
            }
        });
        any_case.values(key)
    }

    fn in_order(&self) -> Spelled<'a> {
        let mut found = Spelled::default();
        self.headers.for_each(&mut |name, value| {
            if let Some((found, value)) = found.spelling(name).zip(str::from_utf8(value).ok()) {
                found.values.push(value);
            }
        });
        found
    }

    fn of_one_spelling(&self) -> Spelled<'a> {
        let named = self.named();
        let mut found = Spelled::default();
        for name in &named.names {
            let values = named.values.get(name).filter(|values| !values.is_empty());
            if let Some((found, values)) = found.spelling(name.as_bytes()).zip(values)
                && found.name < *name
            {
                found.name = name;
                found.values.clone_from(values);
            }
        }
        found
    }
}

impl<H: Headers> Extractor for HeaderExtractor<'_, H> {
    fn get(&self, key: &str) -> Option<&str> {
        match self.w3c(key) {
            Some(values) => texts(values).next_back(),
            None => self.values(key).last().copied(),
        }
    }

    fn keys(&self) -> Vec<&str> {
        self.named().names.clone()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let texts: Vec<_> = match self.w3c(key) {
            Some(values) => texts(values).collect(),
            None => self.values(key).to_vec(),
        };
        (!texts.is_empty()).then_some(texts)
    }
}

fn texts<'a>(values: &[&'a [u8]]) -> impl DoubleEndedIterator<Item = &'a str> {
    values.iter().filter_map(|value| str::from_utf8(value).ok())
}

/// The headers by their names, each name once and in the order in which they come.
#[derive(Default)]
struct Named<'a> {
    names: Vec<&'a str>,
    values: HashMap<&'a str, Vec<&'a str>>,
}

impl<'a> Named<'a> {
    fn add(&mut self, name: &'a str, value: Option<&'a str>) {
        let values = self.values.entry(name).or_insert_with(|| {
            self.names.push(name);
            Vec::new()
        });
        values.extend(value);
    }
}

/// The headers by their names, whatever the case of these.
#[derive(Default)]
struct Spelled<'a> {
    places: HashMap<AnyCase<'a>, usize>,
    found: Vec<Spelling<'a>>,
}

/// The values of a name in any case.
#[derive(Default)]
struct Spelling<'a> {
    /// The spelling that counts, where only one does.
    name: &'a str,
    values: Vec<&'a str>,
}

impl<'a> Spelled<'a> {
    fn spelling(&mut self, name: &'a [u8]) -> Option<&mut Spelling<'a>> {
        let place = *self.places.entry(AnyCase(name)).or_insert_with(|| {
            self.found.push(Spelling::default());
            self.found.len() - 1
        });
        self.found.get_mut(place)
    }

    fn values(&self, name: &str) -> &[&'a str] {
        let place = self.places.get(&AnyCase(name.as_bytes())).copied();
        let found = place.and_then(|place| self.found.get(place));
        found.map_or(&[], |found| &found.values)
    }
}

/// A name that equals those that differ from it in case alone.
struct AnyCase<'a>(&'a [u8]);

impl PartialEq for AnyCase<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(other.0)
    }
}

impl Eq for AnyCase<'_> {}

impl Hash for AnyCase<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in self.0 {
            state.write_u8(byte.to_ascii_lowercase());
        }
        state.write_u8(0xff);
    }
}
