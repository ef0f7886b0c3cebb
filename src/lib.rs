//! placeholder
#![cfg_attr(docsrs, feature(doc_cfg))]

mod envelope;
mod link;
mod metrics;
mod propagation;
pub mod semconv;
mod span;
mod telemetry;
pub mod w3c;

#[cfg(feature = "kafka")]
pub mod kafka;

#[cfg(feature = "testing")]
pub mod testing;

pub use opentelemetry;

pub use crate::semconv::outcome::{HandlerError, Outcome};
pub use crate::span::ProcessSpan;
pub use crate::telemetry::Telemetry;
