//! The rules of OpenTelemetry's semantic conventions for messaging, as constants and pure functions.
//!
//! Each rule stands here once, under the heading of the specification that its `Spec:` line names.
//! Keys that only one broker has are in that broker's module.
//!
//! Pinned release: 1.45.0.
//!
#![doc = include_str!("renamed.md")]

pub mod attributes;
pub(crate) mod deprecated;
pub mod metrics;
pub(crate) mod operation_type;
pub(crate) mod outcome;
pub(crate) mod span_name;
pub(crate) mod text;

/// Schema URL of every span and metric that this crate makes.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.45.0";
