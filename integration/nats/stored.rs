//! Messages that are read out of a stream one by one.

use async_nats::jetstream::stream;
use integration::nats::client;
use integration::nats::{Subject, process_span};
use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use otel_messaging::nats::Consumer;
use otel_messaging::policy::{Policy, Record, Rule};
use otel_messaging::testing::{ExpectedSpan, Recorder};

use crate::shop::{FRESH, Orders, fresh, named};

fn reading(orders: &Orders) -> ExpectedSpan {
    process_span(Subject::one_of(&orders.subject("7"), &orders.name))
        .attribute("nats.stream.name", orders.name.clone())
        .attribute("nats.stream.sequence", 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_a_stored_message_links_to_its_writer_and_is_never_its_child() {
    let recorder = Recorder::new();
    let config = stream::Config {
        allow_direct: true,
        ..stream::Config::default()
    };
    let orders = Orders::with(config).await;
    let mut headers = fresh();
    headers.insert("baggage", "tenant=blue");
    orders.publish("7", headers).await;
    let consumer = Consumer::wrap(&recorder.telemetry(), client().await);

    let raw = orders.stream.get_raw_message(1).await.expect("the message");
    let direct = orders.stream.direct_get(1).await.expect("the message");
    for message in [raw, direct] {
        let stored = consumer.stored(&orders.name, message);
        let tenant = stored
            .process(async |_| {
                let context = Context::current();
                Ok::<_, String>(context.baggage().get("tenant").map(ToString::to_string))
            })
            .await;

        assert_eq!(tenant, Ok(Some("blue".to_owned())));
        let span = recorder.span(&format!("process {}", orders.name));
        reading(&orders).link(&named(FRESH)).assert(&span);
        assert_ne!(span.span_context.trace_id(), named(FRESH).trace_id());
        recorder.clear();
    }
}

/// Where there is no span to link from, the writer's trace still does not go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_context_is_not_passed_on_without_a_span_either() {
    let recorder = Recorder::new();
    let orders = Orders::open().await;
    orders.publish("7", fresh()).await;
    let policy = Policy::new().rule(Rule::of("*").record(Record::PropagateOnly));
    let consumer = Consumer::wrap(&recorder.telemetry().policy(policy), client().await);

    let message = orders.stream.get_raw_message(1).await.expect("the message");
    let stored = consumer.stored(&orders.name, message);
    let process = stored.start_process_span();

    assert!(!process.span_context().is_valid());
    assert_eq!(recorder.spans().len(), 0);
}
