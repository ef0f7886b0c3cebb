//! [`Moment`]: when something began.

use std::time::{Duration, Instant, SystemTime};

/// When something began, by the wall clock and by one that is never set.
#[derive(Clone, Copy, Debug)]
#[allow(
    unnameable_types,
    unreachable_pub,
    reason = "a sealed trait of one of the clients has it, which nobody else can call"
)]
pub struct Moment {
    wall: SystemTime,
    instant: Instant,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self {
            wall: SystemTime::now(),
            instant: Instant::now(),
        }
    }

    /// The time by the wall clock.
    pub(crate) const fn wall(self) -> SystemTime {
        self.wall
    }

    /// How much later it is now.
    pub(crate) fn elapsed(self) -> Duration {
        self.instant.elapsed()
    }

    /// The time by the wall clock so much later, whatever was done to that clock meanwhile.
    pub(crate) fn after(self, elapsed: Duration) -> SystemTime {
        self.wall.checked_add(elapsed).unwrap_or(self.wall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_the_begin_and_what_has_passed_though_the_wall_clock_was_set_back() {
        let hour = Duration::from_secs(3600);
        let now = Moment::now();
        let before_the_clock_was_set_back = Moment {
            wall: now.wall() + hour,
            ..now
        };

        let ended = before_the_clock_was_set_back.after(before_the_clock_was_set_back.elapsed());

        assert!(ended >= before_the_clock_was_set_back.wall());
    }
}
