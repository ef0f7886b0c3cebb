//! The back end of `docker compose --profile observe`, really run: what a Collector, Jaeger and Prometheus make of
//! spans and metrics.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test panics where it fails"
)]

mod configurations;
mod dashboard;
mod http;
mod jaeger;
mod prometheus;
mod sampling;
mod service_map;
mod shop;
mod up;

use std::env;
use std::time::{Duration, Instant};

use tokio::time::sleep;

/// Longest wait for what should take seconds: exporters and the Collector hold things back for some.
const PATIENCE: Duration = Duration::from_secs(60);

/// An address or a program that `integration/run observe` sets.
fn given(variable: &str) -> String {
    env::var(variable).unwrap_or_else(|_| {
        unreachable!("{variable} is not set: run `integration/run observe`, which does")
    })
}

/// Waits until there is what is looked for.
async fn until<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{what}: not there in time");
        sleep(Duration::from_millis(200)).await;
    }
}
