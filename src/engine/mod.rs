//! All that knows no broker, floor by floor in the order of a message's way.
//!
//! A file imports from floors that stand above it here, and from what is below the engine: telemetry,
//! policy, conventions and codecs. A test of the layout reads this list.

/// What is current where an operation is called, and whether that can be about a message.
pub(crate) mod ambient;

/// What may be few of what there can be any number of.
mod few;

/// Members of baggage that are attributes.
pub(crate) mod shown_baggage;

/// Topics, queues and subjects, and what is the same for all messages of one.
pub(crate) mod destination;

/// Clients that were wrapped.
pub(crate) mod client;

/// What is done, with which client, to what.
pub(crate) mod operation;

/// The context of a message into and out of its headers.
pub(crate) mod propagation;

/// Which attributes spans have.
pub(crate) mod attributes;

/// What is counted and measured.
mod metrics;

/// What was wrong with the context of a message, counted and logged.
mod diagnosis;

/// What a message was not allowed to bring in.
mod refused;

/// The carriers by themselves.
pub(crate) mod carriers;

/// Where a span hangs and what it links to.
pub(crate) mod parent;

/// Links within the limit of a span.
mod links;

/// What the messages of a batch have in common, and what differs.
mod in_common;

/// What binds a batch to the messages in it.
mod in_batch;

/// The traces that a batch's messages are from.
mod fan_back;

/// The life of an operation and of its span.
pub(crate) mod span;

/// Messages on their way out, one by one and many under one call.
pub(crate) mod sending;

/// A message that was delivered to the application, and its settling.
pub(crate) mod received;

/// Messages that are handled together.
pub(crate) mod batch;
