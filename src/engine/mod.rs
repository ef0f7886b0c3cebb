//! All that is blind to brokers, floor by floor in the order of a message's way: a floor knows those
//! above it in this list, and none below.

// What is current where an operation is called, and where it goes.
pub(crate) mod ambient;
pub(crate) mod client;
pub(crate) mod destination;
pub(crate) mod operation;

// The context of a message, and what was wrong with it.
pub(crate) mod attributes;
pub(crate) mod carriers;
pub(crate) mod diagnosis;
pub(crate) mod metrics;
pub(crate) mod not_let_in;
pub(crate) mod propagation;

// The span of an operation.
mod fan_back;
mod in_batch;
mod links;
pub(crate) mod relation;
pub(crate) mod span;

// Messages that go out, and that come in.
pub(crate) mod batch;
pub(crate) mod received;
pub(crate) mod sending;
