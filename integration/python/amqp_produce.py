"""Sends two AMQP messages, the first the way a Python service with the official instrumentation of pika does.

Usage: amqp_produce.py URL QUEUE

The second has the same headers, written as byte arrays, as programs do that have their headers from elsewhere.
Prints one JSON object: the trace id, the finished spans in the order they ended, and the headers that the
instrumentation put on the first message.
"""

import json
import sys

import pika
from opentelemetry import baggage, context, trace
from opentelemetry.instrumentation.pika import PikaInstrumentor

import telemetry


def main(url: str, queue: str) -> None:
    provider, finished = telemetry.install()
    parameters = pika.URLParameters(url)
    bare = pika.BlockingConnection(parameters).channel()
    PikaInstrumentor().instrument(tracer_provider=provider)

    channel = pika.BlockingConnection(parameters).channel()
    channel.confirm_delivery()
    properties = pika.BasicProperties(headers={})
    context.attach(baggage.set_baggage("tenant", "blue sky"))
    with trace.get_tracer(__name__).start_as_current_span("python producer"):
        # The instrumentation writes into these headers, which shows what it wrote.
        channel.basic_publish("", queue, b"from python", properties, mandatory=True)

    bare.confirm_delivery()
    headers = {name: value.encode() for name, value in properties.headers.items()}
    bare.basic_publish("", queue, b"in bytes", pika.BasicProperties(headers=headers), mandatory=True)

    spans = finished.get_finished_spans()
    report = {
        "trace_id": telemetry.trace_id(spans[0].context),
        "spans": [telemetry.describe(span) for span in spans],
        "headers": telemetry.texts(list(properties.headers.items())),
    }
    print(json.dumps(report))
    channel.connection.close()
    bare.connection.close()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: amqp_produce.py URL QUEUE")
    main(*sys.argv[1:])
