//! [`LogLimiter`]: lines of one kind, few enough for any log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// At most one line of each kind in this time.
const PAUSE: Duration = Duration::from_secs(10);

/// Says of each kind of line whether there may be one now.
#[derive(Debug)]
pub(crate) struct LogLimiter<const KINDS: usize> {
    since: Instant,
    kinds: [Kind; KINDS],
}

/// Lines of one kind.
#[derive(Debug, Default)]
struct Kind {
    /// Milliseconds after `since` from which on there may be another line.
    next: AtomicU64,
    suppressed: AtomicU64,
}

impl<const KINDS: usize> LogLimiter<KINDS> {
    pub(crate) fn new() -> Self {
        Self {
            since: Instant::now(),
            kinds: std::array::from_fn(|_| Kind::default()),
        }
    }

    /// How many lines of this kind were suppressed since the last one, if there may be another now.
    pub(crate) fn allows(&self, kind: usize) -> Option<u64> {
        self.allows_at(kind, self.since.elapsed())
    }

    fn allows_at(&self, kind: usize, now: Duration) -> Option<u64> {
        let kind = self.kinds.get(kind)?;
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let next = kind.next.load(Ordering::Relaxed);
        let after = now.saturating_add(u64::try_from(PAUSE.as_millis()).unwrap_or(u64::MAX));
        let is_allowed = now >= next
            && kind
                .next
                .compare_exchange(next, after, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if is_allowed {
            Some(kind.suppressed.swap(0, Ordering::Relaxed))
        } else {
            kind.suppressed.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_line_in_ten_seconds_that_tells_how_many_had_none() {
        let lines = LogLimiter::<2>::new();
        let at = |seconds, kind| lines.allows_at(kind, Duration::from_secs(seconds));

        assert_eq!(at(0, 0), Some(0));
        assert_eq!(at(1, 0), None);
        assert_eq!(at(9, 0), None);
        assert_eq!(at(9, 1), Some(0));
        assert_eq!(at(10, 0), Some(2));
        assert_eq!(at(10, 1), None);
        assert_eq!(at(20, 0), Some(0));
    }
}
