//! [`TraceIds`]: ids in log lines.

use std::fmt;

use opentelemetry::Context;
use opentelemetry::trace::SpanContext;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::current::inside_of;
use crate::telemetry::context::active_span;

/// A format of log lines that adds the trace id and the span id of what is [current](super#what-is-current) to
/// those of another format.
///
/// Lines as text begin with `trace_id=… span_id=…`. JSON has the members `trace_id` and `span_id` before all others. Where no span is
/// active, a line is as the other format writes it.
///
/// ```
/// use otel_messaging::with_tracing::TraceIds;
/// use tracing_subscriber::fmt;
/// use tracing_subscriber::layer::SubscriberExt as _;
///
/// let text = fmt::layer().map_event_format(TraceIds::new);
/// # let subscriber = tracing_subscriber::registry().with(text);
/// # #[cfg(any())]
/// let json = fmt::layer().json().map_event_format(TraceIds::json);
/// ```
///
/// A subscriber that is set for a part of a program (`tracing::subscriber::set_default`) is not asked for its
/// current span while it writes a line. There, without activation of contexts, lines outside of
/// handlers have no ids.
#[derive(Clone, Debug)]
pub struct TraceIds<F> {
    format: F,
    is_json: bool,
}

impl<F> TraceIds<F> {
    /// Adds ids to lines of text.
    #[must_use]
    pub const fn new(format: F) -> Self {
        Self {
            format,
            is_json: false,
        }
    }

    /// Adds ids to objects of JSON.
    #[must_use]
    pub const fn json(format: F) -> Self {
        Self {
            format,
            is_json: true,
        }
    }
}

impl<S, N, F> FormatEvent<S, N> for TraceIds<F>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(span) = active() else {
            return self.format.format_event(context, writer, event);
        };
        let (trace_id, span_id) = (span.trace_id(), span.span_id());
        if !self.is_json {
            write!(writer, "trace_id={trace_id} span_id={span_id} ")?;
            return self.format.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.format
            .format_event(context, Writer::new(&mut line), event)?;
        match line.split_once('{') {
            Some((before, members)) => {
                let comma = if members.trim_start().starts_with('}') {
                    ""
                } else {
                    ","
                };
                write!(
                    writer,
                    r#"{before}{{"trace_id":"{trace_id}","span_id":"{span_id}"{comma}{members}"#
                )
            }
            None => writer.write_str(&line),
        }
    }
}

fn active() -> Option<SpanContext> {
    // A copy: what is asked next may attach a context, which panics while the current one is borrowed.
    let current = Context::current();
    active_span(inside_of(&current).as_ref().unwrap_or(&current))
}
