//! [`Jaeger`]: the header of Jaeger's own clients.

use std::sync::LazyLock;

use opentelemetry::Context;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceFlags, TraceState};

/// `uber-trace-id`, as Jaeger's clients sent it, read alone: it writes nothing.
///
/// The value is `{trace}:{span}:{parent}:{flags}`, in hexadecimal digits of which leading zeros may be
/// left out; the clients wrote `%3A` for the colons where they encoded headers. A trace has up to 32 digits, a span and its
/// parent up to 16, flags one or two. A trace is sampled if the flag of sampling or that of debugging is set.
/// Anything else is no context.
///
/// Baggage of these clients, a header `uberctx-{name}` for each member, is not read. It stays on a message that is
/// forwarded, from a stranger too, as any other header.
///
/// Spec: [Jaeger § Propagation Format].
///
/// [Jaeger § Propagation Format]: https://www.jaegertracing.io/docs/1.18/client-libraries/#propagation-format
///
/// ```
/// use std::collections::HashMap;
///
/// use opentelemetry::propagation::TextMapPropagator;
/// use opentelemetry::trace::TraceContextExt;
/// use otel_messaging::propagators::Jaeger;
///
/// let headers = HashMap::from([("uber-trace-id".to_owned(), "3c80319c:b7ad6b71:0:1".to_owned())]);
/// let context = Jaeger::new().extract(&headers);
/// let trace_id = context.span().span_context().trace_id().to_string();
/// assert_eq!(trace_id, "0000000000000000000000003c80319c");
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Jaeger;

impl Jaeger {
    /// The propagator. It has no settings.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl TextMapPropagator for Jaeger {
    fn inject_context(&self, _: &Context, _: &mut dyn Injector) {}

    fn extract_with_context(&self, context: &Context, extractor: &dyn Extractor) -> Context {
        match extractor.get(UBER_TRACE_ID).and_then(parse) {
            Some(span_context) => context.with_remote_span_context(span_context),
            None => context.clone(),
        }
    }

    fn fields(&self) -> FieldIter<'_> {
        static FIELDS: LazyLock<[String; 1]> = LazyLock::new(|| [UBER_TRACE_ID.to_owned()]);
        FieldIter::new(&*FIELDS)
    }
}

fn parse(value: &str) -> Option<SpanContext> {
    let (trace_id, rest) = part(value)?;
    let (span_id, rest) = part(rest)?;
    let (parent_id, flags) = part(rest)?;

    let trace_id = hex(trace_id, 32)?;
    let span_id = u64::try_from(hex(span_id, 16)?).ok()?;
    hex(parent_id, 16)?;
    let flags = match hex(flags, 2)? & (SAMPLED | DEBUG) {
        0 => TraceFlags::default(),
        _ => TraceFlags::SAMPLED,
    };
    let is_valid = trace_id != 0 && span_id != 0;
    is_valid.then(|| {
        let (trace_id, span_id) = (trace_id.into(), span_id.into());
        SpanContext::new(trace_id, span_id, flags, true, TraceState::NONE)
    })
}

/// What is before the separator, and what is behind it.
fn part(value: &str) -> Option<(&str, &str)> {
    let end = value.find([':', '%'])?;
    let (part, rest) = value.split_at_checked(end)?;
    let rest = SEPARATORS.iter().find_map(|one| rest.strip_prefix(one))?;
    Some((part, rest))
}

/// The number of at least one and at most so many digits.
fn hex(digits: &str, most: usize) -> Option<u128> {
    let is_number = digits.len() <= most && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    // Of no digits there is no number.
    is_number.then(|| u128::from_str_radix(digits, 16).ok())?
}

const UBER_TRACE_ID: &str = "uber-trace-id";

const SEPARATORS: [&str; 3] = [":", "%3A", "%3a"];

