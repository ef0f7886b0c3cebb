//! The sampler that the environment selects, and what `LinkedSampler` keeps of many batches.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::env;
use std::process::Command;

use integration::kafka::Kafka;
use integration::kafka::clients::Futures;
use integration::scenario::assert_kept_batches;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, ShouldSample as _};
use otel_messaging::LinkedSampler;
use otel_messaging::kafka::{TestConsumer, TestMessage};
use otel_messaging::testing::Recorder;
use rdkafka::ClientConfig;

const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const RATIO: &str = "OTEL_TRACES_SAMPLER_ARG";
const BY_RATIO: &str = "parentbased_traceidratio";

/// The environment is for a process as a whole: the test runs itself in one of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_environments_sampler_is_asked_first_and_batches_are_kept_by_their_links() {
    if env::var(RATIO).as_deref() == Ok("0") {
        assert_kept_batches::<Kafka<Futures>>(LinkedSampler::from_env()).await;
        return;
    }
    let test = "the_environments_sampler_is_asked_first_and_batches_are_kept_by_their_links";
    let itself = env::current_exe().expect("the test's own program");
    let output = Command::new(itself)
        .args(["--exact", &format!("sampling::{test}")])
        .env(SAMPLER, BY_RATIO)
        .env(RATIO, "0")
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("1 passed"), "{told}");
}

/// Trace ids that are spread evenly and the same in each run.
fn trace_id(number: u64) -> TraceId {
    let spread = |mut bits: u64| {
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    };
    let seed = |step: u64| spread((2 * number + step).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    TraceId::from(u128::from(seed(1)) << 64 | u128::from(seed(2)))
}

/// What `LinkedSampler` promises where producers keep 1 % of their traces: each of these traces has its
/// batch, and of batches of ten so many are kept as have one, which is 1 - 0.99^10 of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_100_000_messages_at_one_percent_each_kept_trace_has_its_batch_and_a_tenth_of_all_is_kept()
 {
    const BATCHES: u64 = 10_000;
    const MESSAGES: u64 = 10;
    let one_percent = Sampler::TraceIdRatioBased(0.01);
    let by_parent = Sampler::ParentBased(Box::new(Sampler::AlwaysOff));
    let recorder = Recorder::with_sampler(LinkedSampler::new(by_parent).per_second(u32::MAX));
    let consumer = TestConsumer::new(&recorder.telemetry(), &ClientConfig::new());
    let is_kept = |trace| {
        let decided = one_percent.should_sample(None, trace, "send", &SpanKind::Producer, &[], &[]);
        decided.decision == SamplingDecision::RecordAndSample
    };

    let (mut origins, mut batches) = (0, 0);
    for batch in 0..BATCHES {
        recorder.clear();
        let numbers = batch * MESSAGES..(batch + 1) * MESSAGES;
        let spans = numbers.map(|number| {
            let trace = trace_id(number);
            let flags = TraceFlags::default().with_sampled(is_kept(trace));
            let span = SpanId::from(number + 1);
            SpanContext::new(trace, span, flags, true, TraceState::NONE)
        });
        let spans: Vec<_> = spans.collect();
        let orders = spans
            .iter()
            .map(|span| TestMessage::of("orders").created_by(span));
        let orders = consumer.deliver_batch(orders);
        orders.process(async |_| ()).await;

        let kept = spans.iter().filter(|span| span.is_sampled()).count();
        // Receiving it and processing it are both about all of it.
        let recorded = recorder.spans();
        let names: Vec<_> = recorded.iter().map(|span| &*span.name).collect();
        let expected: &[_] = if kept > 0 {
            &["poll orders", "process orders"]
        } else {
            &[]
        };
        assert_eq!(names, expected, "batch {batch}");
        for whole in &recorded {
            let links = whole.links.iter().map(|link| &link.span_context);
            assert!(links.eq(&spans), "batch {batch}: {:?}", whole.links);
        }
        origins += kept;
        batches += usize::from(kept > 0);
    }

    // The ids are the same each time; by chance, these are the expected 1,000 and 956 within one
    // standard deviation.
    assert_eq!((origins, batches), (1_017, 978));
}
