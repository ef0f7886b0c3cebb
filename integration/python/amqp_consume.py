"""Receives one AMQP message the way a Python service with the official instrumentation of pika does.

Usage: amqp_consume.py URL QUEUE

Acknowledges, and prints one JSON object: the headers as they came, with their types, and the finished spans with
their parents and links. Fails after 60 seconds without a message.
"""

import json
import sys

import pika
from opentelemetry.instrumentation.pika import PikaInstrumentor

import telemetry

LIMIT = 60


def main(url: str, queue: str) -> None:
    provider, finished = telemetry.install()
    PikaInstrumentor().instrument(tracer_provider=provider)

    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    messages = []

    def receive(channel, method, properties, body):
        messages.append((properties, body))
        channel.basic_ack(method.delivery_tag)
        channel.stop_consuming()

    channel.basic_consume(queue, receive)
    connection.call_later(LIMIT, channel.stop_consuming)
    channel.start_consuming()
    connection.close()
    if not messages:
        sys.exit(f"no message in {queue} within {LIMIT} s")

    [(properties, body)] = messages
    report = {
        "body": body.decode(),
        "headers": telemetry.texts(list(properties.headers.items())),
        "types": {name: type(value).__name__ for name, value in properties.headers.items()},
        "spans": [telemetry.describe(span) for span in finished.get_finished_spans()],
    }
    print(json.dumps(report))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: amqp_consume.py URL QUEUE")
    main(*sys.argv[1:])
