//! Headers of no broker in particular.

use super::*;

/// Headers of no broker in particular; a header costs the length of name and value.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::engine) struct List(pub(in crate::engine) Vec<(String, String)>);

pub(in crate::engine) fn list(headers: &[(&str, &str)]) -> List {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    List(headers.iter().map(owned).collect())
}

impl Headers for List {
    fn for_each<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], &'a [u8])) {
        for (name, value) in &self.0 {
            visit(name.as_bytes(), value.as_bytes());
        }
    }
}

impl HeadersMut for List {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn remove(&mut self, names: &[&str]) -> bool {
        let before = self.0.len();
        self.0
            .retain(|(name, _)| !names.iter().any(|one| one.eq_ignore_ascii_case(name)));
        self.0.len() < before
    }

    fn append(&mut self, name: &str, value: &[u8]) {
        self.0
            .push((name.to_owned(), String::from_utf8_lossy(value).into_owned()));
    }

    fn cost(name: &str, value: &[u8]) -> usize {
        name.len() + value.len()
    }
}
