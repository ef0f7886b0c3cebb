//! The traces that the messages of a batch are from.

use std::collections::HashMap;

use opentelemetry::trace::{SpanContext, TraceId};

/// What the messages of a trace get of the batch that they were processed in.
#[derive(Debug, Default)]
pub(crate) struct FanBack {
    /// For each trace the first creation context, and how many messages are from it.
    pub(crate) origins: Vec<(SpanContext, usize)>,
    /// Traces beyond the limit.
    pub(crate) left_out: usize,
}

/// The traces that messages are from.
pub(super) struct Origins {
    most: usize,
    places: HashMap<TraceId, Option<usize>>,
    pub(super) found: FanBack,
}

impl Origins {
    pub(super) fn at_most(most: usize) -> Self {
        Self {
            most,
            places: HashMap::new(),
            found: FanBack::default(),
        }
    }

    pub(super) fn add(&mut self, creation: Option<&SpanContext>) {
        let Some(creation) = creation.filter(|_| self.most > 0) else {
            return;
        };
        let origins = &mut self.found.origins;
        let next = origins.len();
        let place = self.places.entry(creation.trace_id()).or_insert_with(|| {
            if next < self.most {
                origins.push((creation.clone(), 0));
                Some(next)
            } else {
                self.found.left_out += 1;
                None
            }
        });
        if let Some((_, messages)) = place.and_then(|place| origins.get_mut(place)) {
            *messages += 1;
        }
    }
}
