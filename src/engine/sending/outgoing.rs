//! [`Outgoing`]: a message that is about to be sent.

use std::sync::Arc;

use opentelemetry::KeyValue;

use crate::engine::attributes::captured;
use crate::engine::destination::Destination;
use crate::engine::propagation::{Headers, HeadersMut};
use crate::telemetry::Telemetry;

/// A message that is about to be sent, by itself or with others, as its system knows it.
pub(crate) trait Outgoing {
    /// Its headers.
    type Headers: Headers + HeadersMut;

    /// Where it goes.
    fn destination(&self) -> &Arc<Destination>;
    /// Where it goes together with others that do not go to quite the same, named without what is its
    /// own; that is more and more, until there is nothing that could be left out.
    fn destination_without(&self, left_out: usize) -> Option<Arc<Destination>> {
        let _ = left_out;
        None
    }
    /// The partition, where the system has such and it is known already.
    fn partition(&self) -> Option<i32> {
        None
    }
    /// Its headers.
    fn headers(&self) -> &Self::Headers;
    /// Its headers, and what tells how many bytes may be added to them as they are.
    fn headers_and_room(&mut self) -> (&mut Self::Headers, impl FnOnce(&Self::Headers) -> usize);
    /// What only this system says of it, for a span that is recorded.
    fn attributes(&self, set: &mut dyn FnMut(KeyValue));

    /// That, and those of its headers that its rule wants as attributes.
    fn own_attributes(&self, telemetry: &Telemetry, set: &mut dyn FnMut(KeyValue)) {
        self.attributes(set);
        captured(self.headers(), &self.destination().rule, telemetry, set);
    }
}
