//! The traces that the messages of a batch are from.

use std::collections::HashMap;

use opentelemetry::trace::{Link, SpanContext, TraceId};

/// What the traces get of the batch that their messages were processed in.
#[derive(Debug)]
pub(crate) struct FanBack {
    pub(crate) origins: Vec<Origin>,
    /// Traces beyond the limit.
    pub(crate) left_out: usize,
}

/// A trace that messages are from.
#[derive(Debug)]
pub(crate) struct Origin {
    /// The first creation context.
    pub(crate) first: SpanContext,
    /// A link to each creation context, the first one included.
    pub(crate) links: Vec<Link>,
}

/// The traces that messages are from, as they are found.
pub(super) struct Origins {
    most: usize,
    places: HashMap<TraceId, Option<usize>>,
    /// For each trace the first creation context, and which links of the batch's span are to it.
    found: Vec<(SpanContext, Vec<usize>)>,
    left_out: usize,
}

impl Origins {
    pub(super) fn at_most(most: usize) -> Self {
        Self {
            most,
            places: HashMap::new(),
            found: Vec::new(),
            left_out: 0,
        }
    }

    /// Adds the creation context of a message, to which the batch's span has the link of this index.
    pub(super) fn add(&mut self, creation: &SpanContext, link: usize) {
        if self.most == 0 {
            return;
        }
        let next = self.found.len();
        let place = self.places.entry(creation.trace_id()).or_insert_with(|| {
            if next < self.most {
                self.found.push((creation.clone(), Vec::new()));
                Some(next)
            } else {
                self.left_out += 1;
                None
            }
        });
        if let Some((_, links)) = place.and_then(|place| self.found.get_mut(place)) {
            links.push(link);
        }
    }

    /// The same with the links themselves, of those of the batch's span.
    pub(super) fn with_links(self, links: &[Link]) -> FanBack {
        let origins = self.found.into_iter().map(|(first, indices)| {
            let own = indices.into_iter().filter_map(|index| links.get(index));
            Origin {
                first,
                links: own.cloned().collect(),
            }
        });
        FanBack {
            origins: origins.collect(),
            left_out: self.left_out,
        }
    }
}
