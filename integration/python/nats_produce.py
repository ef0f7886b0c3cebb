"""Sends two NATS messages the way a Python service does: there is no instrumentation of nats-py.

Usage: nats_produce.py URL SUBJECT

The second has the same headers under the names that Go's propagation.HeaderCarrier gives them. Prints one JSON
object: the trace id, the span, and the headers of the first message.
"""

import asyncio
import json
import sys

import nats
from opentelemetry import baggage, context, propagate, trace

import telemetry


async def main(url: str, subject: str) -> None:
    provider, finished = telemetry.install()
    client = await nats.connect(url)
    headers = {}
    context.attach(baggage.set_baggage("tenant", "blue sky"))
    with provider.get_tracer(__name__).start_as_current_span(f"send {subject}", kind=trace.SpanKind.PRODUCER):
        propagate.inject(headers)
        await client.publish(subject, b"from python", headers=headers)
        capitalised = {name.capitalize(): value for name, value in headers.items()}
        await client.publish(subject, b"as from Go", headers=capitalised)
    # An answer of the server: it has both.
    await client.flush()
    await client.close()

    [span] = finished.get_finished_spans()
    report = {
        "trace_id": telemetry.trace_id(span.context),
        "spans": [telemetry.describe(span)],
        "headers": telemetry.texts(list(headers.items())),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: nats_produce.py URL SUBJECT")
    asyncio.run(main(*sys.argv[1:]))
