//! Formats of other systems, to be read where the headers of W3C are missing.
//!
//! | | what is read | fields |
//! |---|---|---|
//! | [`CloudEvents`] | the attributes `traceparent` and `tracestate` of an event in binary mode | none: the attributes are the event's own and stay |
//! | [`Jaeger`] | `uber-trace-id`, of Jaeger's retired clients | `uber-trace-id` gives way to what is sent |
//!
//! Both read alone, and write nothing. They are given to
//! [`Telemetry::fallback_propagator`](crate::Telemetry::fallback_propagator), and work with any other carrier too.
//!
//! ```
//! use otel_messaging::{Telemetry, propagators};
//!
//! let telemetry = Telemetry::new()
//!     .fallback_propagator(propagators::Jaeger::new())
//!     .fallback_propagator(propagators::CloudEvents::new());
//! ```

mod cloud_events;
mod jaeger;

pub use cloud_events::CloudEvents;
pub use jaeger::Jaeger;
