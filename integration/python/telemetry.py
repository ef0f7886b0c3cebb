"""What both programs share: a provider that keeps its spans, and spans and headers as JSON."""

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler


def install(sampler: Sampler | None = None) -> tuple[TracerProvider, InMemorySpanExporter]:
    finished = InMemorySpanExporter()
    provider = TracerProvider(sampler=sampler)
    provider.add_span_processor(SimpleSpanProcessor(finished))
    trace.set_tracer_provider(provider)
    return provider, finished


def trace_id(span_context: trace.SpanContext) -> str:
    return trace.format_trace_id(span_context.trace_id)


def span_id(span_context: trace.SpanContext) -> str:
    return trace.format_span_id(span_context.span_id)


def describe(span: ReadableSpan) -> dict:
    return {
        "name": span.name,
        "kind": span.kind.name,
        "trace_id": trace_id(span.context),
        "span_id": span_id(span.context),
        "parent_span_id": span_id(span.parent) if span.parent else None,
        "links": [
            {
                "trace_id": trace_id(link.context),
                "span_id": span_id(link.context),
                "trace_state": link.context.trace_state.to_header(),
            }
            for link in span.links
        ],
    }


def texts(headers: list[tuple[str, bytes | str | None]]) -> list[dict]:
    """Headers as they lie on the wire: order and duplicates kept."""
    return [{"name": name, "value": text(value)} for name, value in headers]


def text(value: bytes | str | None) -> str | None:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