const SAMPLED: u128 = 1;
const DEBUG: u128 = 2;

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn read(value: &str) -> Option<(String, String, bool)> {
        let headers = HashMap::from([(UBER_TRACE_ID.to_owned(), value.to_owned())]);
        let context = Jaeger::new().extract(&headers);
        let span = context.span();
        let span = span.span_context();
        assert_eq!(span.is_valid(), span.is_remote());
        span.is_valid().then(|| {
            let (trace_id, span_id) = (span.trace_id(), span.span_id());
            (trace_id.to_string(), span_id.to_string(), span.is_sampled())
        })
    }

    #[test]
    fn what_the_clients_wrote_is_read() {
        let of = |trace_id: &str, span_id: &str, is_sampled| {
            Some((trace_id.to_owned(), span_id.to_owned(), is_sampled))
        };
        let long = |is_sampled| {
            of(
                "0af7651916cd43dd8448eb211c80319c",
                "b7ad6b7169203331",
                is_sampled,
            )
        };
        let short = of("00000000000000008448eb211c80319c", "0000000000203331", true);
        let rows = [
            (
                "0af7651916cd43dd8448eb211c80319c:b7ad6b7169203331:0:1",
                long(true),
            ),
            (
                "af7651916cd43dd8448eb211c80319c:b7ad6b7169203331:0:1",
                long(true),
            ),
            (
                "af7651916cd43dd8448eb211c80319c:b7ad6b7169203331:0:0",
                long(false),
            ),
            (
                "af7651916cd43dd8448eb211c80319c:b7ad6b7169203331:0:01",
                long(true),
            ),
            (
                "af7651916cd43dd8448eb211c80319c:b7ad6b7169203331:ff:3",
                long(true),
            ),
            (
                "af7651916cd43dd8448eb211c80319c:b7ad6b7169203331:0:2",
                long(true),
            ),
            (
                "af7651916cd43dd8448eb211c80319c:b7ad6b7169203331:0:8",
                long(false),
            ),
            ("8448eb211c80319c:203331:0:1", short.clone()),
            ("8448eb211c80319c%3A203331%3A0%3A1", short.clone()),
            ("8448eb211c80319c%3a203331%3a0%3a1", short.clone()),
            ("8448EB211C80319C:203331:0:1", short),
        ];
        for (value, expected) in rows {
            assert_eq!(read(value), expected, "{value}");
        }
    }

    #[test]
    fn anything_else_is_no_context() {
        let rows = [
            "",
            ":::",
            "0:1:0:1",
            "1:0:0:1",
            "1:1:0",
            "1:1:0:",
            "1:1::1",
            "1:1:0:1:1",
            "1:1:0:100",
            "+1:1:0:1",
            "1 :1:0:1",
            "g:1:0:1",
            "1:1:x:1",
            "1%1%0%1",
            "1%3B1%3B0%3B1",
            "1:11111111111111111:0:1",
            "1:1:11111111111111111:1",
            "111111111111111111111111111111111:1:0:1",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "\u{664}:1:0:1",
        ];
        for value in rows {
            assert_eq!(read(value), None, "{value}");
        }
    }

    #[test]
    fn nothing_is_written_and_the_header_gives_way() {
        let headers = HashMap::from([(UBER_TRACE_ID.to_owned(), "1:1:0:1".to_owned())]);
        let mut sent = HashMap::new();
        Jaeger::new().inject_context(&Jaeger::new().extract(&headers), &mut sent);

        assert_eq!(sent, HashMap::new());
        assert_eq!(Jaeger::new().fields().collect::<Vec<_>>(), [UBER_TRACE_ID]);
    }

    proptest! {
        #[test]
        fn each_context_is_read_as_it_was_written(
            trace_id in 1_u128..,
            span_id in 1_u64..,
            parent_id: u64,
            flags: u8,
            separator in prop::sample::select(&SEPARATORS[..]),
        ) {
            let parts = [
                format!("{trace_id:x}"),
                format!("{span_id:x}"),
                format!("{parent_id:x}"),
                format!("{flags:x}"),
            ];
            let expected = (format!("{trace_id:032x}"), format!("{span_id:016x}"), flags & 3 != 0);
            prop_assert_eq!(read(&parts.join(separator)), Some(expected));
        }

        #[test]
        fn no_text_panics(value in ".{0,80}", digits in "[0-9a-f:%3A]{0,80}") {
            read(&value);
            read(&digits);
        }
    }
}
