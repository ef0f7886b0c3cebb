"""Answers one NATS request the way a Python service does: there is no instrumentation of nats-py.

Usage: nats_consume.py URL SUBJECT

Prints one JSON object: the headers as they came, and the span of that message. Fails after 60 seconds without a
request.
"""

import asyncio
import json
import sys

import nats
from opentelemetry import propagate, trace

import telemetry

LIMIT = 60


async def main(url: str, subject: str) -> None:
    provider, finished = telemetry.install()
    client = await nats.connect(url)
    subscription = await client.subscribe(subject)
    try:
        message = await subscription.next_msg(LIMIT)
    except nats.errors.TimeoutError:
        sys.exit(f"no request on {subject} within {LIMIT} s")

    headers = message.headers or {}
    kind = trace.SpanKind.CONSUMER
    tracer = provider.get_tracer(__name__)
    with tracer.start_as_current_span(f"process {subject}", propagate.extract(headers), kind):
        answer = {}
        propagate.inject(answer)
        await client.publish(message.reply, b"from python", headers=answer)
    await client.close()

    report = {
        "headers": telemetry.texts(list(headers.items())),
        "spans": [telemetry.describe(span) for span in finished.get_finished_spans()],
    }
    print(json.dumps(report))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: nats_consume.py URL SUBJECT")
    asyncio.run(main(*sys.argv[1:]))
