//! [`Outgoing`]: a message that is about to be sent.

use std::sync::Arc;

use opentelemetry::KeyValue;

use crate::engine::destination::Destination;
use crate::engine::propagation::{Headers, HeadersMut};

/// A message that is about to be sent, by itself or with others, as its system knows it.
pub(crate) trait Outgoing {
    /// Its headers.
    type Headers: Headers + HeadersMut;

    /// Where it goes.
    fn destination(&self) -> &Arc<Destination>;
    /// The partition, where the system has such and it is known already.
    fn partition(&self) -> Option<i32> {
        None
    }
    /// Its headers.
    fn headers(&self) -> &Self::Headers;
    /// Its headers, and what tells how many bytes may be added to them as they are.
    fn headers_and_room(&mut self) -> (&mut Self::Headers, impl FnOnce(&Self::Headers) -> usize);
    /// What only this system says of it, for a span that is recorded.
    fn attributes(&self) -> impl Iterator<Item = KeyValue>;
}
