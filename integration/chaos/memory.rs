//! What is kept in memory from one round to the next.

#[path = "../../benches/memory/live.rs"]
mod live;

use std::fmt;
use std::time::Duration;

use tokio::time::sleep;

/// Bytes that runtimes and clients have now and then, whatever is done.
const ROOM: i64 = 2 << 20;

/// How often it is looked what there is, and how long after each other.
const LOOKS: usize = 30;
const BETWEEN: Duration = Duration::from_millis(100);

/// What there was after a round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    /// Since the beginning.
    after: Duration,
    /// What Rust code keeps allocated, of which all is counted.
    live: i64,
    /// What the process has of the machine's memory, C code too.
    resident: i64,
}

impl Kept {
    /// What there is now. lapin closes a connection some time after it was dropped, and has megabytes until then: the least
    /// that there is for a while.
    pub(crate) async fn now(after: Duration) -> Self {
        let mut live = live::bytes();
        for _ in 0..LOOKS {
            sleep(BETWEEN).await;
            live = live.min(live::bytes());
        }
        let resident = resident();
        Self {
            after,
            live,
            resident,
        }
    }

    /// Whether more is kept after the last round than after the second one, as far as there are so many: in the first
    /// one all is met that is kept.
    pub(crate) fn has_grown(rounds: &[Self]) -> Option<bool> {
        let (second, last) = (rounds.get(1)?, rounds.get(2..)?.last()?);
        Some(last.live - second.live > ROOM)
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = |bytes: i64| bytes as f64 / f64::from(1 << 20);
        let (live, resident) = (megabytes(self.live), megabytes(self.resident));
        let after = self.after.as_secs();
        write!(
            f,
            "{live:.2} MB allocated, {resident:.0} MB resident after {after} s"
        )
    }
}

fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
    kilobytes
        .and_then(|number| number.parse::<i64>().ok())
        .unwrap_or_default()
        << 10
}
