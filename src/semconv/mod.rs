//! The rules of OpenTelemetry's semantic conventions for messaging, as constants and pure functions.
//!
//! The modules [`attributes`] and [`metrics`] have the names that all messaging systems share. Keys that
//! only one broker has are in the module of that broker: `kafka::attributes`, `amqp::attributes` and
//! `nats::attributes`.
//!
//! A rule is written here once, and its `Spec:` line links to the heading that it follows. The release
//! of the conventions is the one in [`SCHEMA_URL`].
//!
#![doc = include_str!("renamed.md")]

pub mod attributes;
pub(crate) mod deprecated;
mod error_name;
pub(crate) mod exception;
pub mod metrics;
pub(crate) mod operation_type;
pub(crate) mod opt_in;
pub(crate) mod outcome;
pub(crate) mod span_name;
pub(crate) mod text;

/// Schema URL of every span, metric and log record that this crate makes.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.45.0";
