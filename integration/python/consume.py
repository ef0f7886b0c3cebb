"""Receives one message the way a Python service with the official instrumentation does.

Usage: consume.py BROKERS TOPIC GROUP

Reads from the earliest offset, commits, and prints one JSON object: the headers as they came, and the finished
spans of that message with their parents and links. Fails after 60 seconds without a message.
"""

import json
import sys
import time

import confluent_kafka
from opentelemetry import trace
from opentelemetry.instrumentation.confluent_kafka import ConfluentKafkaInstrumentor

import telemetry

LIMIT = 60


def main(brokers: str, topic: str, group: str) -> None:
    provider, finished = telemetry.install()
    ConfluentKafkaInstrumentor().instrument(tracer_provider=provider)

    # Looked up after instrument(): it replaces the class.
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            # The other side may have yet to create the topic.
            "topic.metadata.refresh.interval.ms": 1000,
        }
    )
    consumer.subscribe([topic])
    try:
        message = first(consumer)
        if message is None:
            sys.exit(f"no message on {topic} within {LIMIT} s")
        consumer.commit(message, asynchronous=False)
        process = trace.get_current_span().get_span_context()
    finally:
        # Also ends the span of the last message.
        consumer.close()

    # The instrumentation makes spans for client errors too, such as that of a topic that does not exist yet.
    spans = [span for span in finished.get_finished_spans() if span.context.trace_id == process.trace_id]
    report = {
        "headers": telemetry.texts(message.headers() or []),
        "spans": [telemetry.describe(span) for span in spans],
    }
    print(json.dumps(report))


def first(consumer: confluent_kafka.Consumer) -> confluent_kafka.Message | None:
    deadline = time.monotonic() + LIMIT
    while (left := deadline - time.monotonic()) > 0:
        message = consumer.poll(left)
        if message is None:
            continue
        error = message.error()
        if not error:
            return message
        if not error.retriable() and error.code() != confluent_kafka.KafkaError.UNKNOWN_TOPIC_OR_PART:
            sys.exit(f"receiving failed: {error}")
    return None


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: consume.py BROKERS TOPIC GROUP")
    main(*sys.argv[1:])
