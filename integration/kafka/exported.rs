//! What of a batch arrives at a receiver of OTLP.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::collections::BTreeMap;

use integration::kafka::{PATIENCE, topic};
use integration::otlp::Receiver;
use integration::unique;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_sdk::trace::SdkTracerProvider;
use otel_messaging::Telemetry;
use tokio::task::block_in_place;

use crate::numbered::{assigned, creation, in_time, send};

/// The links of a span and of the children that it has for them: for each linked span the offsets
/// of the messages.
fn links(spans: &[Span], name: &str) -> BTreeMap<(Vec<u8>, Vec<u8>), Vec<i64>> {
    let mut named = spans.iter().filter(|span| span.name.starts_with(name));
    let span = named.next().expect("a span");
    assert!(named.next().is_none(), "one span {name}");
    let overflow = spans
        .iter()
        .filter(|child| child.parent_span_id == span.span_id);
    let mut links: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for span in overflow.chain([span]) {
        assert!(span.links.len() <= 128, "{} links", span.links.len());
        assert_eq!(span.dropped_links_count, 0);
        for link in &span.links {
            // That of a batch of one is on its span.
            let attributes = link.attributes.iter().chain(&span.attributes);
            let offset = attributes
                .filter(|one| one.key == "kafka.offset")
                .find_map(|one| one.value.as_ref()?.value.as_ref());
            let Some(Value::IntValue(offset)) = offset else {
                unreachable!("an offset, not {offset:?}")
            };
            let linked = (link.trace_id.clone(), link.span_id.clone());
            links.entry(linked).or_default().push(*offset);
        }
    }
    links
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_ten_thousand_traces_is_linked_once_in_what_a_receiver_of_otlp_got() {
    for count in [1, 7, 128, 129, 1_000, 10_000] {
        let (receiver, endpoint) = Receiver::start();
        let endpoint = format!("{endpoint}/v1/traces");
        let exporter = SpanExporter::builder().with_http().with_endpoint(endpoint);
        // Limits, queue and sizes as the SDK has them.
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter.build().expect("an exporter"))
            .build();
        let orders = topic("orders").await;
        send(&[(&orders, 0)], 0..count).await;
        let telemetry = Telemetry::new().tracer_provider(provider.clone());
        let consumer = assigned(&telemetry, &unique("group"), &[(&orders, 0)]);

        let batch = in_time(consumer.batches(count, PATIENCE).recv()).await;
        batch.process(async |_| ()).await;
        block_in_place(|| provider.shutdown()).expect("all is exported");

        assert_eq!(batch.len(), count);
        let expected: BTreeMap<_, _> = (0..count)
            .map(|number| {
                let creation = creation(number);
                let ids = (
                    creation.trace_id().to_bytes().to_vec(),
                    creation.span_id().to_bytes().to_vec(),
                );
                (ids, vec![number as i64])
            })
            .collect();
        let scopes = receiver.spans().into_iter();
        let spans: Vec<_> = scopes.flat_map(|scope| scope.spans).collect();
        assert!(links(&spans, "poll ") == expected, "receiving {count}");
        assert!(links(&spans, "process ") == expected, "processing {count}");
        assert_eq!(spans.len(), 2 * count.div_ceil(128));
    }
}
