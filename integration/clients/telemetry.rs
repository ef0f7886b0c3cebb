//! What the wrapped clients are given: telemetry that records all that it can.

use std::env;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::sync::LazyLock;
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, Span, SpanData, SpanProcessor};
use otel_messaging::Telemetry;
use otel_messaging::policy::{Policy, Rule};

/// Of the process. Each test of a client has the wrappers, and none says a word of telemetry.
pub(crate) static TELEMETRY: LazyLock<Telemetry> = LazyLock::new(|| {
    let provider = SdkTracerProvider::builder()
        .with_span_processor(Counted::new())
        .build();
    let all = Rule::of("*")
        .receive_spans(true)
        .settle_spans(true)
        .message_key(true)
        .lag(true)
        .time_in_queue(true);
    Telemetry::new()
        .tracer_provider(provider)
        .policy(Policy::new().rule(all))
});

/// Writes the operation of each span to the file that `CLIENT_SPANS` names, so that whoever runs the tests sees that
/// the wrappers have been there.
struct Counted(Option<File>);

impl Counted {
    fn new() -> Self {
        let path = env::var_os("CLIENT_SPANS");
        Self(path.and_then(|path| OpenOptions::new().append(true).create(true).open(path).ok()))
    }
}

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counted").finish_non_exhaustive()
    }
}

impl SpanProcessor for Counted {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        let operation = span
            .attributes
            .iter()
            .find(|attribute| attribute.key.as_str() == "messaging.operation.type");
        let Some((file, operation)) = self.0.as_ref().zip(operation) else {
            return;
        };
        // One write for a line: other processes append to the file too.
        let _ = (&*file).write_all(format!("{}\n", operation.value).as_bytes());
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
