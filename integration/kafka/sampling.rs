//! The sampler that the environment selects.
#![expect(clippy::expect_used, reason = "a test panics where it fails")]

use std::env;
use std::process::Command;

use integration::kafka::Kafka;
use integration::kafka::clients::Futures;
use integration::scenario::assert_kept_batches;
use otel_messaging::LinkedSampler;

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
