//! [`ProcessSpans`]: the layer that says that the subscriber is set up for stand-ins.

use tracing::Subscriber;
use tracing_subscriber::Layer;

/// A layer with which the process span of a message is current in `tracing`, too, while its handler is
/// polled.
///
/// It needs [`Tracer`](super::Tracer) around the tracer of tracing-opentelemetry's layer; the [module](super) has both.
/// Without it, what `tracing` has for current in a handler is what is around that.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "it is named like a value, and has nothing to set"
)]
pub struct ProcessSpans;

impl<S: Subscriber> Layer<S> for ProcessSpans {}
