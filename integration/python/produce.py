"""Sends one message the way a Python service with the official instrumentation does.

Usage: produce.py BROKERS TOPIC

Prints one JSON object: the trace id, the finished spans in the order they ended, and the headers that the
instrumentation put on the message.
"""

import json
import sys

import confluent_kafka
from opentelemetry import baggage, context, trace
from opentelemetry.instrumentation.confluent_kafka import ConfluentKafkaInstrumentor
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult

import telemetry


class SampleWithState(Sampler):
    """Samples everything. A sampler is also how a new trace comes by a tracestate."""

    def should_sample(self, parent_context, trace_id, name, kind=None, attributes=None, links=None):
        state = trace.TraceState([("python", "producer")])
        return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, state)

    def get_description(self):
        return "SampleWithState"


def main(brokers: str, topic: str) -> None:
    provider, finished = telemetry.install(SampleWithState())
    ConfluentKafkaInstrumentor().instrument(tracer_provider=provider)

    # Looked up after instrument(): it replaces the class.
    producer = confluent_kafka.Producer({"bootstrap.servers": brokers})
    failures = []
    headers = []
    context.attach(baggage.set_baggage("tenant", "blue sky"))
    with trace.get_tracer(__name__).start_as_current_span("python producer"):
        producer.produce(
            topic,
            value=b"from python",
            # The instrumentation appends to this list, which shows what it wrote.
            headers=headers,
            on_delivery=lambda error, _message: failures.append(error) if error else None,
        )
        unsent = producer.flush(60)
    if failures or unsent:
        sys.exit(f"not delivered to {topic}: {failures or 'no answer within 60 s'}")

    spans = finished.get_finished_spans()
    report = {
        "trace_id": telemetry.trace_id(spans[0].context),
        "spans": [telemetry.describe(span) for span in spans],
        "headers": telemetry.texts(headers),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: produce.py BROKERS TOPIC")
    main(*sys.argv[1:])
