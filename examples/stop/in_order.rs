//! The end of a service that takes requests and works on messages.

use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::time::sleep;

use super::Stop;

/// How long requests may take that are there when the service is to stop.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves and works until `stop` is asked, or one of both ends by itself. Then each part ends when nobody needs it any
/// more:
///
/// 1. The server takes no more requests, and ends when those that it has are answered. That is what `serve` does when
///    `stop` is asked.
/// 2. The worker takes no more messages, and ends when it is done with those that it has. It is given what asks it to:
///    until now, there are messages of the last requests.
/// 3. The clients are closed: producers are flushed, so that each send span has its delivery report.
/// 4. The providers export what is left: that is what `shut_down` is for. The one of `telemetry/mod.rs` takes five
///    seconds at most, whatever becomes of a collector.
///
/// # Errors
///
/// The first one; what comes after it ends in this order all the same.
pub async fn in_order(
    stop: &Stop,
    serve: impl Future<Output = Result<()>>,
    work: impl AsyncFnOnce(&Stop) -> Result<()>,
    close: impl AsyncFnOnce() -> Result<()>,
    shut_down: impl FnOnce(),
) -> Result<()> {
    let stop_working = Stop::default();
    let serving = async {
        let too_late = async {
            stop.asked().await;
            sleep(PATIENCE).await;
        };
        let served = tokio::select! {
            served = serve => served,
            () = too_late => Err(anyhow!("some requests were not answered in time")),
        };
        stop_working.ask();
        served
    };
    let working = async {
        let worked = work(&stop_working).await;
        stop.ask();
        worked
    };
    let (served, worked) = tokio::join!(serving, working);
    let closed = close().await;
    shut_down();
    served.and(worked).and(closed)
}
